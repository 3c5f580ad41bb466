"""Traces as protobuf: the bytes that :mod:`otelmig.otlp.encoding.protobuf` makes of their line, without parsing it.

Tests compare the two, and both with the SDK's encoder.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from otelmig.otlp.encoding.numbers import ERROR, HARDLY_REPEATED, KINDS, flags
from otelmig.otlp.encoding.protobuf import message, string, varint
from otelmig.trace.attributes import SCHEMA_URL, SCOPE_NAME
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Link, Span, SpanEvent, SpanKind, Trace

__all__ = ["trace_bytes"]

_DOUBLE: Final = struct.Struct("<d").pack
_TIMES: Final = struct.Struct("<BQBQ").pack
_UINT64: Final = (1 << 64) - 1
_SCOPE: Final = message(0x0A, message(0x0A, SCOPE_NAME.encode()) + message(0x12, __version__.encode()))
_SCHEMA: Final = message(0x1A, SCHEMA_URL.encode())


def trace_bytes(trace: Trace) -> bytes:
    """Return a trace as an ``ExportTraceServiceRequest``; the same trace always gives the same bytes."""
    resources = []
    for role, attributes in trace.resources.items():
        spans = [_span(span, trace.trace_id) for span in trace.spans if span.role is role]
        scope = b"".join((_SCOPE, *spans, _SCHEMA))
        body = message(0x0A, _attributes(0x0A, attributes)) + message(0x12, scope) + _SCHEMA
        resources.append(message(0x0A, body))
    return b"".join(resources)


def _span(span: Span, trace_id: str) -> bytes:
    """Return a span with the field around it."""
    fields = [_ids(trace_id, span.span_id)]
    if span.parent_id is not None:
        fields.append(bytes.fromhex(f"2208{span.parent_id}"))
    fields += (_named(span.name, span.kind), _TIMES(0x39, span.start_ns, 0x41, span.end_ns))
    fields.append(_attributes(0x4A, span.attributes))
    fields += [message(0x5A, _event(event)) for event in span.events]
    fields += [message(0x6A, _link(link, trace_id)) for link in span.links]
    if span.error is None:
        fields.append(b"\x7a\x00")
    else:
        fields.append(message(0x7A, string(0x12, span.error) + bytes((0x18, ERROR))))
    fields += (b"\x85\x01", _flags(remote=span.parent_remote))
    return message(0x12, b"".join(fields))


@lru_cache(maxsize=256)
def _named(name: str, kind: SpanKind) -> bytes:
    """Return the fields for name and kind of a span."""
    return string(0x2A, name) + b"\x30" + varint(KINDS[kind])


def _event(event: SpanEvent) -> bytes:
    time = b"\x09" + event.time_ns.to_bytes(8, "little")
    return time + string(0x12, event.name) + _attributes(0x1A, event.attributes)


def _link(link: Link, trace_id: str) -> bytes:
    ids = _ids(link.trace_id or trace_id, link.span_id)
    return ids + _attributes(0x22, link.attributes) + b"\x35" + _flags(remote=link.remote)


def _ids(trace_id: str, span_id: str) -> bytes:
    """Return the fields for the ids of a span or a link."""
    return bytes.fromhex(f"0a10{trace_id}1208{span_id}")


def _flags(*, remote: bool) -> bytes:
    return flags(remote=remote).to_bytes(4, "little")


def _attributes(tag: int, attributes: Mapping[str, AttributeValue]) -> bytes:
    """Return attributes as fields of ``tag``; whole ones are remembered where values repeat, as for JSON."""
    fields: list[bytes] = []
    for key, value in attributes.items():
        if type(value) is float:
            fields += (_before_double(tag, key), _DOUBLE(value))
        elif type(value) is str and key in HARDLY_REPEATED:
            data = value.encode()
            fields += (_before_text(tag, key, len(data)), data)
        else:
            fields.append(_attribute(tag, key, value))
    return b"".join(fields)


@lru_cache(maxsize=1024)
def _before_double(tag: int, key: str) -> bytes:
    """Return what precedes a double, which always has the same size."""
    body = message(0x0A, key.encode()) + b"\x12\x09\x21"
    return bytes((tag,)) + varint(len(body) + 8) + body


@lru_cache(maxsize=1024)
def _before_text(tag: int, key: str, size: int) -> bytes:
    """Return what precedes a string of ``size`` bytes."""
    body = message(0x0A, key.encode()) + message(0x12, message(0x0A, bytes(size)))
    return message(tag, body)[: -size or None]


@lru_cache(maxsize=4096, typed=True)
def _attribute(tag: int, key: str, value: AttributeValue) -> bytes:
    """Return any other attribute."""
    return message(tag, message(0x0A, key.encode()) + message(0x12, _value(value)))


def _value(value: AttributeValue) -> bytes:
    """Return an ``AnyValue``, without the field around it.

    Raises:
        TypeError: the value is, or contains, a double.
    """
    if isinstance(value, str):
        return message(0x0A, value.encode())
    if isinstance(value, bool):
        return bytes((0x10, value))
    if isinstance(value, int):
        return b"\x18" + varint(value & _UINT64)
    if isinstance(value, float):
        raise TypeError("a double within another value")
    return message(0x2A, b"".join([message(0x0A, _value(item)) for item in value]))
