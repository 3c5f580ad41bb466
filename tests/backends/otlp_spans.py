"""Spans of OTLP/JSON in a form that can be compared: by id, each with its resource and scope, nothing ordered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["spans_by_id"]


def spans_by_id(resource_spans: Iterable[Mapping[str, Any]], *, poor: bool = False) -> dict[str, dict[str, Any]]:
    """The spans of ``resource_spans`` by their ids.

    ``poor`` compares only what Jaeger keeps on disk: no flags, no attributes of links, and of a list its text.
    """
    return {
        span["spanId"]: _span(span, poor=poor)
        | {"resource": _attributes(group["resource"], poor=poor), "scope": scope["scope"]}
        for group in resource_spans
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    }


def _span(span: Mapping[str, Any], *, poor: bool) -> dict[str, Any]:
    kept = {key: value for key, value in span.items() if not (poor and key == "flags")}
    return kept | {
        "attributes": _attributes(span, poor=poor),
        "events": [each | {"attributes": _attributes(each, poor=poor)} for each in span.get("events", ())],
        "links": [_link(each, poor=poor) for each in span.get("links", ())],
        "status": span.get("status", {}),
    }


def _link(link: Mapping[str, Any], *, poor: bool) -> dict[str, Any]:
    kept = {key: value for key, value in link.items() if not (poor and key in ("flags", "attributes"))}
    return kept if poor else kept | {"attributes": _attributes(link, poor=poor)}


def _attributes(of: Mapping[str, Any], *, poor: bool) -> dict[str, Any]:
    return {each["key"]: _value(each["value"], poor=poor) for each in of.get("attributes", ())}


def _value(value: Mapping[str, Any], *, poor: bool) -> Any:
    ((kind, content),) = value.items()
    if kind == "arrayValue":
        return "list", [_value(each, poor=poor) for each in content["values"]]
    if poor and kind == "stringValue" and content.startswith('["'):
        return "list", [("stringValue", item) for item in json.loads(content)]
    return kind, content
