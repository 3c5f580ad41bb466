"""Payloads: which lines are traces, and how a large one is divided."""

from __future__ import annotations

import json
from codecs import BOM_UTF8

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_documents import DOCUMENT, RESOURCE, SCOPE, SPAN
from otlp_lines import parsed_line

from otelmig.errors import InputError
from otelmig.otlp.payload import Payload

_OTHER_CODES = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")


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
        *(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode(name) for name in _OTHER_CODES),
    ],
)
def test_other_lines_are_no_traces(line: bytes) -> None:
    """What is no request with spans says so, whatever it is."""
    with pytest.raises(InputError):
        Payload.of_line(line)


@pytest.mark.parametrize("as_json", [False, True])
def test_large_traces_are_divided(*, as_json: bool) -> None:
    """The requests for a trace that is too large are small enough as they are sent; all spans are there, each once."""
    spans = [{**SPAN, "spanId": f"{number + 1:016x}"} for number in range(100)]
    document = {"resourceSpans": [{"resource": RESOURCE, "scopeSpans": [{"scope": SCOPE, "spans": spans}]}] * 2}
    payload = Payload.of_line(json.dumps(document).encode())
    whole_size = len(payload.line if as_json else payload.body)
    assert payload.requests(whole_size, as_json=as_json) == [payload.line if as_json else payload.body]
    assert len(payload.requests(whole_size - 1, as_json=as_json)) > 1
    requests = payload.requests(20_000, as_json=as_json)
    assert all(len(request) <= 20_000 for request in requests)
    read = parsed_line if as_json else ExportTraceServiceRequest.FromString
    parts = [read(request).resource_spans[0] for request in requests]
    assert sum(len(part.scope_spans[0].spans) for part in parts) == payload.spans == 200
    whole = ExportTraceServiceRequest.FromString(payload.body).resource_spans
    assert {str(part.resource) for part in parts} == {str(part.resource) for part in whole}
    assert [span for part in parts for span in part.scope_spans[0].spans] == [
        span for part in whole for span in part.scope_spans[0].spans
    ]


def test_byte_order_mark_is_not_sent() -> None:
    """The first line of a file may have one; a request has none (RFC 8259, 8.1), and the line is the same without."""
    line = json.dumps(DOCUMENT, ensure_ascii=False).encode()
    assert Payload.of_line(BOM_UTF8 + line) == Payload.of_line(line)
    with pytest.raises(InputError, match="not JSON"):
        Payload.of_line(BOM_UTF8 * 2 + line)


@pytest.mark.parametrize("other", [r'"\ud800"', "1e999"])
def test_large_line_that_cannot_be_divided(other: str) -> None:
    """What is in an unknown field need not be anything that can be written again: the line is sent as it is."""
    spans = [{**SPAN, "spanId": f"{number + 1:016x}"} for number in range(9)]
    line = json.dumps({"resourceSpans": [{"other": None, "scopeSpans": [{"spans": spans}]}]}).replace("null", other, 1)
    payload = Payload.of_line(line.encode())
    assert payload.requests(1000, as_json=True) == [payload.line]
    assert payload.requests(1000, as_json=False) == [payload.body]
