"""What to say of constraints that no offset satisfies: which, how many, by how much, and whether one step explains it.

For two clocks two constraints are enough to contradict each other, so the worst pair can always be named. Nothing is
dropped or averaged: what is left is either a step of a wall clock, or a claim that something else is wrong (logs of
two migrations, a damaged stamp, a clock slewed beyond the assumed drift).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds
from otelmig.structs import Struct
from otelmig.units import PPB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.clock.bounds import ClockBounds, Contradiction
    from otelmig.migration.constraint import Constraint

__all__ = ["Conflict", "OffsetStep", "SettableClock", "conflict_of", "is_excluded"]

_FAR: Final = 1 << 62


class SettableClock(Struct, frozen=True, kw_only=True):
    """A wall clock, which may have been set while it was read."""

    on_source: bool
    order: Callable[[Constraint], int]
    """Sorts constraints as their ends on this clock's host came to pass."""
    goes_back: bool = False
    """Whether its readings go back somewhere."""


class OffsetStep(Struct, frozen=True, kw_only=True):
    """One of the two clocks was set, once; ``[lo_ns, hi_ns]`` is by how much the offset grew (None: not bounded)."""

    lo_ns: int | None
    hi_ns: int | None
    last_before: Constraint
    """The last constraint that must lie before the step."""
    first_after: Constraint
    """The first that must lie after it."""
    window_ns: tuple[int, int]
    """What the source's clock read up to the first was read before the step, what it read from the second on after."""
    before: ClockBounds
    """What is proved by the constraints that must lie before it."""
    after: ClockBounds

    @property
    def least_ns(self) -> int:
        """The smallest step that explains everything, without its sign."""
        return max(self.lo_ns or 0, -(self.hi_ns or 0), 0)


