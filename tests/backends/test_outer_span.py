"""A migration under somebody else's span (TRACEPARENT): which warnings Jaeger gives then, and on which spans."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from trace_invariants import inputs

from backends.jaeger_api import WARNINGS, Jaeger
from backends.otlp_spans import spans_by_id
from backends.retry import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig

    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_PARENT = "00f067aa0ba902b7"
_S = 10**9


def _traced(otelmig: Otelmig, stack: BackendStack, trace_id: str, tmp_path: Path, *more: str) -> list[dict[str, Any]]:
    """The spans of a recording, traced and sent by the command under the outer span."""
    written = tmp_path / f"{trace_id}.jsonl"
    options: list[str | Path] = ["-q", "-o", written, "--otlp", stack.url(4318), *more]
    done = otelmig(
        "trace",
        *options,
        *inputs("v53.0-twohosts"),
        TRACEPARENT=f"00-{trace_id}-{_PARENT}-01",
    )
    assert done.returncode == 0, done.stderr
    return list(spans_by_id(json.loads(written.read_text())["resourceSpans"]).values())


def _send_outer(stack: BackendStack, trace_id: str, begin_ns: int, end_ns: int) -> None:
    """What an orchestrator would send of itself."""
    span = {"traceId": trace_id, "spanId": _PARENT, "name": "move vm", "kind": 1}
    times = {"startTimeUnixNano": str(begin_ns), "endTimeUnixNano": str(end_ns)}
    resource = [
        {"key": "service.name", "value": {"stringValue": "orchestrator"}},
        {"key": "host.name", "value": {"stringValue": "controller"}},
    ]
    document = {
        "resourceSpans": [
            {"resource": {"attributes": resource}, "scopeSpans": [{"scope": {}, "spans": [span | times]}]}
        ]
    }
    request = urllib.request.Request(
        f"{stack.url(4318)}/v1/traces", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _warnings(stack: BackendStack, trace_id: str, count: int) -> dict[str, set[str]]:
    """The names of the spans that have a warning, by the warning."""
    jaeger = Jaeger(stack.url(16686))
    found = eventually(lambda: spans_by_id(jaeger.trace(trace_id) or []).values(), lambda spans: len(spans) == count)
    assert len(found) == count
    warned: dict[str, set[str]] = {}
    for span in found:
        for _, text in span["attributes"].get(WARNINGS, ("list", []))[1]:
            warned.setdefault(text, set()).add(span["name"])
    return warned


def test_warnings_under_an_outer_span(stack: BackendStack, otelmig: Otelmig, tmp_path: Path) -> None:
    """None while it encloses the migration; one on the root if it is not there; skew if it lies elsewhere."""
    stack.jaeger()
    stack.collector(stack.place("agent.yaml"))
    missing, enclosing, later, hosts = (f"{number}" * 32 for number in (1, 2, 3, 4))

    spans = _traced(otelmig, stack, missing, tmp_path)
    count = len(spans)
    begin_ns = min(int(span["startTimeUnixNano"]) for span in spans)
    end_ns = max(int(span["endTimeUnixNano"]) for span in spans)
    assert _warnings(stack, missing, count) == {
        f"parent span ID={_PARENT} is not in the trace; skipping clock skew adjustment": {"migration"}
    }

    _traced(otelmig, stack, enclosing, tmp_path)
    _send_outer(stack, enclosing, begin_ns - _S, end_ns + _S)
    assert _warnings(stack, enclosing, count + 1) == {}

    _traced(otelmig, stack, later, tmp_path)
    _send_outer(stack, later, begin_ns + 4 * _S, end_ns + 6 * _S)
    skew = "clock skew adjustment disabled; not applying calculated delta of 5s"
    assert _warnings(stack, later, count + 1) == {skew: {"migration"}}

    spans = _traced(otelmig, stack, hosts, tmp_path, "--host", "source=alpha", "--host", "destination=beta")
    _send_outer(stack, hosts, begin_ns + 4 * _S, end_ns + 6 * _S)
    here = {span["name"] for span in spans if span["resource"]["host.name"] == ("stringValue", "alpha")}
    assert _warnings(stack, hosts, count + 1) == {skew: here}
