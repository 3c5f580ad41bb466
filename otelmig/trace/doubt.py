"""What in a side's evidence cannot be right: times that go back, printed durations that do not fit.

A trace is built all the same, by the rest of the evidence; the doubt is recorded with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.observation import Kind
from otelmig.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.observation import Observation
    from otelmig.side import Side

__all__ = ["doubts", "impossible_downtime"]

_MS: Final = 10**6
_PARTS: Final = ("final_delta_ns", "snapshot_ns", "send_ns", "complete_ns")


def doubts(side: Side) -> Iterator[str]:
    """Each doubt in a sentence, with the line that it rests on."""
    yield from _backward(side)
    completed = side.first(Kind.COMPLETED)
    if completed is not None and impossible_downtime(side):
        printed = completed.number("downtime_ns") or 0
        yield f"the printed downtime of {printed // _MS} ms is longer than the migration ({completed.where})"
    parts = side.first(Kind.DOWNTIME_BREAKDOWN)
    if parts is not None:
        total, whole = sum(parts.number(name) or 0 for name in _PARTS), parts.number("downtime_ns")
        if whole is not None and total > whole + _MS:
            yield f"the printed parts of the downtime add up to more than all of it ({parts.where})"


def _backward(side: Side) -> Iterator[str]:
    """Lines of one thread are written in order: a time that goes back is a clock that was set, or a damaged line."""
    times = [seen.stamp.ns for seen in side.observations]
    if times == sorted(times):
        return
    last: dict[str, Observation] = {}
    worst: tuple[int, Observation] | None = None
    count = 0
    for seen in side.observations:
        before = last.get(seen.thread)
        last[seen.thread] = seen
        if before is None or not seen.thread:
            continue
        back_ns = before.stamp.lo_ns - (seen.since or seen.stamp).hi_ns
        if back_ns > 0:
            count += 1
            if worst is None or back_ns > worst[0]:
                worst = back_ns, seen
    if worst is not None:
        back_ns, seen = worst
        cause = "the wall clock was set" if seen.stamp.domain is ClockDomain.REALTIME else "lines are damaged or mixed"
        often = "once" if count == 1 else f"{count} times"
        yield f"times go back {often}, by up to {back_ns / _MS:.3f} ms at {seen.where}: {cause}"


def impossible_downtime(side: Side) -> bool:
    """Whether the printed downtime would begin before the migration did."""
    completed = side.first(Kind.COMPLETED)
    started = side.first(Kind.SEND_STARTED, Kind.SEND_ANNOUNCED, Kind.SEND_REQUESTED)
    if completed is None or started is None:
        return False
    printed = completed.number("downtime_ns")
    return printed is not None and printed > completed.stamp.hi_ns - started.stamp.lo_ns