class Conflict(Struct, frozen=True, kw_only=True):
    """Constraints that exclude each other, whatever the offset."""

    worst: Contradiction
    contradicting: int
    """How many constraints exclude at least one other."""
    step: OffsetStep | None

    @property
    def widening_ns(self) -> int:
        """By how much every constraint would have to be loosened for all of them to hold."""
        return -(-self.worst.excess_ns // 2)


def conflict_of(
    constraints: Sequence[Constraint],
    bounds: ClockBounds,
    *,
    settable: Sequence[SettableClock],
) -> Conflict | None:
    """Return what contradicts in ``constraints``, if anything; ``settable`` are the clocks that may step."""
    worst = bounds.contradiction
    if worst is None:
        return None
    contradicting = sum(is_excluded(constraint, bounds) for constraint in constraints)
    step = _step(constraints, bounds.drift_ppb, settable)
    return Conflict(worst=worst, contradicting=contradicting, step=step)


def is_excluded(constraint: Constraint, bounds: ClockBounds) -> bool:
    """Return whether another constraint of ``bounds`` excludes this one."""
    if constraint.upper:
        lo = bounds.lo_ns(constraint.at_ns)
        return lo is not None and lo > constraint.bound_ns
    hi = bounds.hi_ns(constraint.at_ns)
    return hi is not None and hi < constraint.bound_ns


class _Split(Struct, frozen=True, kw_only=True):
    """If this clock was set: the constraints that must lie before that, and after it; in order, neither empty."""

    before: Sequence[Constraint]
    after: Sequence[Constraint]
    first_ns: int
    """A source time before the step."""
    last_ns: int
    """A source time after it."""


def _step(constraints: Sequence[Constraint], drift_ppb: int, settable: Iterable[SettableClock]) -> OffsetStep | None:
    """Return the one step that explains everything, if there is one; what is claimed holds whichever clock was set."""
    splits = [split for clock in settable if (split := _split(constraints, drift_ppb, clock)) is not None]
    if not splits:
        return None
    surely_before = _common([split.before for split in splits])
    surely_after = _common([split.after for split in splits])
    before = clock_bounds(surely_before, drift_ppb=drift_ppb)
    after = clock_bounds(surely_after, drift_ppb=drift_ppb)
    first, last = min(split.first_ns for split in splits), max(split.last_ns for split in splits)
    lo, hi = _size(before, after, first, last) if first > -_FAR and last < _FAR else (None, None)
    if lo is None and hi is None:  # the two explanations have nothing in common, or no end in time
        return None
    first, last = min(first, last), max(first, last)
    if any(clock.on_source and clock.goes_back for clock in settable):  # the same reading on both sides of the step
        back = _FAR if hi is None else max(hi, 0)
        first, last = first - back, last + back
    return OffsetStep(
        lo_ns=lo,
        hi_ns=hi,
        last_before=surely_before[-1],
        first_after=surely_after[0],
        window_ns=(first, last),
        before=before,
        after=after,
    )


def _split(constraints: Sequence[Constraint], drift_ppb: int, clock: SettableClock) -> _Split | None:
    """Return the longest feasible beginning and end, if they meet.

    Constraints between them fit either side; what is claimed rests on those that fit one side only.
    """
    ordered = sorted(constraints, key=clock.order)
    count = len(ordered)

    def contradicts(part: Sequence[Constraint]) -> bool:
        return clock_bounds(part, drift_ppb=drift_ppb).contradiction is not None

    wanted = True
    beginning = bisect_left(range(count), wanted, key=lambda size: contradicts(ordered[: size + 1]))
    end = bisect_left(range(count), wanted, key=lambda start: not contradicts(ordered[start:]))
    if not 0 < end <= beginning < count:
        return None
    before, after = ordered[:end], ordered[beginning:]
    first: int | None = _source_time(before[-1], late=False)
    last: int | None = _source_time(after[0], late=True)
    if not clock.on_source:  # the step follows, or precedes, the destination's end, which may be another source time
        if not before[-1].upper:
            first = clock_bounds(before, drift_ppb=drift_ppb).earliest_source_ns(before[-1].destination_ns)
        if after[0].upper:
            last = clock_bounds(after, drift_ppb=drift_ppb).latest_source_ns(after[0].destination_ns)
    return _Split(
        before=before,
        after=after,
        first_ns=-_FAR if first is None else first,
        last_ns=_FAR if last is None else last,
    )


def _source_time(constraint: Constraint, *, late: bool) -> int:
    """Return the source's end of a constraint, taken early or late within its resolution."""
    resolution = 2 * constraint.rounding_ns + 1
    if constraint.upper:
        return constraint.at_ns + (resolution if late else 0)
    return constraint.at_ns - (0 if late else resolution)


def _common(parts: Sequence[Sequence[Constraint]]) -> list[Constraint]:
    """Return the constraints that are in every part."""
    others = [{id(constraint) for constraint in part} for part in parts[1:]]
    return [constraint for constraint in parts[0] if all(id(constraint) in other for other in others)]


def _size(before: ClockBounds, after: ClockBounds, first_ns: int, last_ns: int) -> tuple[int | None, int | None]:
    """Return by how much the offset grew between a source time before the step and one after it.

    A source's clock that was set back by ``step`` ran for ``last_ns - first_ns + step`` between them.
    """
    drift = before.drift_ppb
    drifted = (last_ns - first_ns) * drift
    lo, hi = after.lo_ns(last_ns), after.hi_ns(last_ns)
    least, most = before.lo_ns(first_ns), before.hi_ns(first_ns)
    grown: list[int | None] = [None, None]
    if lo is not None and most is not None:
        numerator = (lo - most) * PPB - drifted
        grown[0] = numerator // (PPB + drift if numerator > 0 else PPB)
    if hi is not None and least is not None:
        numerator = (hi - least) * PPB + drifted
        grown[1] = -(-numerator // (PPB - drift if numerator > 0 else PPB))
    return grown[0], grown[1]
