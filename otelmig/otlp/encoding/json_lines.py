"""Traces as OTLP/JSON, one a line: a Collector accepts a line at ``/v1/traces`` and reads it with ``otlp_json_file``.

The mapping is OTLP's own: ids are hexadecimal, 64-bit integers are decimal strings, enumerations are numbers. The
protobuf form of the same request is made in the same pass, because most of the work is common to both; tests compare it
with what :mod:`otelmig.otlp.encoding.protobuf` makes of the line, and both with the SDK's encoder. Nothing of
OpenTelemetry is imported, so that writing a file costs no start-up time.
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Final

from otelmig.otlp.encoding.protobuf import message, string, varint
from otelmig.trace import attributes as names
from otelmig.trace.attributes import SCHEMA_URL, SCOPE_NAME
from otelmig.trace.span import SpanKind
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Link, Span, SpanEvent, Trace

__all__ = ["encode_trace", "json_line", "json_text"]

_Encoded = tuple[str, bytes]
"""JSON and protobuf of the same value."""
_KINDS: Final = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3}
"""Numbers of OTLP's span kinds."""
_ERROR: Final = 2
"""Number of the status code ERROR."""
_HAS_IS_REMOTE: Final = 0x100
"""Bit of a span's flags: whether the context is remote is known."""
_IS_REMOTE: Final = 0x200
"""Bit of a span's flags: the context is remote."""
_DOUBLE: Final = struct.Struct("<d").pack
_TIMES: Final = struct.Struct("<BQBQ").pack
_UINT64: Final = (1 << 64) - 1
_SCOPE: Final = (
    f'{{"name":{quoted(SCOPE_NAME)},"version":{quoted(__version__)}}}',
    message(0x0A, message(0x0A, SCOPE_NAME.encode()) + message(0x12, __version__.encode())),
)
_SCHEMA: Final = (f'"schemaUrl":{quoted(SCHEMA_URL)}', message(0x1A, SCHEMA_URL.encode()))


def json_line(trace: Trace) -> bytes:
    """Return a trace as a line of OTLP/JSON (an ``ExportTraceServiceRequest``) with its line feed.

    The same trace always gives the same bytes.

    Raises:
        ValueError: an attribute is an infinity or not a number.
    """
    return encode_trace(trace)[0] + b"\n"


