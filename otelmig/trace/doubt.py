"""What in a side's evidence cannot be right: times that go back, printed durations that do not fit, what is missing.

A trace is built all the same, by the rest of the evidence; the doubt is recorded with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.clock.clock_step import steps_seen_in
from otelmig.migration.stamp import ClockDomain
from otelmig.trace.phases.incidents import incident_doubts
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.clock.clock_step import ClockStep
    from otelmig.migration.side import Side

__all__ = ["doubts", "impossible_downtime"]


def doubts(side: Side) -> Iterator[str]:
    """Yield each doubt in a sentence, with the line or the input that it rests on."""
    yield from side.vmm.doubts
    yield from _steps(side)
    yield from _backward(side)
    if side.paused_before and side.sent.resumed is not None:
        yield f"the failure resumed a guest that had been paused before the migration ({side.sent.resumed.where})"
    yield from incident_doubts(side)
    downtime, parts = side.sent.downtime, side.sent.downtime_parts
    if downtime is not None and downtime.duration is not None and impossible_downtime(side):
        printed_ms = downtime.duration.ns // MILLISECOND_NS
        yield f"the printed downtime of {printed_ms} ms is longer than the migration ({downtime.end.where})"
    if parts is not None and parts.total is not None:
        printed = (parts.final_delta, parts.snapshot, parts.send, parts.complete)
        if sum(part.ns for part in printed if part is not None) > parts.total.ns + parts.total.error_ns:
            yield f"the printed parts of the downtime add up to more than all of it ({parts.at.where})"


def _steps(side: Side) -> Iterator[str]:
    """Yield a wall clock that was set, by what its own log shows."""
    for step in steps_seen_in(side):
        yield f"the wall clock was set, by {_size(step)}, between {step.first.where} and {step.second.where}"


def _size(step: ClockStep) -> str:
    lo, hi = step.lo_ns, step.hi_ns
    if lo is not None and hi is not None:
        return f"{lo / MILLISECOND_NS:+.1f} .. {hi / MILLISECOND_NS:+.1f} ms"
    return (
        f"{lo / MILLISECOND_NS:+.3f} ms or more" if lo is not None else f"{(hi or 0) / MILLISECOND_NS:+.3f} ms or less"
    )


def _backward(side: Side) -> Iterator[str]:
    """Yield a doubt if a thread's time goes back and no clock was set: it writes in order, so a line is damaged."""
    wallclock = side.vmm.domain is ClockDomain.REALTIME
    alone = (
        step_back for step_back in side.going_back() if not (wallclock and side.stays_back(step_back[1], step_back[2]))
    )
    worst = max(alone, key=lambda pair: pair[0], default=None)
    if worst is not None:
        back_ns, _, observation = worst
        yield f"times go back by {back_ns / MILLISECOND_NS:.3f} ms at {observation.where}: lines are damaged or mixed"


def impossible_downtime(side: Side) -> bool:
    """Return whether the printed downtime would begin before the migration did."""
    downtime, begun = side.sent.downtime, side.sent.begun
    if downtime is None or downtime.duration is None or begun is None:
        return False
    return downtime.duration.ns > downtime.end.stamp.hi_ns - begun.stamp.lo_ns
