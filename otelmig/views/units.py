"""An attribute's value as a person reads it: durations, sizes, rates, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelmig.trace.span import AttributeValue

__all__ = ["duration", "number", "plural", "rate", "size", "texts"]

_MIB = 1 << 20


def duration(ns: float) -> str:
    """``12.5 s``, ``461 ms``, ``8.2 ms``, ``350 us``: three digits, one unit."""
    for unit, scale in (("s", 1e9), ("ms", 1e6)):
        value = ns / scale
        if value >= 0.9995:  # noqa: PLR2004 - rounds to 1 of this unit with three digits
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"  # noqa: PLR2004 - the same
    return f"{ns / 1e3:.0f} us"


def size(value: AttributeValue | None) -> str:
    """Bytes in MiB, or a dash where unknown."""
    return "-" if not _is_number(value) else f"{number(value) / _MIB:.0f} MiB"


def rate(value: AttributeValue | None) -> str:
    """Bytes per second in MiB/s, or a dash where unknown."""
    if not _is_number(value):
        return "-"
    mib = number(value) / _MIB
    return f"{mib:.0f} MiB/s" if mib >= 9.95 else f"{mib:.1f} MiB/s"  # noqa: PLR2004 - two digits are enough


def number(value: AttributeValue | None) -> float:
    """An attribute's number; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def texts(value: AttributeValue | None) -> tuple[str, ...]:
    """An attribute's list of texts; empty where there is none."""
    return value if isinstance(value, tuple) else ()


def plural(count: int, noun: str) -> str:
    """``1 line``, ``2 lines``: a number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is_number(value: AttributeValue | None) -> bool:
    return isinstance(value, int | float)
