"""OTLP/JSON lines: the protobuf that is made beside a line is what the line gives."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_lines import parsed_line
from trace_invariants import inputs, traced

from otelmig.otlp.encoding.protobuf import request_bytes
from otelmig.otlp.payload import Payload
from otelmig.trace.span import Link, SpanEvent

(_TRACE,) = traced(inputs("v53.0-retry"))[:1]
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_ATTRIBUTE = st.one_of(
    _TEXT,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(_TEXT, max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(attributes=st.dictionaries(_TEXT, _ATTRIBUTE, max_size=6), words=_TEXT, remote=st.booleans())
def test_any_attributes_come_back_from_the_line(attributes: dict[str, Any], words: str, *, remote: bool) -> None:
    """The protobuf that is sent at once is the one that the stored line gives, whatever is in the trace."""
    event = SpanEvent(name=words, time_ns=1_000, attributes=attributes)
    link = Link(span_id="1" * 16, attributes=attributes, remote=remote)
    root = replace(_TRACE.root, name=words, attributes=attributes, events=(event, event), links=(link,), error=words)
    trace = replace(_TRACE, spans=(root, *_TRACE.spans[1:]), resources=dict.fromkeys(_TRACE.resources, attributes))
    payload = Payload.of_trace(trace)
    assert payload.body == request_bytes(json.loads(payload.line))
    assert payload.line == json.dumps(json.loads(payload.line), separators=(",", ":"), ensure_ascii=False).encode()
    assert ExportTraceServiceRequest.FromString(payload.body) == parsed_line(payload.line)
