"""OTLP/JSON to protobuf: the same message that protobuf's parser and the SDK's encoder give, or an error."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from codecs import BOM_UTF8
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_lines import parsed_line
from trace_invariants import RECORDINGS, recorded

from otelmig.errors import InputError
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.otlp.encoding.protobuf import request_bytes
from otelmig.otlp.encoding.sdk_spans import readable_spans
from otelmig.otlp.payload import Payload
from otelmig.trace.span import Link, SpanEvent

_OTHER_CODES = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
_VALUES: list[dict[str, Any]] = [
    {"stringValue": "ü\n\u0000"},
    {"stringValue": ""},
    {"boolValue": False},
    {"boolValue": True},
    {"intValue": "-9223372036854775808"},
    {"intValue": 9223372036854775807},
    {"intValue": 0},
    {"doubleValue": 0},
    {"doubleValue": -1.5e300},
    {"doubleValue": "Infinity"},
    {"bytesValue": "AAEC/w=="},
    {"arrayValue": {}},
    {"arrayValue": {"values": [{"stringValue": "a"}, {"arrayValue": {"values": [{"intValue": "1"}]}}, {}]}},
    {"kvlistValue": {"values": [{"key": "k", "value": {"kvlistValue": {"values": [{"key": "", "value": {}}]}}}]}},
    {},
]
_ATTRIBUTES = [{"key": f"key {number}", "value": value} for number, value in enumerate(_VALUES)] + [{"key": "none"}]
_SPAN: dict[str, Any] = {
    "traceId": "0af7651916cd43dd8448eb211c80319C",
    "spanId": "b7ad6b7169203331",
    "traceState": "a=b",
    "parentSpanId": "00f067aa0ba902b7",
    "flags": 257,
    "name": "x" * 300,
    "kind": 2,
    "startTimeUnixNano": "1544712660300000000",
    "endTimeUnixNano": 1544712660300000001,
    "attributes": _ATTRIBUTES,
    "droppedAttributesCount": 300,
    "events": [{"timeUnixNano": "1", "name": "e", "attributes": _ATTRIBUTES, "droppedAttributesCount": 1}, {}],
    "droppedEventsCount": 2,
    "links": [
        {
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "b7ad6b7169203331",
            "traceState": "c=d",
            "attributes": _ATTRIBUTES,
            "droppedAttributesCount": 3,
            "flags": 1,
        }
    ],
    "droppedLinksCount": 4,
    "status": {"message": "m", "code": 2},
    "somethingNewer": {"x": [1]},
}
_RESOURCE = {
    "attributes": _ATTRIBUTES,
    "droppedAttributesCount": 5,
    "entityRefs": [{"schemaUrl": "s", "type": "t", "idKeys": ["a", ""], "descriptionKeys": ["b"]}],
}
_SCOPE = {"name": "n", "version": "1", "attributes": _ATTRIBUTES, "droppedAttributesCount": 6}
_DOCUMENT: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": _RESOURCE,
            "scopeSpans": [{"scope": _SCOPE, "spans": [_SPAN, {**_SPAN, "status": {}}], "schemaUrl": "u"}, {}],
            "schemaUrl": "v",
        },
        {"resource": None, "scopeSpans": [{"spans": [{"traceId": "1" * 32, "spanId": "2" * 16, "parentSpanId": ""}]}]},
        {},
    ]
}


_TRACE = recorded("v53.0-retry")[0]


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_equal_what_the_sdk_encodes(name: str) -> None:
    """A trace's body is, byte for byte, what the SDK's encoder makes of it; a stored line gives it again."""
    for trace in recorded(name):
        payload = Payload.of_trace(trace)
        assert payload.line + b"\n" == json_line(trace)
        assert Payload.of_line(payload.line) == payload
        assert payload.spans == len(trace.spans)
        assert payload.ident == trace.trace_id + trace.root.span_id
        sdk = encode_spans(readable_spans(trace))
        by_role = {str(each.resource): each for each in sdk.resource_spans}
        found = ExportTraceServiceRequest.FromString(payload.body)
        assert len(found.resource_spans) == len(by_role)
        for each in found.resource_spans:
            assert each.SerializeToString() == by_role[str(each.resource)].SerializeToString()


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_ATTRIBUTE = st.one_of(
    _TEXT,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(_TEXT, max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_TEXT, _ATTRIBUTE, max_size=6), _TEXT, st.booleans())
def test_any_attributes_come_back_from_the_line(attributes: dict[str, Any], words: str, remote: bool) -> None:  # noqa: FBT001 - drawn
    """The protobuf that is sent at once is the one that the stored line gives, whatever is in the trace."""
    event = SpanEvent(name=words, time_ns=1_000, attributes=attributes)
    link = Link(span_id="1" * 16, attributes=attributes, remote=remote)
    root = _TRACE.root._replace(name=words, attributes=attributes, events=(event, event), links=(link,), error=words)
    trace = replace(_TRACE, spans=(root, *_TRACE.spans[1:]), resources=dict.fromkeys(_TRACE.resources, attributes))
    payload = Payload.of_trace(trace)
    assert payload.body == request_bytes(json.loads(payload.line))
    assert payload.line == json.dumps(json.loads(payload.line), separators=(",", ":"), ensure_ascii=False).encode()
    assert ExportTraceServiceRequest.FromString(payload.body) == parsed_line(payload.line)


def test_every_field_of_the_protocol() -> None:
    """Everything that a line of somebody else's can hold comes out as protobuf's own parser reads it."""
    body = request_bytes(_DOCUMENT)
    assert ExportTraceServiceRequest.FromString(body) == parsed_line(json.dumps(_DOCUMENT).encode())
    assert Payload.of_line(json.dumps(_DOCUMENT).encode()).spans == 3
    assert Payload.of_line(json.dumps(_DOCUMENT, indent=1).encode()).body == body


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
    span = {**_SPAN, field: value}
    with pytest.raises(InputError, match="no valid OTLP traces"):
        request_bytes({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"{}",
        b'{"resourceSpans":[]}',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[[]]}',
        b'{"resourceLogs":[]}',
        b'{"msg":"no trace"}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}',
        b'{"resourceSpans":' + b"[" * 100_000,
        b'{"resourceSpans":NaN}',
        b"\xff\xfe",
        *(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [_SPAN]}]}]}).encode(name) for name in _OTHER_CODES),
    ],
)
def test_other_lines_are_no_traces(line: bytes) -> None:
    """What is no request with spans says so, whatever it is."""
    with pytest.raises(InputError):
        Payload.of_line(line)


@pytest.mark.parametrize("as_json", [False, True])
def test_large_traces_are_divided(as_json: bool) -> None:  # noqa: FBT001 - drawn
    """The requests for a trace that is too large are small enough as they are sent; all spans are there, each once."""
    spans = [{**_SPAN, "spanId": f"{number + 1:016x}"} for number in range(100)]
    document = {"resourceSpans": [{"resource": _RESOURCE, "scopeSpans": [{"scope": _SCOPE, "spans": spans}]}] * 2}
    payload = Payload.of_line(json.dumps(document).encode())
    whole_size = len(payload.line if as_json else payload.body)
    assert payload.requests(whole_size, as_json=as_json) == [payload.line if as_json else payload.body]
    assert len(payload.requests(whole_size - 1, as_json=as_json)) > 1
    requests = payload.requests(20_000, as_json=as_json)
    assert all(len(request) <= 20_000 for request in requests)
    read = parsed_line if as_json else ExportTraceServiceRequest.FromString
    found = [read(request).resource_spans[0] for request in requests]
    assert sum(len(each.scope_spans[0].spans) for each in found) == payload.spans == 200
    whole = ExportTraceServiceRequest.FromString(payload.body).resource_spans
    assert {str(each.resource) for each in found} == {str(each.resource) for each in whole}
    assert [span for each in found for span in each.scope_spans[0].spans] == [
        span for each in whole for span in each.scope_spans[0].spans
    ]


@given(st.binary(), st.booleans(), st.booleans())
def test_bytes_in_either_alphabet(value: bytes, safe: bool, padded: bool) -> None:  # noqa: FBT001 - drawn
    """Base64 with the letters of URLs, or without padding, is what protobuf's parser takes for the same bytes."""
    text = (urlsafe_b64encode if safe else b64encode)(value).decode()
    attribute = {"key": "x", "value": {"bytesValue": text if padded else text.rstrip("=")}}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{**_SPAN, "attributes": [attribute]}]}]}]}
    request = ExportTraceServiceRequest.FromString(request_bytes(document))
    assert request == parsed_line(json.dumps(document).encode())
    assert request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.bytes_value == value


