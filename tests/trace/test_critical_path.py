"""Jaeger's critical path runs through the source's phases, all parts of the downtime among them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from critical_path import critical_path
from scenarios import SCENARIOS
from trace_invariants import RECORDINGS, recorded, traced

from otelmig.migration.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_OUTLASTED = {"v52.0-local", "v53.0-retry"}
"""Recordings whose destination reports its end after the source has reported its own: the source's last is a wait."""


def _successful(traces: Iterable[Trace]) -> list[Trace]:
    """Those that a source tells of."""
    return [
        trace
        for trace in traces
        if trace.root.attributes["vm.migration.result"] == "success" and trace.root.role is Role.SOURCE
    ]


def _phases(trace: Trace) -> list[Span]:
    """What the source did, one thing after the other: its spans without children, but for what runs beside them."""
    parents = {span.parent_id for span in trace.spans}
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
    """The source's phases as the path meets them."""
    phases = _phases(trace)
    return [span for span in critical_path(trace) if span in phases]


def _check(traces: Iterable[Trace]) -> None:
    for trace in _successful(traces):
        downtime = trace.first("downtime")
        assert downtime is not None
        parts = list(trace.children(downtime))
        visited = _visited(trace)
        assert visited == _phases(trace)
        assert [span for span in visited if span in parts] == parts


@pytest.mark.parametrize("name", RECORDINGS)
def test_path_through_recordings(name: str) -> None:
    """Every phase once and in order."""
    traces = recorded(name)
    _check(traces)
    assert any(_waits(trace) for trace in _successful(traces)) == (name in _OUTLASTED)


@pytest.mark.parametrize("name", SCENARIOS)
def test_path_through_scenarios(name: str, tmp_path: Path) -> None:
    """The same in every wording of every release."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    _check(traced(sorted(tmp_path.iterdir())))


@pytest.mark.parametrize("name", sorted(_OUTLASTED))
def test_path_where_the_destination_ends_last(name: str) -> None:
    """From the last of the source's phases to the destination's end nothing is told, and a span says so."""
    (trace,) = [each for each in _successful(recorded(name)) if _waits(each)]
    receive, waiting = trace.first("receive"), _phases(trace)[-1]
    assert receive is not None
    assert [span.name for span in _phases(trace)[-2:]] == ["cleanup", "unaccounted"]
    assert waiting.end_ns == trace.root.end_ns == receive.end_ns + 1_000
    assert _phases(trace)[-2].end_ns + 1_000 == waiting.start_ns
    without = replace(trace, spans=tuple(span for span in trace.spans if span is not waiting))
    assert {span.role for span in critical_path(without) if span is not trace.root} == {Role.DESTINATION}


def test_there_are_paths_to_check() -> None:
    """A recording has every kind of phase, and the path runs through all of them."""
    (trace,) = _successful(recorded("v53.0-twohosts"))
    names = [span.name for span in _visited(trace)]
    parts = ["pause", "final delta", "unaccounted", "snapshot", "unaccounted", "send", "complete"]
    assert names == ["setup", "memory iteration", "memory iteration", *parts, "cleanup"]


def test_touching_siblings_are_passed_over() -> None:
    """Without the microsecond between the parts of a downtime, the path misses every second of them."""
    (trace,) = _successful(recorded("v53.0-twohosts"))
    downtime = trace.first("downtime")
    assert downtime is not None
    touching = replace(
        trace,
        spans=tuple(
            span._replace(end_ns=span.end_ns + 1_000)
            if span.parent_id == downtime.span_id and span.end_ns < downtime.end_ns
            else span
            for span in trace.spans
        ),
    )
    visited = [span.name for span in critical_path(touching) if span.parent_id == downtime.span_id]
    assert visited == ["pause", "unaccounted", "unaccounted", "complete"]
