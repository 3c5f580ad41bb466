"""An attribute's value as a person reads it: durations, sizes, rates, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otelmig.trace.span import AttributeValue

__all__ = ["duration", "number", "plural", "rate", "size", "texts"]

_MIB: Final = 1 << 20
_MOST_MIB: Final = 10_000
"""MiB from which on a size is given in GiB."""


def duration(ns: float) -> str:
    """Return ``12.5 s``, ``461 ms``, ``8.2 ms``, ``350 us``: three digits, one unit."""
    for unit, scale in (("s", 1e9), ("ms", 1e6)):
        value = ns / scale
        if value >= 0.9995:  # noqa: PLR2004 - rounds to 1 of this unit with three digits
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"  # noqa: PLR2004 - the same
    return f"{ns / 1e3:.0f} us"


def size(value: AttributeValue | None) -> str:
    """Return bytes in MiB or GiB, or a dash where they are unknown."""
    if not _is_number(value):
        return "-"
    mib = number(value) / _MIB
    return _gib(mib) if mib >= _MOST_MIB else f"{mib:.0f} MiB"


def rate(value: AttributeValue | None) -> str:
    """Return bytes per second in MiB/s or GiB/s, or a dash where they are unknown."""
    if not _is_number(value):
        return "-"
    mib = number(value) / _MIB
    if mib >= _MOST_MIB:
        return f"{_gib(mib)}/s"
    return f"{mib:.0f} MiB/s" if mib >= 9.95 else f"{mib:.1f} MiB/s"  # noqa: PLR2004 - two digits are enough


def _gib(mib: float) -> str:
    gib = mib / 1024
    return f"{gib:.0f} GiB" if gib >= 99.95 else f"{gib:.1f} GiB"  # noqa: PLR2004 - three digits are enough


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
