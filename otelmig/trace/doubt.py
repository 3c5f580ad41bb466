"""What in a side's evidence cannot be right: times that go back, printed durations that do not fit.

A trace is built all the same, by the rest of the evidence; the doubt is recorded with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.clock.clock_step import steps_seen_in
from otelmig.migration.observation import Kind
from otelmig.migration.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.clock.clock_step import ClockStep
    from otelmig.migration.side import Side

__all__ = ["doubts", "impossible_downtime"]

_MS: Final = 10**6
_PARTS: Final = ("final_delta_ns", "snapshot_ns", "send_ns", "complete_ns")


def doubts(side: Side) -> Iterator[str]:
    """Each doubt in a sentence, with the line that it rests on."""
    yield from _settings(side)
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


def _settings(side: Side) -> Iterator[str]:
    """A wall clock that was set, by what its own log shows."""
    for each in steps_seen_in(side):
        yield f"the wall clock was set, by {_size(each)}, between {each.first.where} and {each.second.where}"


def _size(setting: ClockStep) -> str:
    lo, hi = setting.lo_ns, setting.hi_ns
    if lo is not None and hi is not None:
        return f"{lo / _MS:+.1f} .. {hi / _MS:+.1f} ms"
    return f"{lo / _MS:+.3f} ms or more" if lo is not None else f"{(hi or 0) / _MS:+.3f} ms or less"


def _backward(side: Side) -> Iterator[str]:
    """Lines of one thread are written in order: on a monotonic clock a time that goes back is a damaged line."""
    if side.vmm.domain is ClockDomain.REALTIME:
        return
    worst = max(side.going_back(), key=lambda found: found[0], default=None)
    if worst is not None:
        back_ns, _, seen = worst
        yield f"times go back by {back_ns / _MS:.3f} ms at {seen.where}: lines are damaged or mixed"


def impossible_downtime(side: Side) -> bool:
    """Whether the printed downtime would begin before the migration did."""
    completed = side.first(Kind.COMPLETED)
    started = side.first(Kind.SEND_STARTED, Kind.SEND_ANNOUNCED, Kind.SEND_REQUESTED)
    if completed is None or started is None:
        return False
    printed = completed.number("downtime_ns")
    return printed is not None and printed > completed.stamp.hi_ns - started.stamp.lo_ns
