"""OTLP/JSON to protobuf: the same message that protobuf's parser and the SDK's encoder give, or an error."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_documents import DOCUMENT, SPAN
from otlp_lines import parsed_line

from otelmig.errors import InputError
from otelmig.otlp.encoding.protobuf import request_bytes
from otelmig.otlp.payload import Payload


def test_every_field_of_the_protocol() -> None:
    """Everything that a line of somebody else's can hold comes out as protobuf's own parser reads it."""
    body = request_bytes(DOCUMENT)
    assert ExportTraceServiceRequest.FromString(body) == parsed_line(json.dumps(DOCUMENT).encode())
    assert Payload.of_line(json.dumps(DOCUMENT).encode()).spans == 3
    assert Payload.of_line(json.dumps(DOCUMENT, indent=1).encode()).body == body


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("traceId", "00000000000000000000000000000000"),
        ("traceId", "abc"),
        ("traceId", "0af7651916cd43dd8448eb211c80319c00"),
        ("traceId", None),
        ("spanId", "b7ad6b71 69203331"),
        ("spanId", 12),
        ("parentSpanId", "xyz"),
        ("parentSpanId", "0"),
        ("parentSpanId", "0" * 32),
        ("parentSpanId", 0),
        ("name", 5),
        ("kind", "SPAN_KIND_SERVER"),
        ("kind", -1),
        ("startTimeUnixNano", "-1"),
        ("startTimeUnixNano", "99999999999999999999"),
        ("endTimeUnixNano", True),
        ("flags", 1 << 32),
        ("droppedLinksCount", 1.5),
        ("attributes", {"key": "x"}),
        ("attributes", [{"value": {}}]),
        ("attributes", [{"key": "x", "value": {"boolValue": "true"}}]),
        ("attributes", [{"key": "x", "value": {"intValue": "one"}}]),
        ("attributes", [{"key": "x", "value": {"doubleValue": True}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": "*"}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": "AAAAA"}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": "AAA=="}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": "AA AA"}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": "ÄÄÄÄ"}}]),
        ("attributes", [{"key": "x", "value": {"bytesValue": 5}}]),
        ("attributes", [{"key": "x", "value": {"stringValue": "\ud800"}}]),
        ("events", "none"),
        ("links", [{"traceId": "1" * 32}]),
        ("status", "OK"),
    ],
)
def test_wrong_values_are_errors(field: str, value: object) -> None:
    """A value of the wrong kind makes the line a broken one; it is not sent as something else."""
    span = {**SPAN, field: value}
    with pytest.raises(InputError, match="no valid OTLP traces"):
        request_bytes({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


@settings(deadline=None)
@given(value=st.binary(), safe=st.booleans(), padded=st.booleans())
def test_bytes_in_either_alphabet(value: bytes, *, safe: bool, padded: bool) -> None:
    """Base64 with the letters of URLs, or without padding, is what protobuf's parser takes for the same bytes."""
    text = (urlsafe_b64encode if safe else b64encode)(value).decode()
    attribute = {"key": "x", "value": {"bytesValue": text if padded else text.rstrip("=")}}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{**SPAN, "attributes": [attribute]}]}]}]}
    request = ExportTraceServiceRequest.FromString(request_bytes(document))
    assert request == parsed_line(json.dumps(document).encode())
    assert request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.bytes_value == value


def test_root_that_names_no_parent() -> None:
    """A parent's id of nothing but zeros is none."""

    def body(**fields: str) -> bytes:
        span = {name: value for name, value in SPAN.items() if name != "parentSpanId"} | fields
        return request_bytes({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})

    assert body(parentSpanId="0" * 16) == body(parentSpanId="") == body() != body(parentSpanId="1" * 16)
