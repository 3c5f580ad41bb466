"""What is known of the offset between two clocks: proved, proved on one side, contradicted, or nothing."""

from __future__ import annotations

from bisect import bisect_left
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.clock_step import steps_seen_in
from otelmig.clock.conflict import SettableClock, conflict_of
from otelmig.clock.drift import SLEWED_PPB, least_drift
from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.clock.bounds import ClockBounds
    from otelmig.clock.clock_step import ClockStep
    from otelmig.clock.conflict import Conflict
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side

__all__ = ["ClockProof", "ClockStatus", "prove", "prove_between"]


class ClockStatus(StrEnum):
    """What is known of the offset."""

    BOUNDED = "bounded"
    ASSUMED = "assumed"
    """Bounded, if these two belong together: a wall clock and a boot clock fit at any offset, and nothing else says."""
    ONE_SIDED = "one_sided"
    CONFLICT = "conflict"
    UNSYNCED = "unsynced"


class ClockProof(Struct, frozen=True, kw_only=True):
    """Everything that was said about the offset between two clocks, and what follows from it."""

    constraints: tuple[Constraint, ...]
    bounds: ClockBounds
    """At the assumed drift; they hold unless there is a conflict."""
    required_ppb: int | None = None
    """The smallest drift at which nothing contradicts, if that is more than was to be assumed."""
    conflict: Conflict | None = None
    steps: tuple[ClockStep, ...] = ()
    """Where one log alone shows that its host's wall clock was set."""

    @property
    def status(self) -> ClockStatus:
        """The state of the proof as a whole."""
        if self.conflict is not None or self.steps:
            return ClockStatus.CONFLICT
        if self.bounds.uppers and self.bounds.lowers:
            return ClockStatus.BOUNDED
        return ClockStatus.ONE_SIDED if self.bounds.uppers or self.bounds.lowers else ClockStatus.UNSYNCED

    def is_contradicted(self, at_ns: int) -> bool:
        """Return whether constraints exclude each other and no known step leaves an offset at that source time."""
        return self.conflict is not None and self.bounds_between(at_ns, at_ns) is None

    def bounds_between(self, first_ns: int, last_ns: int) -> ClockBounds | None:
        """Return the bounds that hold from one source time to another; None where none do.

        Around a step of known size they are those of before or after it; any other conflict leaves none, and so does
        a clock that was set without contradicting anything: where between the constraints is not known.
        """
        if self.conflict is None:
            return None if self.steps else self.bounds
        step = self.conflict.step
        if step is None or step.lo_ns is None or step.hi_ns is None:
            return None
        begin, end = step.window_ns
        return step.after if first_ns >= end else step.before if last_ns <= begin else None


def prove(
    constraints: Iterable[Constraint],
    *,
    drift_ppb: int,
    settable: Sequence[SettableClock] = (),
) -> ClockProof:
    """Return what ``constraints`` prove if the clocks drift by at most ``drift_ppb``; ``settable`` ones may step, too.

    Where the constraints refute that drift, but not that of a clock which is being slewed by NTP, the bounds are those
    of the slewed clock. Beyond that (and beyond what was asked for) they contradict each other.
    """
    all_constraints = tuple(constraints)
    bounds = clock_bounds(all_constraints, drift_ppb=drift_ppb)
    if bounds.contradiction is None:
        return ClockProof(constraints=all_constraints, bounds=bounds)
    least = least_drift(all_constraints, above=drift_ppb)
    required_ppb = None if least is None else least.drift_ppb
    if required_ppb is not None and required_ppb <= SLEWED_PPB:
        return ClockProof(
            constraints=all_constraints,
            bounds=clock_bounds(all_constraints, drift_ppb=SLEWED_PPB),
            required_ppb=required_ppb,
        )
    assumed = max(drift_ppb, SLEWED_PPB)
    bounds = clock_bounds(all_constraints, drift_ppb=assumed)
    conflict = conflict_of(all_constraints, bounds, settable=settable)
    return ClockProof(constraints=all_constraints, bounds=bounds, required_ppb=required_ppb, conflict=conflict)


def prove_between(source: Side, destination: Side, constraints: Iterable[Constraint], *, drift_ppb: int) -> ClockProof:
    """Return what ``constraints`` between two sides prove; only a wall clock may have stepped, or gone back."""
    wall = [side for side in (source, destination) if side.vmm.domain is ClockDomain.REALTIME]
    all_constraints = tuple(constraints)
    proof = prove(all_constraints, drift_ppb=drift_ppb)
    if proof.conflict is not None and wall:
        proof = prove(all_constraints, drift_ppb=drift_ppb, settable=[_settable(side) for side in wall])
    steps = tuple(step for side in wall for step in steps_seen_in(side))
    return replace(proof, steps=steps) if steps else proof


def _settable(side: Side) -> SettableClock:
    """Return the wall clock of a side; it sorts constraints as they were logged, measurements where their time fits."""
    on_source = side.role is Role.SOURCE
    observations = side.observations
    places = {id(observation): index for index, observation in enumerate(observations)}
    times = list(accumulate((observation.stamp.ns for observation in observations), max))

    def place(constraint: Constraint) -> int:
        index = places.get(id(constraint.on_source if on_source else constraint.on_destination))
        if index is not None:
            return 2 * index + 1
        return 2 * bisect_left(times, constraint.at_ns if on_source else constraint.destination_ns)

    back = any(later.stamp.hi_ns < earlier.stamp.lo_ns for earlier, later in pairwise(observations))
    return SettableClock(on_source=on_source, order=place, goes_back=back)
