"""Which of the possible offsets is used to draw both sides on one timeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.observation import Kind
from otelmig.stamp import ClockDomain

if TYPE_CHECKING:
    from otelmig.clock.bounds import ClockBounds
    from otelmig.side import Side

__all__ = ["ClockStatus", "Placement", "place"]

_MICROSECOND: Final = 1_000


class ClockStatus(StrEnum):
    """What is known of the offset."""

    BOUNDED = "bounded"
    ONE_SIDED = "one_sided"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The offset in use (destination minus source), and the proved interval at the instant of interest."""

    status: ClockStatus
    offset_ns: int
    """A whole number of microseconds."""
    lo_ns: int | None
    hi_ns: int | None
    at_ns: int
    """The source time that this holds for: the end of the downtime, else of the attempt."""

    @property
    def error_ns(self) -> int:
        """How far the true offset can be from ``offset_ns``; 0 where one side of the interval is open."""
        if self.lo_ns is None or self.hi_ns is None:
            return 0
        return max(self.hi_ns - self.offset_ns, self.offset_ns - self.lo_ns)


def place(source: Side, destination: Side, bounds: ClockBounds) -> Placement:
    """The middle of the interval; but 0 if both clocks are wall clocks and 0 is possible: nothing is provably wrong."""
    end = source.first(Kind.COMPLETED, Kind.SEND_FINISHED) or source.failure or source.observations[-1]
    at = end.stamp.ns
    lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
    status = ClockStatus.BOUNDED
    if lo is None or hi is None:
        status = ClockStatus.UNSYNCED if lo is None and hi is None else ClockStatus.ONE_SIDED
    wall = all(side.process.domain is ClockDomain.REALTIME for side in (source, destination))
    known = [bound for bound in (lo, hi) if bound is not None]
    if wall and (lo is None or lo <= 0) and (hi is None or hi >= 0):
        offset = 0
    elif known:
        offset = sum(known) // len(known)
    else:
        offset = destination.observations[0].stamp.ns - source.observations[0].stamp.ns
    return Placement(status=status, offset_ns=offset // _MICROSECOND * _MICROSECOND, lo_ns=lo, hi_ns=hi, at_ns=at)
