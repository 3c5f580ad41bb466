"""A request of OTLP/JSON with everything in it that the protocol knows, and its parts."""

from __future__ import annotations

from typing import Any

__all__ = ["DOCUMENT", "RESOURCE", "SCOPE", "SPAN"]

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
SPAN: dict[str, Any] = {
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
RESOURCE = {
    "attributes": _ATTRIBUTES,
    "droppedAttributesCount": 5,
    "entityRefs": [{"schemaUrl": "s", "type": "t", "idKeys": ["a", ""], "descriptionKeys": ["b"]}],
}
SCOPE = {"name": "n", "version": "1", "attributes": _ATTRIBUTES, "droppedAttributesCount": 6}
DOCUMENT: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": RESOURCE,
            "scopeSpans": [{"scope": SCOPE, "spans": [SPAN, {**SPAN, "status": {}}], "schemaUrl": "u"}, {}],
            "schemaUrl": "v",
        },
        {"resource": None, "scopeSpans": [{"spans": [{"traceId": "1" * 32, "spanId": "2" * 16, "parentSpanId": ""}]}]},
        {},
    ]
}
