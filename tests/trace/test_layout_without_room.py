"""The layout where there is hardly a microsecond for anything."""

from __future__ import annotations

from trace_invariants import CORPUS, check_traces, traced


def test_spans_of_a_microsecond_stay_inside_their_parent() -> None:
    """Two event streams that stop at once, with no room to end one span before the other: both are in the root."""
    folder = CORPUS / "v53.0-killsrc"
    traces = traced([folder / "source.events.json", folder / "destination.events.json"])
    check_traces(traces)
    (trace,) = traces
    receive = trace.first("receive")
    assert receive is not None
    assert trace.root.start_ns <= receive.start_ns < receive.end_ns <= trace.root.end_ns
