"""Durations, sizes, rates and intervals in words: as many digits as are known, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from math import floor, log10
from typing import Final

__all__ = ["Interval", "duration", "rate", "share", "size"]

_US: Final = 10**3
_MS: Final = 10**6
_S: Final = 10**9
_MINUTES_FROM: Final = 600 * _S
"""Ten minutes and more are said in minutes and seconds."""
_COARSE: Final = _MS // 2
"""A duration that is known less well is said in whole milliseconds."""
_KIB: Final = 2**10
_MIB: Final = 2**20
_GIB: Final = 2**30
_GIB_FROM: Final = 10 * _GIB
"""Sizes are printed in MiB by the hypervisor; past this they are said in GiB."""
_MANY: Final = 100
_SOME: Final = 10


def duration(ns: float, *, error_ns: int = 0) -> str:
    """``12.59 s``, ``461 ms``, ``7.8 ms``, ``666 us``; ``error_ns`` is how far it may be off."""
    coarse = error_ns >= _COARSE
    if ns >= _MINUTES_FROM:
        minutes, seconds = divmod(round(ns / _S), 60)
        return f"{minutes} min {seconds:02d} s"
    if round(ns / _MS) >= _S // _MS:
        return f"{ns / _S:.{_decimals(ns / _S, most=2 if coarse else 3)}f} s"
    if coarse and ns < _MS / 2:
        return "<1 ms"
    if coarse or ns >= _SOME * _MS:
        return f"{ns / _MS:.0f} ms"
    if ns >= _MS:
        return f"{ns / _MS:.1f} ms"
    return f"{ns / _US:.0f} us"


def _decimals(value: float, *, most: int) -> int:
    """How many decimals leave about four digits."""
    return 1 if value >= _MANY else min(2, most) if value >= _SOME else most


def size(count: float) -> str:
    """Bytes as ``284 MiB`` or ``12.3 GiB``."""
    return f"{count / _GIB:.1f} GiB" if count >= _GIB_FROM else f"{count / _MIB:.0f} MiB"


def rate(per_second: float) -> str:
    """Bytes per second as ``24.2 MiB/s``."""
    mib = per_second / _MIB
    if per_second >= _GIB:
        return f"{per_second / _GIB:.1f} GiB/s"
    if per_second < _MIB / 10:
        return f"{per_second / _KIB:.0f} KiB/s"
    return f"{mib:.0f} MiB/s" if mib >= _MANY else f"{mib:.1f} MiB/s"


def share(part: float, total: float) -> str:
    """A part of a total in percent: ``58 %``, ``<1 %``."""
    percent = 100 * part / total if total else 0.0
    return "<1 %" if 0 < percent < 1 else f"{percent:.0f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A proved interval, in seconds, as text: its ends are rounded outward, so that what is printed stays proved."""

    lo: float
    hi: float

    @property
    def _in_ms(self) -> bool:
        return max(abs(self.lo), abs(self.hi)) < 1

    @property
    def unit(self) -> str:
        """``s``, or ``ms`` where both ends are below a second."""
        return "ms" if self._in_ms else "s"

    @property
    def _digits(self) -> int:
        """Decimals that show the width with two digits."""
        width = (self.hi - self.lo) * (1000 if self._in_ms else 1)
        return min(max(1 - floor(log10(width)), 0), 6) if width > 0 else 6

    def _text(self, value: float, digits: int, rounding: str) -> str:
        scaled = Decimal(repr(value)) * (1000 if self._in_ms else 1)
        rounded = scaled.quantize(Decimal(1).scaleb(-digits), rounding=rounding)
        return f"{rounded if rounded else abs(rounded)}"

    @property
    def ends(self) -> str:
        """``3.8066 .. 3.8133``, without the unit."""
        lo = self._text(self.lo, self._digits, ROUND_FLOOR)
        hi = self._text(self.hi, self._digits, ROUND_CEILING)
        return f"{lo} .. {hi}"

    def inside(self, value: float) -> str:
        """An estimate that lies in the interval, with one digit less than the ends."""
        return self._text(value, max(self._digits - 1, 0), ROUND_HALF_EVEN)
