"""What to say of constraints that no offset satisfies: which, how many, by how much, and whether one step explains it.

For two clocks two constraints are enough to contradict each other, so the worst pair can always be named. Nothing is
dropped or averaged: what is left is either a step of a wall clock, or a claim that something else is wrong (logs of
two migrations, a damaged stamp, a clock slewed beyond the assumed drift).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.clock.bounds import ClockBounds, Contradiction
    from otelmig.clock.constraint import Constraint

__all__ = ["Conflict", "Step", "conflict_of", "is_excluded"]

_PPB: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the two clocks was set, once; ``[lo_ns, hi_ns]`` is by how much the offset grew (None: not bounded)."""

    lo_ns: int | None
    hi_ns: int | None
    last_before: Constraint
    """The last constraint that must lie before the step."""
    first_after: Constraint
    """The first that must lie after it."""
    before: ClockBounds
    """What is proved by the constraints that must lie before it."""
    after: ClockBounds

    @property
    def least_ns(self) -> int:
        """The smallest step that explains everything, without its sign."""
        return max(self.lo_ns or 0, -(self.hi_ns or 0), 0)

    @property
    def window_ns(self) -> tuple[int, int]:
        """The source times between which the step lies."""
        first, last = self.last_before.at_ns, self.first_after.at_ns
        return min(first, last), max(first, last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Constraints that exclude each other, whatever the offset."""

    worst: Contradiction
    contradicting: int
    """How many constraints exclude at least one other."""
    step: Step | None

    @property
    def widening_ns(self) -> int:
        """By how much every constraint would have to be loosened for all of them to hold."""
        return -(-self.worst.excess_ns // 2)


def conflict_of(
    constraints: Sequence[Constraint],
    bounds: ClockBounds,
    *,
    may_step: bool,
    order: Callable[[Constraint], int],
) -> Conflict | None:
    """What ``bounds`` of ``constraints`` contradict, if anything; ``order`` sorts constraints as they came to pass.

    A step is looked for only if one of the clocks ``may_step``: wall clocks do, monotonic ones never.
    """
    worst = bounds.contradiction
    if worst is None:
        return None
    contradicting = sum(is_excluded(each, bounds) for each in constraints)
    step = _step(sorted(constraints, key=order), bounds.drift_ppb) if may_step else None
    return Conflict(worst=worst, contradicting=contradicting, step=step)


def is_excluded(constraint: Constraint, bounds: ClockBounds) -> bool:
    """Whether another constraint of ``bounds`` excludes this one."""
    if constraint.upper:
        lo = bounds.lo_ns(constraint.at_ns)
        return lo is not None and lo > constraint.bound_ns
    hi = bounds.hi_ns(constraint.at_ns)
    return hi is not None and hi < constraint.bound_ns


def _step(ordered: Sequence[Constraint], drift_ppb: int) -> Step | None:
    """The one step that explains everything, if there is one: the longest feasible beginning and end must meet.

    Constraints between them fit either side; what is claimed rests on those that fit one side only.
    """
    count = len(ordered)

    def contradicts(part: Sequence[Constraint]) -> bool:
        return clock_bounds(part, drift_ppb=drift_ppb).contradiction is not None

    beginning = bisect_left(range(count), True, key=lambda size: contradicts(ordered[: size + 1]))  # noqa: FBT003
    end = bisect_left(range(count), True, key=lambda start: not contradicts(ordered[start:]))  # noqa: FBT003
    if not 0 < end <= beginning < count:
        return None
    before = clock_bounds(ordered[:end], drift_ppb=drift_ppb)
    after = clock_bounds(ordered[beginning:], drift_ppb=drift_ppb)
    last_before, first_after = ordered[end - 1], ordered[beginning]
    lo, hi = _size(before, after, last_before.at_ns, first_after.at_ns)
    return Step(lo_ns=lo, hi_ns=hi, last_before=last_before, first_after=first_after, before=before, after=after)


def _size(before: ClockBounds, after: ClockBounds, first_ns: int, last_ns: int) -> tuple[int | None, int | None]:
    """How far the offsets on the two sides of the step lie apart, wherever between the two instants it happened."""
    middle = (first_ns + last_ns) // 2
    slack = 2 * -(-abs(last_ns - first_ns) * before.drift_ppb // (2 * _PPB))

    def apart(one: int | None, other: int | None, sign: int) -> int | None:
        return None if one is None or other is None else one - other + sign * slack

    return (
        apart(after.lo_ns(middle), before.hi_ns(middle), -1),
        apart(after.hi_ns(middle), before.lo_ns(middle), 1),
    )
