"""Jaeger's critical path: through the source's phases, and into the destination where the source waited for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from critical_path import critical_path
from msgspec.structs import replace
from scenarios import SCENARIOS
from trace_invariants import RECORDINGS, recorded, traced

from otelmig.migration.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_OUTLASTED = {
    "v52.0-local": "cleanup",
    "v52.0-timeoutcancel": "cleanup",
    "v53.0-killsrc": "setup",
    "v53.0-retry": "cleanup",
}
"""Recordings whose destination ends after the source has: the source's last is a wait, after this phase."""
_ANSWERS = {"restore": "send", "resume": "complete"}


def _of_a_source(traces: Iterable[Trace]) -> list[Trace]:
    """Those that a source tells of, however they ended."""
    return [trace for trace in traces if trace.root.role is Role.SOURCE]


def _phases(trace: Trace) -> list[Span]:
    """What the source did, one thing after the other: its spans without children, but for what runs beside them."""
    parents = {span.parent_id for span in trace.spans if span.role is Role.SOURCE}
    found = [
        span
        for span in trace.spans
        if span.role is Role.SOURCE and span.span_id not in parents and span.name != "blackout"
    ]
    return sorted(found, key=lambda span: span.start_ns)


def _waits(trace: Trace) -> bool:
    """Whether the source's last phase is a wait for the destination's end."""
    return any(span.name == "unaccounted" for span in trace.children(trace.root))


def _visited(trace: Trace) -> list[Span]:
    """The source's phases that the path meets, in order; it comes back to those whose answers it has been through."""
    ids = {span.span_id for span in critical_path(trace)}
    return [span for span in _phases(trace) if span.span_id in ids]


def _answers(trace: Trace) -> list[Span]:
    """What the destination did for a request of the source and is drawn below that request."""
    by_id = {span.span_id: span.name for span in trace.spans}
    return [span for span in trace.spans if by_id.get(span.parent_id or "") == _ANSWERS.get(span.name, "")]


def _check(traces: Iterable[Trace]) -> None:
    for trace in _of_a_source(traces):
        path = critical_path(trace)
        met = [span.span_id for span in path]
        visited = _visited(trace)
        assert [span for span in _phases(trace) if span not in visited and not _is_filled(trace, span)] == []
        assert sorted(visited, key=lambda span: met.index(span.span_id)) == visited
        assert "receive" not in {span.name for span in path}
        for answer in _answers(trace):
            assert {answer.span_id, *(span.span_id for span in trace.children(answer))} & set(met)


def _is_filled(trace: Trace, span: Span) -> bool:
    """Whether the destination's answer takes all of the request's time, but for what the layout leaves between."""
    answers = [child for child in trace.children(span) if child.role is Role.DESTINATION]
    return sum(answer.duration_ns for answer in answers) >= span.duration_ns - 2_000


@pytest.mark.parametrize("name", RECORDINGS)
def test_path_through_recordings(name: str) -> None:
    """Every phase once and in order."""
    traces = recorded(name)
    _check(traces)
    assert any(_waits(trace) for trace in _of_a_source(traces)) == (name in _OUTLASTED)


@pytest.mark.parametrize("name", SCENARIOS)
def test_path_through_scenarios(name: str, tmp_path: Path) -> None:
    """The same in every wording of every release."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    _check(traced(sorted(tmp_path.iterdir())))


@pytest.mark.parametrize("name", sorted(_OUTLASTED))
def test_path_where_the_destination_ends_last(name: str) -> None:
    """From the last of the source's phases to the destination's end nothing is told, and a span says so."""
    (trace,) = [each for each in _of_a_source(recorded(name)) if _waits(each)]
    receive, waiting = trace.first("receive"), _phases(trace)[-1]
    assert receive is not None
    assert [span.name for span in _phases(trace)[-2:]] == [_OUTLASTED[name], "unaccounted"]
    assert waiting.end_ns == trace.root.end_ns == receive.end_ns + 1_000
    assert _phases(trace)[-2].end_ns + 1_000 == waiting.start_ns
    without = replace(trace, spans=tuple(span for span in trace.spans if span is not waiting))
    assert {span.role for span in critical_path(without) if span is not trace.root} == {Role.DESTINATION}


def test_there_are_paths_to_check() -> None:
    """A recording has every kind of phase, and the path runs through all of them."""
    (trace,) = _of_a_source(recorded("v53.0-twohosts"))
    names = [span.name for span in _visited(trace)]
    parts = ["pause", "final delta", "unaccounted", "snapshot", "unaccounted", "send", "complete"]
    assert names == ["setup", "memory iteration", "memory iteration", *parts, "cleanup"]


def test_touching_siblings_are_passed_over() -> None:
    """Without the microsecond between the parts of a downtime, the path misses every second of them."""
    (trace,) = _of_a_source(recorded("v53.0-twohosts"))
    downtime = trace.first("downtime")
    assert downtime is not None
    touching = replace(
        trace,
        spans=tuple(
            replace(span, end_ns=span.end_ns + 1_000)
            if span.parent_id == downtime.span_id and span.end_ns < downtime.end_ns
            else span
            for span in trace.spans
        ),
    )
    visited = [span.name for span in critical_path(touching) if span.parent_id == downtime.span_id]
    assert visited == ["pause", "unaccounted", "unaccounted", "complete", "complete"]
