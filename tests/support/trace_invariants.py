"""What must hold for every forest of traces, whatever the logs were; and the recordings to try it on."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otelmig.clock.epoch import Anchor
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.pipeline import read_findings
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.pipeline import Findings
    from otelmig.trace.span import Span, Trace

CORPUS = Path(__file__).parents[1] / "corpus"
RECORDINGS = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
_ZERO = Anchor(ns=1_767_225_600 * 10**9, error_ns=0)
ANCHORS = {"source": _ZERO, "destination": _ZERO}
"""2026-01-01T00:00:00Z, so that nothing depends on when the files were checked out."""
_NAMES = {row.name for row in ATTRIBUTES}
_MICROSECOND = 1_000


def inputs(name: str) -> list[Path]:
    """The logs and event streams of a recording."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.name.endswith((".log", ".events.json")))


def truth(name: str) -> dict[str, Any]:
    """What was measured from outside while the recording was made."""
    found: dict[str, Any] = json.loads((CORPUS / name / "truth.json").read_text())
    return found


def anchored_findings(paths: Iterable[Path]) -> Findings:
    """What is found in ``paths``, anchored; read once, or twice where they tell of one side only."""
    given = list(paths)
    try:
        return read_findings(given, anchors=ANCHORS)
    except UsageError:  # an anchor for a side that is not there
        roles = {str(side.role) for found in read_findings(given).migrations for side in found.sides}
    return read_findings(given, anchors={role: zero for role, zero in ANCHORS.items() if role in roles})


def traced(paths: Iterable[Path]) -> list[Trace]:
    """The traces of ``paths``, anchored."""
    return list(anchored_findings(paths).traces(TraceOptions()))


@cache
def recorded(name: str) -> tuple[Trace, ...]:
    """The traces of a recording, made once in each process of the tests."""
    return tuple(traced(inputs(name)))


def check_traces(traces: Sequence[Trace]) -> None:
    """Assert everything that viewers rely on."""
    spans = [span for trace in traces for span in trace.spans]
    assert len({span.span_id for span in spans}) == len(spans), "span ids are unique"
    for trace in traces:
        _check_trace(trace)


def _check_trace(trace: Trace) -> None:
    by_id = {span.span_id: span for span in trace.spans}
    assert trace.root.name == "migration"
    assert trace.root.parent_id is None
    assert set(trace.resources) == {span.role for span in trace.spans}
    for resource in trace.resources.values():
        assert not [name for name in resource if name.startswith(("otelmig.clock", "vm.id"))]
        assert set(resource) <= _NAMES
    for span in trace.spans:
        assert span.start_ns > 0
        assert span.end_ns - span.start_ns >= _MICROSECOND
        assert span.start_ns % _MICROSECOND == span.end_ns % _MICROSECOND == 0
        assert set(span.attributes) <= _NAMES, set(span.attributes) - _NAMES
        assert all(span.start_ns <= event.time_ns <= span.end_ns for event in span.events)
        for link in span.links:
            if link.trace_id is not None:
                assert span is trace.root, "only an attempt as a whole has to do with another trace"
                continue
            assert link.remote == (by_id[link.span_id].role is not span.role), "a link says that it crosses hosts"
        if span is not trace.root:
            _check_child(span, by_id[span.parent_id or ""])
    downtime = trace.first("downtime")
    if downtime is not None:
        check_tiled(trace, downtime)
    check_sequence([span for span in trace.children(trace.root) if span.name in _SEQUENTIAL])
    check_sequence(list(trace.named("memory iteration")))


_SEQUENTIAL = {"setup", "precopy", "downtime", "postcopy", "cleanup", "rollback"}


_ANSWERS = {("restore", "send"), ("resume", "complete")}
"""What the destination does for a request, and that request."""


def _check_child(span: Span, parent: Span) -> None:
    assert parent.start_ns <= span.start_ns
    assert span.end_ns <= parent.end_ns, f"{span.name} leaves {parent.name}"
    assert span.parent_remote == (span.role is not parent.role)
    if span.role is not parent.role:
        edge = (span.name, parent.name)
        assert span.name == "receive" or edge in _ANSWERS, f"cross-host edge at {span.name}"


def check_tiled(trace: Trace, downtime: Span) -> None:
    """Assert that the source's parts cover the downtime, a microsecond between neighbours."""
    parts = [span for span in trace.children(downtime) if span.role is Role.SOURCE]
    assert parts
    assert parts[0].start_ns == downtime.start_ns
    assert parts[-1].end_ns == downtime.end_ns
    check_sequence(parts, exact=True)


def check_sequence(spans: Sequence[Span], *, exact: bool = False) -> None:
    """Assert that siblings which follow each other leave a microsecond."""
    for one, other in pairwise(spans):
        gap = other.start_ns - one.end_ns
        assert gap == _MICROSECOND if exact else gap >= _MICROSECOND, (one.name, other.name, gap)