def test_root_that_names_no_parent() -> None:
    """A parent's id of nothing but zeros is none."""

    def body(**fields: str) -> bytes:
        span = {name: value for name, value in _SPAN.items() if name != "parentSpanId"} | fields
        return request_bytes({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})

    assert body(parentSpanId="0" * 16) == body(parentSpanId="") == body() != body(parentSpanId="1" * 16)


def test_byte_order_mark_is_not_sent() -> None:
    """The first line of a file may have one; a request has none (RFC 8259, 8.1), and the line is the same without."""
    line = json.dumps(_DOCUMENT, ensure_ascii=False).encode()
    assert Payload.of_line(BOM_UTF8 + line) == Payload.of_line(line)
    with pytest.raises(InputError, match="not JSON"):
        Payload.of_line(BOM_UTF8 * 2 + line)


@pytest.mark.parametrize("other", [r'"\ud800"', "1e999"])
def test_large_line_that_cannot_be_divided(other: str) -> None:
    """What is in an unknown field need not be anything that can be written again: the line is sent as it is."""
    spans = [{**_SPAN, "spanId": f"{number + 1:016x}"} for number in range(9)]
    line = json.dumps({"resourceSpans": [{"other": None, "scopeSpans": [{"spans": spans}]}]}).replace("null", other, 1)
    payload = Payload.of_line(line.encode())
    assert payload.requests(1000, as_json=True) == [payload.line]
    assert payload.requests(1000, as_json=False) == [payload.body]
