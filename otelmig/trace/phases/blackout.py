"""How long the guest's vCPUs stood still, from the source's stop to the destination's run, with error bars.

Neither side prints either instant: each lies in a window between two lines (:class:`~otelmig.migration.facts.Window`),
which the hypervisor's package knows. A window that is open on one side gives a bound on one side only. The guest may
need milliseconds more to do useful work.

The width of the answer has two parts: what lies between the lines (``semantic``), and what is not known of the clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.side import Mode, Result, Role
from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.trace.drafting.span_draft import SpanDraft
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from otelmig.clock.bounds import ClockBounds
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.facts import Printed, Window
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.timeline import Moment

__all__ = ["Blackout", "blackout_attributes", "blackout_draft", "blackout_of"]


class Blackout(Struct, frozen=True, kw_only=True):
    """When the vCPUs stood still; the duration lies in ``[min_ns, max_ns]``."""

    start: Moment
    end: Moment
    min_ns: int
    max_ns: int | None
    """None where nothing bounds it."""
    between_lines_ns: int = 0
    """How much of ``max_ns - min_ns`` is there because neither instant is printed; the clocks are the rest."""
    printed: Printed | None = None
    """The downtime that the hypervisor prints."""

    @property
    def duration_ns(self) -> int:
        """The estimate: from the middle of where they stopped to the middle of where they ran again."""
        return self.end.ns - self.start.ns


def blackout_of(aligned: AlignedSides, proof: ClockProof | None) -> Blackout | None:
    """Return the blackout of this migration, or None where none can be claimed.

    None for a guest that was paused before (its resume is the operator's), for a failure that stopped nothing, where
    the other end is not logged, where the clocks contradict each other while the guest stood still, and where the
    printed downtime is shorter than what is proved.
    """
    source = aligned.source
    stop = None if source is None or source.paused_before else source.sent.pause.stop
    if source is None or stop is None:
        return None
    run, placement = aligned.received.run, aligned.timeline.placement
    if source.sent.handed_over is None and run is None:
        return _rolled_back(aligned, source, stop)
    if run is None or proof is None or placement is None or placement.bounds is None:
        return None
    first_ns, last_ns = _earliest_ns(stop), _latest_ns(run)
    bounds = proof.bounds_between(first_ns, last_ns - placement.estimate_ns)
    if bounds is None:
        return None
    shortest, longest = _least_ns(stop, run, bounds), _most_ns(source, stop, run, bounds)
    if longest is None and not shortest:  # nothing is known of its length
        return None
    if longest is not None and shortest > longest:  # what is proved and what is printed exclude each other
        return None
    start, middle = _middle(aligned, Role.SOURCE, stop), _middle(aligned, Role.DESTINATION, run)
    estimate = max(middle.ns - start.ns, shortest)
    if longest is not None:
        estimate = min(estimate, longest)
    shortest = min(shortest, estimate)
    between_ns = (stop.width_ns or 0) + (run.width_ns or 0)
    downtime = source.sent.downtime
    return Blackout(
        start=start,
        end=_resting_on(start.plus(estimate, middle.error_ns or 0), middle),
        min_ns=shortest,
        max_ns=longest,
        between_lines_ns=between_ns if longest is None else min(between_ns, longest - shortest),
        printed=None if downtime is None or longest is None else downtime.duration,
    )


def _least_ns(stop: Window, run: Window, bounds: ClockBounds) -> int:
    """Return the least that they can have stood still: from the latest stop to the earliest run."""
    earliest = None if run.lo_ns is None else bounds.earliest_source_ns(run.lo_ns)
    return 0 if earliest is None or stop.hi_ns is None else max(earliest - stop.hi_ns, 0)


def _most_ns(source: Side, stop: Window, run: Window, bounds: ClockBounds) -> int | None:
    """Return the most: from the earliest stop to the latest run, and no more than a downtime that encloses it."""
    latest = None if run.hi_ns is None else bounds.latest_source_ns(run.hi_ns)
    candidates = [] if latest is None or stop.lo_ns is None else [latest - stop.lo_ns]
    downtime = source.sent.downtime
    if downtime is not None and downtime.guest_ran:
        if downtime.duration is not None:
            candidates.append(downtime.duration.ns + downtime.duration.error_ns)
        elif stop.lo_ns is not None:
            candidates.append(downtime.end.stamp.hi_ns - stop.lo_ns)
    return min(candidates, default=None)


def _rolled_back(aligned: AlignedSides, source: Side, stop: Window) -> Blackout | None:
    """Return the blackout of a failure in the downtime: the source's own guest runs again, and one clock saw it all."""
    run = source.sent.run
    if run is None or source.result is Result.UNKNOWN:
        return None
    start, end = _middle(aligned, Role.SOURCE, stop), _middle(aligned, Role.SOURCE, run)
    if end.ns <= start.ns:
        return None
    shortest = 0 if run.lo_ns is None or stop.hi_ns is None else max(run.lo_ns - stop.hi_ns, 0)
    if source.mode is Mode.POSTCOPY and (
        aligned.destination is None or aligned.destination.result is not Result.FAILURE
    ):
        shortest = 0  # it may have run on the destination first, until that asked for a page
    if run.hi_ns is None or stop.lo_ns is None:
        return Blackout(start=start, end=end, min_ns=shortest, max_ns=None)
    longest = max(run.hi_ns - stop.lo_ns, 0)
    return Blackout(start=start, end=end, min_ns=shortest, max_ns=longest, between_lines_ns=longest - shortest)


def _earliest_ns(window: Window) -> int:
    """Return the earliest time that one of a window's lines gives."""
    return min(ns for ns in (window.lo_ns, window.hi_ns) if ns is not None)


def _latest_ns(window: Window) -> int:
    """Return the latest time that one of a window's lines gives."""
    return max(ns for ns in (window.lo_ns, window.hi_ns) if ns is not None)


def _middle(aligned: AlignedSides, role: Role, window: Window) -> Moment:
    """Return the middle of a window; where it is open, the line that bounds it."""
    moments = [aligned.timeline.at(role, end) for end in (window.first, window.last) if end is not None]
    half = (moments[-1].ns - moments[0].ns) // 2
    return moments[0].plus(half, abs(half))


def _resting_on(moment: Moment, line: Moment) -> Moment:
    """Return ``moment`` with the evidence of ``line``."""
    return line.plus(moment.ns - line.ns)


def blackout_draft(blackout: Blackout) -> SpanDraft:
    """Return the span ``blackout``."""
    span = SpanDraft(SpanName.BLACKOUT, blackout.start, blackout.end, sequential=False)
    span.attributes |= blackout_attributes(blackout)
    return span


def blackout_attributes(blackout: Blackout) -> dict[str, float]:
    """Return the estimate, its bounds, what makes them wide, and the printed downtime's excess, in seconds."""
    attributes = {
        names.VM_MIGRATION_BLACKOUT_DURATION: seconds(blackout.duration_ns),
        names.VM_MIGRATION_BLACKOUT_MIN: seconds(blackout.min_ns),
    }
    if blackout.max_ns is None:
        return attributes
    width = blackout.max_ns - blackout.min_ns
    attributes |= {
        names.VM_MIGRATION_BLACKOUT_MAX: seconds(blackout.max_ns),
        names.VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC: seconds(blackout.between_lines_ns),
        names.VM_MIGRATION_BLACKOUT_WIDTH_CLOCK: seconds(width - blackout.between_lines_ns),
    }
    if blackout.printed is not None:
        least, most = blackout.printed.ns, blackout.printed.ns + blackout.printed.error_ns
        attributes |= {
            names.VM_MIGRATION_DOWNTIME_EXCESS_DURATION: seconds((least + most) // 2 - blackout.duration_ns),
            names.VM_MIGRATION_DOWNTIME_EXCESS_MIN: seconds(least - blackout.max_ns),
            names.VM_MIGRATION_DOWNTIME_EXCESS_MAX: seconds(most - blackout.min_ns),
        }
    return attributes
