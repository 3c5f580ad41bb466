"""Jaeger's critical path through a trace: which spans its viewer underlines.

From a span it descends to the child that finishes last; from a span without such a child it goes back to the parent,
and on to the sibling that finished last of those that ended strictly before the span began. Siblings that touch are
passed over, and so is everything that merely ran beside. The viewer counts in whole microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otelmig.trace.span import Span, Trace

__all__ = ["critical_path"]

_MICROSECOND: Final = 1_000


def critical_path(trace: Trace) -> list[Span]:
    """The spans on the path in order of time, each as often as the path runs through it for a while."""
    by_id = {span.span_id: span for span in trace.spans}
    below: dict[str, list[Span]] = {span.span_id: [] for span in trace.spans}
    for child in trace.spans:
        if child.parent_id in by_id:
            below[child.parent_id].append(child)
    path: list[Span] = []
    span: Span | None = trace.root
    before: int | None = None
    while span is not None:
        until = _end(span) if before is None else before
        found = [child for child in below[span.span_id] if before is None or _end(child) < before]
        last = max(found, key=_end, default=None)
        since = _begin(span) if last is None else _end(last)
        if since < until:
            path.append(span)
        if last is not None:
            span, before = last, None
        else:
            before = _begin(span)
            span = by_id.get(span.parent_id or "")
    return path[::-1]


def _begin(span: Span) -> int:
    return span.start_ns // _MICROSECOND


def _end(span: Span) -> int:
    return _begin(span) + span.duration_ns // _MICROSECOND
