"""Traces as OTLP/JSON, one a line: a Collector accepts a line at ``/v1/traces`` and reads it with ``otlp_json_file``.

The mapping is OTLP's own: ids are hexadecimal, 64-bit integers are decimal strings, enumerations are numbers. Tests
compare a line with what the SDK's encoder makes of the trace. Nothing of OpenTelemetry is imported, so that writing a
file costs no start-up time.
"""

from __future__ import annotations

import json
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Final

from otelmig.otlp.encoding.numbers import ERROR, HARDLY_REPEATED, KINDS, flags
from otelmig.trace.attributes import SCHEMA_URL, SCOPE_NAME
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Link, Span, SpanEvent, SpanKind, Trace

__all__ = ["json_line", "json_text"]

_SCOPE: Final = f'{{"name":{quoted(SCOPE_NAME)},"version":{quoted(__version__)}}}'
_SCHEMA: Final = f'"schemaUrl":{quoted(SCHEMA_URL)}'
_BEFORE_TEXT: Final = {key: f'{{"key":{quoted(key)},"value":{{"stringValue":' for key in HARDLY_REPEATED}
"""What precedes the value of an attribute that is not worth remembering whole."""


def json_line(trace: Trace) -> bytes:
    """Return a trace as a line of OTLP/JSON (an ``ExportTraceServiceRequest``) with its line feed.

    The same trace always gives the same bytes.

    Raises:
        ValueError: an attribute is an infinity or not a number.
    """
    texts = []
    for role, attributes in trace.resources.items():
        spans = ",".join([_span(span, trace.trace_id) for span in trace.spans if span.role is role])
        texts.append(
            f'{{"resource":{{"attributes":{_attributes(attributes)}}},"scopeSpans":[{{"scope":{_SCOPE},"spans":[{spans}],'
            f"{_SCHEMA}}}],{_SCHEMA}}}"
        )
    return f'{{"resourceSpans":[{",".join(texts)}]}}\n'.encode()


def json_text(document: object) -> bytes:
    """Return a document as JSON in UTF-8, on one line without a line feed.

    Raises:
        ValueError: a number in it is not finite, or a text has half of a surrogate pair.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _span(span: Span, trace_id: str) -> str:
    parent = "" if span.parent_id is None else f'"parentSpanId":"{span.parent_id}",'
    named = _named(span.name, span.kind, remote=span.parent_remote)
    events = f',"events":[{",".join(map(_event, span.events))}]' if span.events else ""
    links = f',"links":[{",".join([_link(link, trace_id) for link in span.links])}]' if span.links else ""
    status = "" if span.error is None else f'"message":{quoted(span.error)},"code":{ERROR}'
    return (
        f'{{"traceId":"{trace_id}","spanId":"{span.span_id}",{parent}{named},"startTimeUnixNano":"{span.start_ns}",'
        f'"endTimeUnixNano":"{span.end_ns}","attributes":{_attributes(span.attributes)}{events}{links},'
        f'"status":{{{status}}}}}'
    )


@lru_cache(maxsize=256)
def _named(name: str, kind: SpanKind, *, remote: bool) -> str:
    """Return the fields for flags, name and kind of a span."""
    return f'"flags":{flags(remote=remote)},"name":{quoted(name)},"kind":{KINDS[kind]}'


def _event(event: SpanEvent) -> str:
    attributes = _attributes(event.attributes)
    return f'{{"timeUnixNano":"{event.time_ns}","name":{quoted(event.name)},"attributes":{attributes}}}'


def _link(link: Link, trace_id: str) -> str:
    return (
        f'{{"traceId":"{link.trace_id or trace_id}","spanId":"{link.span_id}",'
        f'"attributes":{_attributes(link.attributes)},"flags":{flags(remote=link.remote)}}}'
    )


def _attributes(attributes: Mapping[str, AttributeValue]) -> str:
    """Return attributes as an array.

    Most of a trace is attributes: whole ones are remembered where values repeat, and otherwise what precedes the value.

    Raises:
        ValueError: a value is an infinity or not a number.
    """
    texts = []
    for key, value in attributes.items():
        if type(value) is float:
            if value - value:  # the difference is not 0 for an infinity or NaN, neither of which is JSON
                raise ValueError(f"{key} is {value}")
            texts.append(f"{_before_double(key)}{value!r}}}}}")
        elif type(value) is str and key in _BEFORE_TEXT:
            texts.append(f"{_BEFORE_TEXT[key]}{quoted(value)}}}}}")
        else:
            texts.append(_attribute(key, value))
    return f"[{','.join(texts)}]"


@lru_cache(maxsize=1024)
def _before_double(key: str) -> str:
    """Return what precedes a double: its value hardly ever repeats."""
    return f'{{"key":{quoted(key)},"value":{{"doubleValue":'


@lru_cache(maxsize=4096, typed=True)
def _attribute(key: str, value: AttributeValue) -> str:
    """Return any other attribute, remembered whole: names, versions, reasons and small counts repeat."""
    return f'{{"key":{quoted(key)},"value":{_value(value)}}}'


def _value(value: AttributeValue) -> str:
    """Return an ``AnyValue``.

    Raises:
        TypeError: the value is, or contains, a double.
    """
    if isinstance(value, str):
        return f'{{"stringValue":{quoted(value)}}}'
    if isinstance(value, bool):
        return f'{{"boolValue":{"true" if value else "false"}}}'
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        raise TypeError("a double within another value")
    return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'
