"""Whether a wall clock was set while it was read, as one host's log alone can tell.

Three things tell: a line that prints the process's own monotonic time beside the wall clock; lines of one thread whose
times go back; and a printed duration that does not fit between the stamps around it. None of them needs the other host.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS, PPB, PPM_PPB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.facts import Instant
    from otelmig.migration.side import Side

__all__ = ["ClockStep", "steps_seen_in"]

_LOCK_WAIT_NS: Final = 5 * MILLISECOND_NS
"""The wall clock is read later than the monotonic one, behind the lock of the output: longer waits were not seen."""
_SLEW_PPB: Final = 500 * PPM_PPB
"""How fast a clock that is not set may run apart from the monotonic one."""


class ClockStep(Struct, frozen=True, kw_only=True):
    """A clock was set between two lines, by ``[lo_ns, hi_ns]`` (None: not bounded on that side)."""

    role: Role
    """Whose clock it was."""
    first: Instant
    second: Instant
    lo_ns: int | None
    hi_ns: int | None

    @property
    def offset_growth_ns(self) -> tuple[int | None, int | None]:
        """The change of (destination - source) that this step causes; its sign depends on whose clock stepped."""
        if self.role is Role.DESTINATION:
            return self.lo_ns, self.hi_ns
        return (None if self.hi_ns is None else -self.hi_ns), (None if self.lo_ns is None else -self.lo_ns)


def steps_seen_in(side: Side) -> tuple[ClockStep, ...]:
    """Return each way in which the log of ``side`` shows that its wall clock was set; empty for a monotonic clock."""
    if side.vmm.domain is not ClockDomain.REALTIME:
        return ()
    return (*_by_monotonic_time(side), *_by_going_back(side), *_by_printed_downtime(side))


def _by_monotonic_time(side: Side) -> Iterator[ClockStep]:
    """Yield each step by which the wall clock and the monotonic one ran apart, beyond waiting, rounding and slewing."""
    both = [
        (observation, elapsed)
        for observation in side.observations
        if (elapsed := observation.stamp.elapsed) is not None
    ]
    if len(both) <= 1:  # nothing lies between
        return
    apart = [observation.stamp.ns - elapsed.ns for observation, elapsed in both]
    blur = max(observation.stamp.error_ns + elapsed.error_ns for observation, elapsed in both)
    span = both[-1][1].ns - both[0][1].ns
    allowed = _LOCK_WAIT_NS + 2 * blur + abs(span) * _SLEW_PPB // PPB
    most, least = list(accumulate(apart, max)), list(accumulate(apart, min))
    most_after = list(accumulate(reversed(apart), max))[::-1]
    least_after = list(accumulate(reversed(apart), min))[::-1]
    for at in range(1, len(both)):
        forward, back = least_after[at] - most[at - 1], most_after[at] - least[at - 1]
        if forward > allowed or back < -allowed:
            grown = apart[at] - apart[at - 1]
            yield ClockStep(
                role=side.role,
                first=both[at - 1][0].instant,
                second=both[at][0].instant,
                lo_ns=grown - allowed,
                hi_ns=grown + allowed,
            )


def _by_going_back(side: Side) -> Iterator[ClockStep]:
    """Yield the largest step back between lines of one thread, which are written in order, if what follows stays back.

    A single line may stand out of order, or its stamp may be damaged.
    """
    staying = (step_back for step_back in side.going_back() if side.stays_back(step_back[1], step_back[2]))
    worst = max(staying, key=lambda pair: pair[0], default=None)
    if worst is not None:
        back_ns, before, observation = worst
        yield ClockStep(role=side.role, first=before.instant, second=observation.instant, lo_ns=None, hi_ns=-back_ns)


def _by_printed_downtime(side: Side) -> Iterator[ClockStep]:
    """Yield the step that a printed downtime shows, which the hypervisor timed by a monotonic clock.

    That timer starts before ``pausing`` is stamped and stops before the line of the completion is.
    """
    downtime = side.sent.downtime
    if downtime is None or downtime.duration is None:
        return
    end, printed = downtime.end, downtime.duration
    slack = printed.ns * _SLEW_PPB // PPB
    pausing = side.sent.pause.pausing
    if pausing is not None and pausing.stamp.domain is end.stamp.domain:
        # the line may have waited for the output's lock before its wall clock was read
        longest = printed.ns + printed.error_ns + slack + _LOCK_WAIT_NS
        excess = end.stamp.lo_ns - pausing.stamp.hi_ns - longest
        if excess > 0:
            yield ClockStep(role=side.role, first=pausing, second=end, lo_ns=excess, hi_ns=None)
    before = side.sent.before_downtime
    if before is not None:
        missing = printed.ns - slack - (end.stamp.hi_ns - before.stamp.lo_ns)
        if missing > 0:
            yield ClockStep(role=side.role, first=before, second=end, lo_ns=None, hi_ns=-missing)
