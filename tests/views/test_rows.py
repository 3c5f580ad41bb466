"""The rows of a picture: every phase once, the destination's work under the part of the downtime that waited for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from trace_invariants import RECORDINGS, inputs, traced

from otelmig.trace.spans import SpanName
from otelmig.views.rows import Folded, Row, downtime_rows, overview_rows

_EVERY = [pytest.param(name, id=name) for name in RECORDINGS]


@pytest.mark.parametrize("name", _EVERY)
def test_overview(name: str) -> None:
    """No span has two rows, every child of the root has one, and memory iterations are shown or counted."""
    for trace in traced(inputs(name)):
        rows = list(overview_rows(trace))
        shown = [row.span for row in rows if isinstance(row, Row)]
        assert len({span.span_id for span in shown}) == len(shown)
        assert {child.name for child in trace.children(trace.root)} == {
            row.span.name for row in rows if isinstance(row, Row) and row.depth == 0
        }
        folded = sum(row.count for row in rows if isinstance(row, Folded))
        drawn = sum(span.name == SpanName.MEMORY_ITERATION for span in shown)
        assert drawn + folded == len(trace.named(SpanName.MEMORY_ITERATION))
        assert drawn <= 8


def test_many_iterations_are_folded() -> None:
    """More than eight memory iterations: seven have a row, the last row says how many there are beside."""
    (trace,) = traced(inputs("v53.0-twohosts"))
    first = trace.named(SpanName.MEMORY_ITERATION)[0]
    more = [replace(first, span_id=f"{number:016x}") for number in range(20)]
    rows = list(overview_rows(replace(trace, spans=(*trace.spans, *more))))
    count = len(trace.named(SpanName.MEMORY_ITERATION)) + 20
    assert sum(isinstance(row, Row) and row.span.name == first.name for row in rows) == 7
    (folded,) = (row for row in rows if isinstance(row, Folded))
    assert folded.count == count - 7


@pytest.mark.parametrize("name", _EVERY)
def test_downtime(name: str) -> None:
    """The parts in order of time; what the destination did stands under a part that it overlaps, or under the last."""
    for trace in traced(inputs(name)):
        downtime = trace.first(SpanName.DOWNTIME)
        if downtime is None:
            continue
        parts = list(trace.children(downtime))
        part = parts[0]
        tops = []
        for row in downtime_rows(trace, parts):
            if row.depth == 0:
                part = row.span
                tops.append(part)
            elif row.depth == 1:
                assert row.span.name in (SpanName.RESTORE, SpanName.RESUME)
                assert part is parts[-1] or row.span.start_ns <= part.end_ns
            else:
                assert row.span.parent_id in {span.span_id for span in trace.named(SpanName.RESTORE)}
        assert tops == sorted(parts, key=lambda span: span.start_ns)
