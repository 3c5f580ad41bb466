"""When a side was migrating, by what its host says what time it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from otelmig.migration.side import Side

__all__ = [
    "AGREE_NS",
    "IN_TURN_NS",
    "TOLERANCE_NS",
    "Presence",
    "have_wall_clocks",
    "presence_of",
    "were_at_one_time",
    "zero_ns",
]

AGREE_NS: Final = SECOND_NS
"""Wall clocks that are kept by NTP differ by less; only used to choose between pairs that are all possible."""
IN_TURN_NS: Final = SECOND_NS // 10
"""What well-kept clocks differ by at most; only used to choose between migrations that one listener took in turn."""
TOLERANCE_NS: Final = 2 * SECOND_NS
"""Sides whose times lie further apart are not looked for as partners, as long as there are nearer ones."""


class Presence(NamedTuple):
    """From when to when a side was migrating (Unix epoch, ns)."""

    begin_ns: int
    end_ns: int

    def meets(self, other: Presence, *, within_ns: int = 0) -> bool:
        """Return whether both lie no further apart than ``within_ns``; by so much they overlap if it is negative."""
        return self.begin_ns <= other.end_ns + within_ns and other.begin_ns <= self.end_ns + within_ns

    def is_mostly_within(self, other: Presence) -> bool:
        """Return whether both overlap for at least half of the time that the shorter of them lasts."""
        overlap_ns = min(self.end_ns, other.end_ns) - max(self.begin_ns, other.begin_ns)
        shorter_ns = min(self.end_ns - self.begin_ns, other.end_ns - other.begin_ns)
        return overlap_ns >= 0 and 2 * overlap_ns >= shorter_ns

    def apart_ns(self, other: Presence) -> int:
        """Return how far apart both begin."""
        return abs(self.begin_ns - other.begin_ns)


def zero_ns(side: Side) -> int | None:
    """Return when a side's clock read zero (Unix epoch); None if nothing tells what time it was.

    A wall clock does, and so does whatever stamped the lines of a boot clock when it took them over, unless a part of
    the date had to be assumed.
    """
    if side.vmm.domain is ClockDomain.REALTIME:
        return 0
    return None if side.vmm.assumed else side.vmm.latest_zero_ns


def presence_of(side: Side) -> Presence | None:
    """Return when ``side`` was migrating; None if nothing tells what time it was."""
    zero = zero_ns(side)
    if zero is None:
        return None
    if side.role is Role.SOURCE:
        begun, end = side.sent.connecting, side.sent.end
    else:
        begun, end = side.received.begun, side.received.end
    return Presence(zero + (begun or side.first).ns, zero + (end or side.last).ns)


def were_at_one_time(source: Side, destination: Side) -> bool:
    """Return whether both were migrating at one time, by what their hosts say what time it was."""
    one, other = presence_of(source), presence_of(destination)
    return one is not None and other is not None and one.meets(other)


def have_wall_clocks(source: Side, destination: Side) -> bool:
    """Return whether both sides have wall clocks."""
    return source.vmm.domain is destination.vmm.domain is ClockDomain.REALTIME