def json_text(document: object) -> bytes:
    """Return a document as JSON in UTF-8, on one line without a line feed.

    Raises:
        ValueError: a number in it is not finite, or a text has half of a surrogate pair.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode_trace(trace: Trace) -> tuple[bytes, bytes]:
    """Return the line of a trace, without its line feed, and the same request in protobuf.

    Raises:
        ValueError: an attribute is an infinity or not a number.
    """
    texts = []
    body = b""
    # one round for each resource, which makes its JSON (`texts`) and its protobuf (`body`) side by side
    for role, attributes in trace.resources.items():
        resource, resource_body = _attributes(0x0A, attributes)
        spans = [_span(span, trace) for span in trace.spans if span.role is role]
        joined = ",".join([text for text, _ in spans])
        texts.append(
            f'{{"resource":{{"attributes":{resource}}},"scopeSpans":[{{"scope":{_SCOPE[0]},"spans":[{joined}],'
            f"{_SCHEMA[0]}}}],{_SCHEMA[0]}}}"
        )
        scope_body = b"".join([_SCOPE[1], *(data for _, data in spans), _SCHEMA[1]])
        body += message(0x0A, message(0x0A, resource_body) + message(0x12, scope_body) + _SCHEMA[1])
    return f'{{"resourceSpans":[{",".join(texts)}]}}'.encode(), body


def _span(span: Span, trace: Trace) -> _Encoded:
    """Return a span, as an item of JSON and as a field of protobuf."""
    flags = _flags(remote=span.parent_remote)
    named, named_body = _named(span.name, span.kind)
    attributes, attributes_body = _attributes(0x4A, span.attributes)
    parent, ids = "", _ids(trace.trace_id, span.span_id)
    if span.parent_id is not None:
        parent, ids = f'"parentSpanId":"{span.parent_id}",', ids + bytes.fromhex(f"2208{span.parent_id}")
    text = (
        f'{{"traceId":"{trace.trace_id}","spanId":"{span.span_id}",{parent}"flags":{flags},{named},'
        f'"startTimeUnixNano":"{span.start_ns}","endTimeUnixNano":"{span.end_ns}","attributes":{attributes}'
    )
    times = _TIMES(0x39, span.start_ns, 0x41, span.end_ns)
    body = [ids, named_body, times, attributes_body]
    if span.events:
        events = [_event(event) for event in span.events]
        text += f',"events":[{",".join([event_text for event_text, _ in events])}]'
        body += [message(0x5A, data) for _, data in events]
    if span.links:
        links = [_link(link, trace) for link in span.links]
        text += f',"links":[{",".join([link_text for link_text, _ in links])}]'
        body += [message(0x6A, data) for _, data in links]
    if span.error is None:
        text += ',"status":{}}'
        body.append(b"\x7a\x00")
    else:
        text += f',"status":{{"message":{quoted(span.error)},"code":{_ERROR}}}}}'
        body.append(message(0x7A, string(0x12, span.error) + bytes((0x18, _ERROR))))
    body += (b"\x85\x01", flags.to_bytes(4, "little"))
    return text, message(0x12, b"".join(body))


@lru_cache(maxsize=256)
def _named(name: str, kind: SpanKind) -> _Encoded:
    """Return the fields for name and kind of a span."""
    number = _KINDS[kind]
    return f'"name":{quoted(name)},"kind":{number}', string(0x2A, name) + b"\x30" + varint(number)


def _event(event: SpanEvent) -> _Encoded:
    """Return an event, in protobuf without the field around it."""
    attributes, attributes_body = _attributes(0x1A, event.attributes)
    text = f'{{"timeUnixNano":"{event.time_ns}","name":{quoted(event.name)},"attributes":{attributes}}}'
    time = b"\x09" + event.time_ns.to_bytes(8, "little")
    return text, time + string(0x12, event.name) + attributes_body


def _link(link: Link, trace: Trace) -> _Encoded:
    """Return a link, in protobuf without the field around it."""
    attributes, attributes_body = _attributes(0x22, link.attributes)
    flags = _flags(remote=link.remote)
    trace_id = link.trace_id or trace.trace_id
    text = f'{{"traceId":"{trace_id}","spanId":"{link.span_id}","attributes":{attributes},"flags":{flags}}}'
    return text, _ids(trace_id, link.span_id) + attributes_body + b"\x35" + flags.to_bytes(4, "little")


def _ids(trace_id: str, span_id: str) -> bytes:
    """Return the protobuf fields for the ids of a span or a link."""
    return bytes.fromhex(f"0a10{trace_id}1208{span_id}")


def _flags(*, remote: bool) -> int:
    """Return the flags of a span whose parent, or of a link whose target, is ``remote`` or not."""
    return _HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)


def _attributes(tag: int, attributes: Mapping[str, AttributeValue]) -> _Encoded:
    """Return attributes as a JSON array, and as protobuf fields of ``tag``.

    Raises:
        ValueError: a value is an infinity or not a number.
    """
    texts: list[str] = []
    bodies: list[bytes] = []
    # Most of a trace is attributes: whole ones are cached where values repeat, and otherwise what precedes the value.
    # `texts` and `bodies` collect JSON and protobuf of the same attribute side by side.
    for key, value in attributes.items():
        if type(value) is float:
            if value - value:  # the difference is not 0 for an infinity or NaN, neither of which is JSON
                raise ValueError(f"{key} is {value}")
            text, body = _before_double(tag, key)
            texts.append(f"{text}{value!r}}}}}")
            bodies += (body, _DOUBLE(value))
        elif type(value) is str and key in _HARDLY_REPEATED:
            data = value.encode()
            text, body = _before_text(tag, key, len(data))
            texts.append(f"{text}{quoted(value)}}}}}")
            bodies += (body, data)
        else:
            text, body = _attribute(tag, key, value)
            texts.append(text)
            bodies.append(body)
    return f"[{','.join(texts)}]", b"".join(bodies)


@lru_cache(maxsize=1024)
def _before_double(tag: int, key: str) -> _Encoded:
    """Return what precedes a double: its value hardly ever repeats, and always has the same size."""
    text, body = _key(key)
    body += b"\x12\x09\x21"
    return f'{text}{{"doubleValue":', bytes((tag,)) + varint(len(body) + 8) + body


@lru_cache(maxsize=1024)
def _before_text(tag: int, key: str, size: int) -> _Encoded:
    """Return what precedes a string of ``size`` bytes."""
    text, body = _key(key)
    body += message(0x12, message(0x0A, bytes(size)))
    return f'{text}{{"stringValue":', message(tag, body)[: -size or None]


@lru_cache(maxsize=4096, typed=True)
def _attribute(tag: int, key: str, value: AttributeValue) -> _Encoded:
    """Return any other attribute, cached whole: names, versions, reasons and small counts repeat."""
    text, body = _key(key)
    words, data = _value(value)
    return f"{text}{words}}}", message(tag, body + message(0x12, data))


_HARDLY_REPEATED: Final = frozenset(
    {names.OTELMIG_EVIDENCE_START, names.OTELMIG_EVIDENCE_END, names.OTELMIG_TIME_START, names.OTELMIG_TIME_END}
)
"""Attributes that every span has, and whose values hardly ever repeat."""


@lru_cache(maxsize=1024)
def _key(key: str) -> _Encoded:
    """Return the beginning of an attribute, up to its value."""
    return f'{{"key":{quoted(key)},"value":', message(0x0A, key.encode())


def _value(value: AttributeValue) -> _Encoded:
    """Return an ``AnyValue``, in protobuf without the field around it.

    Raises:
        TypeError: the value is, or contains, a double.
    """
    if isinstance(value, str):
        return f'{{"stringValue":{quoted(value)}}}', message(0x0A, value.encode())
    if isinstance(value, bool):
        return f'{{"boolValue":{"true" if value else "false"}}}', bytes((0x10, value))
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}', b"\x18" + varint(value & _UINT64)
    if isinstance(value, float):
        raise TypeError("a double within another value")
    items = [_value(item) for item in value]
    text = f'{{"arrayValue":{{"values":[{",".join([item_text for item_text, _ in items])}]}}}}'
    return text, message(0x2A, b"".join([message(0x0A, data) for _, data in items]))
