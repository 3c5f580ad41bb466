"""How long the guest's vCPUs stood still, from the source's stop to the destination's run, with error bars.

Neither side prints either instant. On the source the vCPUs stop between ``pausing`` and the first device that is
paused after them. On the destination they run between two lines of the resume: until v51 they start first, right
after ``resuming``; from v52.0 they start last, right before ``resumed``. The guest may need milliseconds more to do
useful work.

The width of the answer has two parts: what lies between the lines (``semantic``), and what is not known of the clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Kind
from otelmig.migration.side import Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.aligned_sides import seconds
from otelmig.trace.span_draft import Draft
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.trace.aligned_sides import AlignedSides
    from otelmig.trace.timeline import Moment

__all__ = ["Blackout", "blackout_attributes", "blackout_draft", "blackout_of"]

_MS: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """When the vCPUs stood still; the duration lies in ``[min_ns, max_ns]``."""

    start: Moment
    end: Moment
    min_ns: int
    max_ns: int
    between_lines_ns: int
    """How much of ``max_ns - min_ns`` is there because neither instant is printed; the clocks are the rest."""
    printed_ns: int | None = None
    """The downtime that the hypervisor prints, truncated to a millisecond."""

    @property
    def duration_ns(self) -> int:
        """The estimate: from the middle of where they stopped to the middle of where they ran again."""
        return self.end.ns - self.start.ns


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """Something happened between two observations."""

    first: Observation
    last: Observation

    @property
    def lo_ns(self) -> int:
        return self.first.stamp.lo_ns

    @property
    def hi_ns(self) -> int:
        return self.last.stamp.hi_ns

    @property
    def width_ns(self) -> int:
        return max(self.last.stamp.ns - self.first.stamp.ns, 0)


def blackout_of(aligned: AlignedSides, proof: ClockProof | None) -> Blackout | None:
    """The blackout of this migration, or None where none can be claimed.

    None for a guest that was paused before (its resume is the operator's), for a failure that stopped nothing, where
    the other end is not logged, where the clocks contradict each other while the guest stood still, and where the
    printed downtime is shorter than what is proved.
    """
    source = aligned.source
    stop = None if source is None or source.paused_before else _stop(source)
    if source is None or stop is None:
        return None
    if source.first(Kind.COMPLETED, Kind.SEND_FINISHED) is None:
        return _rolled_back(aligned, source, stop)
    run = None if aligned.destination is None else _run(aligned.destination)
    placement = aligned.timeline.placement
    if run is None or proof is None or placement is None or placement.bounds is None:
        return None
    bounds = proof.bounds_between(stop.lo_ns, run.hi_ns - placement.estimate_ns)
    if bounds is None:
        return None
    lo = bounds.earliest_source_ns(run.lo_ns)
    hi = bounds.latest_source_ns(run.hi_ns)
    middle = _middle(aligned, Role.DESTINATION, run)
    start = _middle(aligned, Role.SOURCE, stop)
    completed = source.first(Kind.COMPLETED)
    printed = None if completed is None else completed.number("downtime_ns")
    ceiling = None
    if printed is not None:
        ceiling = printed + _MS
    elif completed is not None:
        ceiling = completed.stamp.hi_ns - stop.lo_ns
    shortest = max((lo - stop.hi_ns) if lo is not None else 0, 0)
    longest = hi - stop.lo_ns if hi is not None else ceiling
    if longest is None:
        return None
    if ceiling is not None:
        longest = min(longest, ceiling)
    if shortest > longest:  # what is proved and what is printed exclude each other
        return None
    estimate = min(max(middle.ns - start.ns, shortest), longest)
    shortest = min(shortest, estimate)
    end = start.plus(estimate, middle.error_ns or 0)
    return Blackout(
        start=start,
        end=_resting_on(end, middle),
        min_ns=shortest,
        max_ns=longest,
        between_lines_ns=min(stop.width_ns + run.width_ns, longest - shortest),
        printed_ns=printed,
    )


def _rolled_back(aligned: AlignedSides, source: Side, stop: _Window) -> Blackout | None:
    """A failure in the downtime: the source's own guest runs again, and one clock saw it all."""
    run = _run(source)
    if run is None or source.result is Result.UNKNOWN:
        return None
    start, end = _middle(aligned, Role.SOURCE, stop), _middle(aligned, Role.SOURCE, run)
    if end.ns <= start.ns:
        return None
    shortest, longest = max(run.lo_ns - stop.hi_ns, 0), max(run.hi_ns - stop.lo_ns, 0)
    return Blackout(start=start, end=end, min_ns=shortest, max_ns=longest, between_lines_ns=longest - shortest)


def _stop(source: Side) -> _Window | None:
    """Where the vCPUs stopped."""
    pausing = source.first(Kind.VM_PAUSING)
    if pausing is None:
        return None
    later = [seen for kind in (Kind.DEVICE_PAUSING, Kind.VM_PAUSED) if (seen := source.first(kind)) is not None]
    stopped = [seen for seen in later if seen.stamp.ns >= pausing.stamp.ns]
    return _Window(first=pausing, last=min(stopped, key=lambda seen: seen.stamp.hi_ns)) if stopped else None


def _run(side: Side) -> _Window | None:
    """Where the vCPUs ran again, after the migration's own resume on ``side``."""
    resuming, resumed = side.first(Kind.VM_RESUMING), side.first(Kind.VM_RESUMED)
    if resuming is None or resumed is None:
        return None
    devices = [
        seen for seen in side.all(Kind.DEVICE_RESUMING) if resuming.stamp.ns <= seen.stamp.ns <= resumed.stamp.ns
    ]
    if side.vmm.vcpus_resume_first:
        return _Window(first=resuming, last=min((*devices[:1], resumed), key=lambda seen: seen.stamp.hi_ns))
    return _Window(first=max((*devices[-1:], resuming), key=lambda seen: seen.stamp.lo_ns), last=resumed)


def _middle(aligned: AlignedSides, role: Role, window: _Window) -> Moment:
    first, last = aligned.timeline.at(role, window.first), aligned.timeline.at(role, window.last)
    half = (last.ns - first.ns) // 2
    return first.plus(half, half)


def _resting_on(moment: Moment, line: Moment) -> Moment:
    """``moment``, with the evidence of ``line``."""
    return line.plus(moment.ns - line.ns)


def blackout_draft(blackout: Blackout) -> Draft:
    """The span ``blackout``."""
    span = Draft(SpanName.BLACKOUT, blackout.start, blackout.end, sequential=False)
    span.attributes |= blackout_attributes(blackout)
    return span


def blackout_attributes(blackout: Blackout) -> dict[str, float]:
    """The estimate, its bounds, what makes them wide, and how far the printed downtime is from it, in seconds."""
    width = blackout.max_ns - blackout.min_ns
    found = {
        names.VM_MIGRATION_BLACKOUT_DURATION: seconds(blackout.duration_ns),
        names.VM_MIGRATION_BLACKOUT_MIN: seconds(blackout.min_ns),
        names.VM_MIGRATION_BLACKOUT_MAX: seconds(blackout.max_ns),
        names.VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC: seconds(blackout.between_lines_ns),
        names.VM_MIGRATION_BLACKOUT_WIDTH_CLOCK: seconds(width - blackout.between_lines_ns),
    }
    if blackout.printed_ns is not None:
        printed = blackout.printed_ns
        found |= {
            names.VM_MIGRATION_DOWNTIME_EXCESS_DURATION: seconds(printed + _MS // 2 - blackout.duration_ns),
            names.VM_MIGRATION_DOWNTIME_EXCESS_MIN: seconds(printed - blackout.max_ns),
            names.VM_MIGRATION_DOWNTIME_EXCESS_MAX: seconds(printed + _MS - blackout.min_ns),
        }
    return found
