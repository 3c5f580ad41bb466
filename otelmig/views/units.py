"""An attribute's value as a person reads it: durations, sizes, rates, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.units import KIB, MIB, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from otelmig.trace.span import AttributeValue

__all__ = ["duration", "number", "plural", "rate", "seconds_text", "size", "texts"]

_MOST_MIB: Final = 10_000
"""MiB from which on a size is given in GiB."""
_ONE_IN_THREE: Final = 0.9995
_HUNDRED_IN_THREE: Final = 99.95
"""What rounds to 1, and to 100, with three digits: from there on, no digit is left for a fraction."""
_TEN_IN_TWO: Final = 9.95
"""What rounds to 10 with two digits."""


def duration(ns: float) -> str:
    """Return ``12.5 s``, ``461 ms``, ``8.2 ms``, ``350 us``: three digits, one unit."""
    for unit, scale in (("s", SECOND_NS), ("ms", MILLISECOND_NS)):
        value = ns / scale
        if value >= _ONE_IN_THREE:
            return f"{value:.0f} {unit}" if value >= _HUNDRED_IN_THREE else f"{value:.3g} {unit}"
    return f"{ns / MICROSECOND_NS:.0f} us"


def seconds_text(value: AttributeValue | None) -> str:
    """Return an attribute in seconds as :func:`duration` does."""
    return duration(number(value) * SECOND_NS)


def size(value: AttributeValue | None) -> str:
    """Return bytes in MiB or GiB, or a dash where they are unknown."""
    if not _is_number(value):
        return "-"
    mib = number(value) / MIB
    return _gib(mib) if mib >= _MOST_MIB else f"{mib:.0f} MiB"


def rate(value: AttributeValue | None) -> str:
    """Return bytes per second in MiB/s or GiB/s, or a dash where they are unknown."""
    if not _is_number(value):
        return "-"
    mib = number(value) / MIB
    if mib >= _MOST_MIB:
        return f"{_gib(mib)}/s"
    return f"{mib:.0f} MiB/s" if mib >= _TEN_IN_TWO else f"{mib:.1f} MiB/s"


def _gib(mib: float) -> str:
    gib = mib / KIB
    return f"{gib:.0f} GiB" if gib >= _HUNDRED_IN_THREE else f"{gib:.1f} GiB"


def number(value: AttributeValue | None) -> float:
    """Return an attribute's number; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def texts(value: AttributeValue | None) -> tuple[str, ...]:
    """Return an attribute's list of texts; empty where there is none."""
    return value if isinstance(value, tuple) else ()


def plural(count: int, noun: str) -> str:
    """Return ``1 line``, ``2 lines``: a number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is_number(value: AttributeValue | None) -> bool:
    return isinstance(value, int | float)
