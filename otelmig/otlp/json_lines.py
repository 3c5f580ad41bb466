"""Traces as OTLP/JSON, one a line: what a Collector takes at ``/v1/traces`` and reads with ``otlp_json_file``.

The mapping is OTLP's own: ids are hex, 64-bit integers are decimal strings, enumerations are numbers. It imports
nothing of OpenTelemetry, so writing a file costs no start-up; the tests hold it against the SDK's encoder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from otelmig import __version__
from otelmig.trace.semconv import SCHEMA_URL, SCOPE_NAME
from otelmig.trace.span import SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Link, Span, Trace

__all__ = ["json_document", "json_line", "json_text"]

_KINDS: Final = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3}
_ERROR: Final = 2
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200


def json_line(trace: Trace) -> bytes:
    """One trace as a line of OTLP/JSON (an ``ExportTraceServiceRequest``) with its line feed; always the same."""
    return json_text(json_document(trace)) + b"\n"


def json_text(document: object) -> bytes:
    """JSON on one line, without a line feed."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def json_document(trace: Trace) -> dict[str, object]:
    """What the line of ``trace`` says."""
    scope = {"name": SCOPE_NAME, "version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [
                    {
                        "scope": scope,
                        "spans": [_span(span, trace) for span in trace.spans if span.role is role],
                        "schemaUrl": SCHEMA_URL,
                    }
                ],
                "schemaUrl": SCHEMA_URL,
            }
            for role, resource in trace.resources.items()
        ]
    }


def _span(span: Span, trace: Trace) -> dict[str, object]:
    found: dict[str, object] = {"traceId": trace.trace_id, "spanId": span.span_id}
    if span.parent_id is not None:
        found["parentSpanId"] = span.parent_id
    found |= {
        "flags": _flags(remote=span.parent_remote),
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.events:
        found["events"] = [
            {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ]
    if span.links:
        found["links"] = [_link(link, trace) for link in span.links]
    found["status"] = {} if span.error is None else {"message": span.error, "code": _ERROR}
    return found


def _link(link: Link, trace: Trace) -> dict[str, object]:
    return {
        "traceId": trace.trace_id,
        "spanId": link.span_id,
        "attributes": _attributes(link.attributes),
        "flags": _flags(remote=link.remote),
    }


def _flags(*, remote: bool) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": {"stringValue": value} if value.__class__ is str else _value(value)}
        for key, value in attributes.items()
    ]


def _value(value: AttributeValue) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [{"stringValue": item} for item in value]}}
