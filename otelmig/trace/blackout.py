"""How long the guest's vCPUs stood still, from the source's stop to the destination's run, with error bars.

Neither side prints either instant. On the source the vCPUs stop between ``pausing`` and the first device that is
paused after them. On the destination they run between two lines of the resume: until v51 they start first, right
after ``resuming``; from v52.0 they start last, right before ``resumed``. The guest may need milliseconds more to do
useful work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.observation import Kind
from otelmig.side import Result, Role
from otelmig.trace.story import seconds

if TYPE_CHECKING:
    from otelmig.clock.bounds import ClockBounds
    from otelmig.observation import Observation
    from otelmig.side import Side
    from otelmig.trace.draft import Draft
    from otelmig.trace.moment import Moment
    from otelmig.trace.story import Story

__all__ = ["Blackout", "blackout_draft", "blackout_of"]

_MS: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """When the vCPUs stood still; the duration lies in ``[min_ns, max_ns]``."""

    start: Moment
    end: Moment
    min_ns: int
    max_ns: int

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


def blackout_of(story: Story, bounds: ClockBounds | None) -> Blackout | None:
    """The blackout of this migration, or None where none can be claimed.

    None for a guest that was paused before (its resume is the operator's), for a failure that stopped nothing, and
    where the other end is not logged.
    """
    source = story.source
    stop = None if source is None or source.paused_before else _stop(source)
    if source is None or stop is None:
        return None
    if source.first(Kind.COMPLETED, Kind.SEND_FINISHED) is None:
        return _rolled_back(story, source, stop)
    run = None if story.destination is None else _run(story.destination)
    if run is None or bounds is None:
        return None
    lo = bounds.earliest_source_ns(run.lo_ns)
    hi = bounds.latest_source_ns(run.hi_ns)
    middle = _middle(story, Role.DESTINATION, run)
    start = _middle(story, Role.SOURCE, stop)
    completed = source.first(Kind.COMPLETED)
    ceiling = None
    if completed is not None and completed.number("downtime_ns") is not None:
        ceiling = (completed.number("downtime_ns") or 0) + _MS
    elif completed is not None:
        ceiling = completed.stamp.hi_ns - stop.lo_ns
    shortest = max((lo - stop.hi_ns) if lo is not None else 0, 0)
    longest = hi - stop.lo_ns if hi is not None else ceiling
    if longest is None:
        return None
    if ceiling is not None:
        longest = min(longest, ceiling)
    estimate = min(max(middle.ns - start.ns, shortest), longest)
    end = start.plus(estimate, middle.error_ns)
    return Blackout(start=start, end=_resting_on(end, middle), min_ns=min(shortest, estimate), max_ns=longest)


def _rolled_back(story: Story, source: Side, stop: _Window) -> Blackout | None:
    """A failure in the downtime: the source's own guest runs again, and one clock saw it all."""
    run = _run(source)
    if run is None or source.result is Result.UNKNOWN:
        return None
    start, end = _middle(story, Role.SOURCE, stop), _middle(story, Role.SOURCE, run)
    if end.ns <= start.ns:
        return None
    return Blackout(start=start, end=end, min_ns=max(run.lo_ns - stop.hi_ns, 0), max_ns=max(run.hi_ns - stop.lo_ns, 0))


def _stop(source: Side) -> _Window | None:
    """Where the vCPUs stopped."""
    pausing = source.first(Kind.VM_PAUSING)
    device = source.first(Kind.DEVICE_PAUSING) or source.first(Kind.VM_PAUSED)
    if pausing is None or device is None or device.stamp.ns < pausing.stamp.ns:
        return None
    return _Window(first=pausing, last=device)


def _run(side: Side) -> _Window | None:
    """Where the vCPUs ran again, after the migration's own resume on ``side``."""
    resuming, resumed = side.first(Kind.VM_RESUMING), side.first(Kind.VM_RESUMED)
    if resuming is None or resumed is None:
        return None
    devices = [
        seen for seen in side.all(Kind.DEVICE_RESUMING) if resuming.stamp.ns <= seen.stamp.ns <= resumed.stamp.ns
    ]
    if side.process.vcpus_resume_first:
        return _Window(first=resuming, last=devices[0] if devices else resumed)
    return _Window(first=devices[-1] if devices else resuming, last=resumed)


def _middle(story: Story, role: Role, window: _Window) -> Moment:
    first, last = story.timeline.at(role, window.first), story.timeline.at(role, window.last)
    half = (last.ns - first.ns) // 2
    return first.plus(half, half)


def _resting_on(moment: Moment, line: Moment) -> Moment:
    """``moment``, with the evidence of ``line``."""
    return line.plus(moment.ns - line.ns)


def blackout_draft(story: Story, blackout: Blackout) -> Draft:
    """The span ``blackout``."""
    span = story.draft("blackout", blackout.start, blackout.end, sequential=False)
    span.attributes |= blackout_attributes(blackout)
    return span


def blackout_attributes(blackout: Blackout) -> dict[str, float]:
    """The estimate and its bounds, in seconds."""
    return {
        "vm.migration.blackout.duration": seconds(blackout.duration_ns),
        "vm.migration.blackout.min": seconds(blackout.min_ns),
        "vm.migration.blackout.max": seconds(blackout.max_ns),
    }
