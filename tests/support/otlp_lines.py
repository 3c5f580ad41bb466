"""What every receiver expects of a line of OTLP/JSON, whatever the logs were."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_otlp", "no_constant", "parsed_line"]


_HEX_ID: Final = {32: re.compile(r"[0-9a-f]{32}"), 16: re.compile(r"[0-9a-f]{16}")}
_MICROSECOND: Final = 1_000


def check_otlp(data: bytes) -> None:
    """Assert that every line is a trace that any receiver takes: one rooted forest of sound spans."""
    seen: set[str] = set()
    shared: set[str] = set()
    for line in data.splitlines():
        document = json.loads(line, parse_constant=no_constant)
        spans = [
            span
            for resource in document["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        ids = [span["spanId"] for span in spans]
        assert len({span["traceId"] for span in spans}) == 1, "a line is a trace"
        assert len(set(ids)) == len(ids), "span ids are unique in a trace"
        _check_tree({span["spanId"]: span for span in spans})
        shared |= seen & set(ids)
        seen |= set(ids)
    assert not shared, "span ids are unique among traces"


def no_constant(name: str) -> NoReturn:
    """Refuse what is no JSON: NaN, Infinity."""
    raise AssertionError(f"{name} in JSON")


def _check_tree(spans: Mapping[str, dict[str, Any]]) -> None:
    roots = [span for span in spans.values() if "parentSpanId" not in span]
    assert len(roots) == 1, f"{len(roots)} roots"
    for span in spans.values():
        name = span["name"]
        begin, end = _times(span)
        assert _HEX_ID[16].fullmatch(span["spanId"]), "a span id has 16 hex digits"
        assert _HEX_ID[32].fullmatch(span["traceId"]), "a trace id has 32 hex digits"
        assert 0 < begin < end < 1 << 63, f"{name} from {begin} to {end}"
        assert begin % _MICROSECOND == end % _MICROSECOND == 0, f"{name} is not in whole microseconds"
        for event in span.get("events", ()):
            assert begin <= int(event["timeUnixNano"]) <= end, f"event {event['name']} outside of {name}"
        for link in span.get("links", ()):
            elsewhere = link["traceId"] != span["traceId"]
            assert elsewhere or link["spanId"] in spans, f"a link of {name} leads nowhere"
        for attribute in span["attributes"]:
            _check_value(attribute)
        _check_texts(span)
        _check_ancestors(span, spans)


def _times(span: Mapping[str, Any]) -> tuple[int, int]:
    return int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])


def _check_value(attribute: Mapping[str, Any]) -> None:
    value = attribute["value"]
    assert len(value) == 1, f"{attribute['key']} has one value"
    if "intValue" in value:
        assert -(1 << 63) <= int(value["intValue"]) < 1 << 63, f"{attribute['key']} is no 64-bit number"


def _check_texts(value: object) -> None:
    """Assert that no text in a span controls a viewer."""
    if isinstance(value, str):
        assert value.isprintable(), f"{value!a} controls a viewer"
    elif isinstance(value, dict):
        for item in value.values():
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _check_ancestors(span: dict[str, Any], spans: Mapping[str, dict[str, Any]]) -> None:
    above = set()
    child = span
    while (parent_id := child.get("parentSpanId")) is not None:
        assert parent_id in spans, f"the parent of {child['name']} is missing"
        assert parent_id not in above, f"{child['name']} is its own ancestor"
        above.add(parent_id)
        parent = spans[parent_id]
        (begin, end), (outer_begin, outer_end) = _times(child), _times(parent)
        assert outer_begin <= begin, f"{child['name']} begins before {parent['name']}"
        assert end <= outer_end, f"{child['name']} ends after {parent['name']}"
        child = parent


def parsed_line(line: bytes) -> ExportTraceServiceRequest:
    """A line as the message that protobuf's own parser makes of it (whose ids are base64 where OTLP's are hex)."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(item)).decode()
                if key in ("traceId", "spanId", "parentSpanId")
                else convert(item)
                for key, item in value.items()
            }
        return [convert(item) for item in value] if isinstance(value, list) else value

    return ParseDict(convert(json.loads(line)), ExportTraceServiceRequest(), ignore_unknown_fields=True)
