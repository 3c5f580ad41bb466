"""Jaeger's critical path runs through the source's phases, all parts of the downtime among them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from critical_path import critical_path
from forest import RECORDINGS, inputs, traced
from scenarios import SCENARIOS

from otelmig.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_OUTLASTED = {"v52.0-local", "v53.0-retry"}
"""Recordings whose destination reports its end after the source has reported its own."""


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


def _outlasts(trace: Trace) -> bool:
    """Whether the destination's part ends after everything of the source."""
    receive = trace.first("receive")
    return receive is not None and all(receive.end_ns > span.end_ns for span in _phases(trace))


def _visited(trace: Trace) -> list[Span]:
    """The source's phases as the path meets them."""
    phases = _phases(trace)
    return [span for span in critical_path(trace) if span in phases]


def _check(traces: Iterable[Trace]) -> None:
    for trace in _successful(traces):
        downtime = trace.first("downtime")
        assert downtime is not None
        parts = list(trace.children(downtime))
        if _outlasts(trace):
            assert {span.role for span in critical_path(trace) if span is not trace.root} == {Role.DESTINATION}
            continue
        visited = _visited(trace)
        assert visited == _phases(trace)
        assert [span for span in visited if span in parts] == parts


@pytest.mark.parametrize("name", RECORDINGS)
def test_path_through_recordings(name: str) -> None:
    """Every phase once and in order; only where the destination finishes last, the path stays there."""
    traces = traced(inputs(name))
    _check(traces)
    assert any(_outlasts(trace) for trace in _successful(traces)) == (name in _OUTLASTED)


@pytest.mark.parametrize("name", SCENARIOS)
def test_path_through_scenarios(name: str, tmp_path: Path) -> None:
    """The same in every wording of every release."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    traces = traced(sorted(tmp_path.iterdir()))
    _check(traces)
    assert not any(_outlasts(trace) for trace in _successful(traces))


def test_there_are_paths_to_check() -> None:
    """A recording has every kind of phase, and the path runs through all of them."""
    (trace,) = _successful(traced(inputs("v53.0-twohosts")))
    names = [span.name for span in _visited(trace)]
    parts = ["pause", "final delta", "unaccounted", "snapshot", "unaccounted", "send", "complete"]
    assert names == ["setup", "memory iteration", "memory iteration", *parts, "cleanup"]


def test_touching_siblings_are_passed_over() -> None:
    """Without the microsecond between the parts of a downtime, the path misses every second of them."""
    (trace,) = _successful(traced(inputs("v53.0-twohosts")))
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
    assert visited == ["pause", "unaccounted", "unaccounted", "complete"]
