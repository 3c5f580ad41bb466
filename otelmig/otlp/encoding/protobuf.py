"""OTLP/JSON -> protobuf: an ``ExportTraceServiceRequest``, straight from its JSON form to its bytes.

One line gives one request, always the same bytes, whether the line was just written or comes from a file years later.
This encoder is stricter than protobuf's own JSON parser, which does not know OTLP's hexadecimal ids, and many times
faster. Unknown fields are left out, as the OTLP specification demands; a value of the wrong type is an error.
(opentelemetry-proto 1.x: ``trace_service.proto``, ``trace.proto``, ``common.proto``, ``resource.proto``.)

A function for a message returns its bytes, without the field around it; a ``tag`` is field number and wire type in one
byte. Parsed JSON of another shape raises one of ``_MALFORMED`` somewhere below :func:`request_bytes`.
"""

from __future__ import annotations

import base64
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otelmig.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["message", "request_bytes", "string", "varint"]

_TRACE_ID: Final = 16
"""Bytes of a trace id."""
_SPAN_ID: Final = 8
"""Bytes of a span id."""
_NO_PARENT: Final = (None, "", "0" * 2 * _SPAN_ID)
"""Parent ids of a root; some programs write zeros."""
_CONTINUED: Final = 0x80
"""Bit of a varint's byte that says that another byte follows."""
_ONE_BYTE: Final = [bytes((number,)) for number in range(_CONTINUED)]
"""Varints of one byte, by number."""
_SHORT: Final = 100
"""Bytes that a short string stays below."""
_SHORT_TEXTS: Final = [bytes((0x12, size + 2, 0x0A, size)) for size in range(_SHORT)]
"""Bytes before a short string in an attribute, by its size: the value's field, and the string's."""
_DOUBLE: Final = struct.Struct("<BBBd").pack
_Object = dict[str, Any]
_URL_SAFE: Final = str.maketrans("-_", "+/")
_MALFORMED: Final = (TypeError, ValueError, KeyError, AttributeError, struct.error, RecursionError)
"""Errors that a document of another shape raises."""
_LONGEST_FLAW: Final = 80
"""At most this many characters of a flaw are shown."""


def request_bytes(document: object) -> bytes:
    """Return the protobuf form of a request whose JSON form has been parsed.

    Raises:
        InputError: ``document`` is no ``ExportTraceServiceRequest``.
    """
    if not isinstance(document, dict) or "resourceSpans" not in document:
        raise InputError("no OTLP traces (there are no resourceSpans)")
    try:
        return b"".join(message(0x0A, _resource_spans(item)) for item in _list(document["resourceSpans"]))
    except _MALFORMED as error:
        kind = "" if isinstance(error, _WantedError) else f"{type(error).__name__}: "
        raise InputError(f"no valid OTLP traces ({kind}{str(error)[:_LONGEST_FLAW]})") from error


class _WantedError(ValueError):
    """A value is another than the protocol wants; the text says which one, and where."""


def _resource_spans(document: _Object) -> bytes:
    fields = [message(0x0A, _resource(document["resource"]))] if document.get("resource") is not None else []
    fields += [message(0x12, _scope_spans(item)) for item in _list(document.get("scopeSpans"))]
    fields.append(string(0x1A, document.get("schemaUrl")))
    return b"".join(fields)


def _resource(document: _Object) -> bytes:
    fields = [*_attributes(0x0A, document), _count(0x10, document.get("droppedAttributesCount"))]
    fields += [message(0x1A, _entity(item)) for item in _list(document.get("entityRefs"))]
    return b"".join(fields)


def _entity(document: _Object) -> bytes:
    fields = [string(0x0A, document.get("schemaUrl")), string(0x12, document.get("type"))]
    for tag, name in ((0x1A, "idKeys"), (0x22, "descriptionKeys")):
        fields += [message(tag, key.encode()) for key in _list(document.get(name))]
    return b"".join(fields)


def _scope_spans(document: _Object) -> bytes:
    fields = [message(0x0A, _scope(document["scope"]))] if document.get("scope") is not None else []
    fields += [message(0x12, _span(item)) for item in _list(document.get("spans"))]
    fields.append(string(0x1A, document.get("schemaUrl")))
    return b"".join(fields)


def _scope(document: _Object) -> bytes:
    name = string(0x0A, document.get("name")) + string(0x12, document.get("version"))
    return b"".join((name, *_attributes(0x1A, document), _count(0x20, document.get("droppedAttributesCount"))))


def _span(document: _Object) -> bytes:
    get = document.get
    fields = [
        _id(0x0A, document["traceId"], _TRACE_ID),
        _id(0x12, document["spanId"], _SPAN_ID),
        string(0x1A, get("traceState")),
    ]
    if get("parentSpanId") not in _NO_PARENT:
        fields.append(_id(0x22, document["parentSpanId"], _SPAN_ID))
    fields += (string(0x2A, get("name")), _enum(0x30, "kind", get("kind")))
    fields += (_time(0x39, get("startTimeUnixNano")), _time(0x41, get("endTimeUnixNano")))
    fields += _attributes(0x4A, document)
    fields.append(_count(0x50, get("droppedAttributesCount")))
    fields += [message(0x5A, _event(item)) for item in _list(get("events"))]
    fields.append(_count(0x60, get("droppedEventsCount")))
    fields += [message(0x6A, _link(item)) for item in _list(get("links"))]
    fields.append(_count(0x70, get("droppedLinksCount")))
    if get("status") is not None:
        fields.append(message(0x7A, _status(document["status"])))
    fields.append(_flags(b"\x85\x01", get("flags")))
    return b"".join(fields)


def _event(document: _Object) -> bytes:
    begin = _time(0x09, document.get("timeUnixNano")) + string(0x12, document.get("name"))
    return b"".join((begin, *_attributes(0x1A, document), _count(0x20, document.get("droppedAttributesCount"))))


def _link(document: _Object) -> bytes:
    begin = _id(0x0A, document["traceId"], _TRACE_ID) + _id(0x12, document["spanId"], _SPAN_ID)
    end = _count(0x28, document.get("droppedAttributesCount")) + _flags(b"\x35", document.get("flags"))
    return b"".join((begin, string(0x1A, document.get("traceState")), *_attributes(0x22, document), end))


def _status(document: _Object) -> bytes:
    return string(0x12, document.get("message")) + _enum(0x18, "code", document.get("code"))


def _attributes(tag: int, document: _Object) -> Iterable[bytes]:
    """Return the attributes of a document as fields of ``tag``.

    Most of a trace is attributes, and most of these are short strings and doubles: they take a shorter way.
    """
    begin = _ONE_BYTE[tag]
    fields = []
    for attribute in _list(document.get("attributes")):
        value = attribute.get("value")
        body = _key(attribute["key"])
        if value is not None:
            text = value.get("stringValue")
            number = value.get("doubleValue")
            if text.__class__ is str and len(data := text.encode()) < _SHORT:
                body += _SHORT_TEXTS[len(data)] + data
            elif number.__class__ is float:
                body += _DOUBLE(0x12, 9, 0x21, number)
            else:
                body += message(0x12, _any_value(value))
        size = len(body)
        fields.append(begin + (_ONE_BYTE[size] if size < _CONTINUED else varint(size)) + body)
    return fields


def _key_value(document: _Object) -> bytes:
    value = document.get("value")
    return _key(document["key"]) if value is None else _key(document["key"]) + message(0x12, _any_value(value))


@lru_cache(maxsize=1024)
def _key(key: str) -> bytes:
    """Return the field for the key of an attribute."""
    return message(0x0A, key.encode())


def _any_value(document: _Object) -> bytes:
    for kind, value in document.items():
        encode = _VALUES.get(kind)
        if encode is not None and value is not None:
            return encode(value)
    return b""


def _bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise TypeError("boolValue is no boolean")
    return b"\x10\x01" if value else b"\x10\x00"


def _double(value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, float | int | str):
        raise TypeError("doubleValue is no number")
    return b"\x21" + struct.pack("<d", float(value))


def _base64(value: str) -> bytes:
    """Return the bytes that ``value`` encodes, in either alphabet and with or without padding, as protobuf allows."""
    padding = "" if value.endswith("=") else "=" * (-len(value) % 4)
    return base64.b64decode(value.translate(_URL_SAFE) + padding, validate=True)


def _key_values(value: _Object) -> bytes:
    return b"".join(message(0x0A, _key_value(item)) for item in _list(value.get("values")))


_VALUES: Final[dict[str, Callable[[Any], bytes]]] = {
    "stringValue": lambda value: message(0x0A, value.encode()),
    "boolValue": _bool,
    "intValue": lambda value: b"\x18" + varint(_integer(value, -(1 << 63), 1 << 63) & ((1 << 64) - 1)),
    "doubleValue": _double,
    "arrayValue": lambda value: message(
        0x2A, b"".join(message(0x0A, _any_value(item)) for item in _list(value.get("values")))
    ),
    "kvlistValue": lambda value: message(0x32, _key_values(value)),
    "bytesValue": lambda value: message(0x3A, _base64(value)),
}
"""Encoders of a value, by the name of its field."""


def _list(value: object) -> list[Any]:
    """Return a JSON array; an absent one is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def message(tag: int, body: bytes) -> bytes:
    """Return a field with a message, a string or bytes in it."""
    size = len(body)
    if size < _CONTINUED:
        return _ONE_BYTE[tag] + _ONE_BYTE[size] + body
    return _ONE_BYTE[tag] + varint(size) + body


def string(tag: int, value: str | None) -> bytes:
    """Return a field with a string in it; nothing if the string is empty or None."""
    return message(tag, value.encode()) if value else b""


@lru_cache(maxsize=256)
def _id(tag: int, text: str, size: int) -> bytes:
    """Return a field with an id of ``size`` bytes, which ``text`` has in hexadecimal."""
    value = bytes.fromhex(text)
    if len(value) != size or len(text) != 2 * size or not any(value):
        raise ValueError(f"not an id of {size} bytes")
    return message(tag, value)


def _time(tag: int, value: object) -> bytes:
    """Return a field of 64 fixed bits; nothing for 0."""
    number = 0 if value is None else _integer(value, 0, 1 << 64)
    return _ONE_BYTE[tag] + number.to_bytes(8, "little") if number else b""


def _flags(tag: bytes, value: object) -> bytes:
    """Return a field of 32 fixed bits, whose tag may be longer than one byte; nothing for 0."""
    number = 0 if value is None else _integer(value, 0, 1 << 32)
    return tag + number.to_bytes(4, "little") if number else b""


def _count(tag: int, value: object) -> bytes:
    """Return a field with a varint of up to 32 bits; nothing for 0."""
    number = 0 if value is None else _integer(value, 0, 1 << 32)
    return _ONE_BYTE[tag] + varint(number) if number else b""


def _enum(tag: int, name: str, value: object) -> bytes:
    """Return a field with the number of an enumeration's value; its name is no OTLP/JSON."""
    try:
        return _count(tag, value)
    except _WantedError as error:
        raise _WantedError(f"{name}: {error}") from error


def _integer(value: object, least: int, end: int) -> int:
    """Return a number, or the number in a string of digits, as JSON has 64-bit integers; ``end`` is exclusive."""
    if isinstance(value, str) and not value.removeprefix("-").isdecimal():
        raise _WantedError(f"want a number, not {value[:_LONGEST_FLAW]!r}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not an integer")
    number = int(value)
    if not least <= number < end:
        raise ValueError("an integer out of range")
    return number


def varint(number: int) -> bytes:
    """Return a non-negative integer in groups of seven bits, the lowest first."""
    if number < _CONTINUED:
        return _ONE_BYTE[number]
    if number < _CONTINUED * _CONTINUED:
        return bytes((number & 0x7F | _CONTINUED, number >> 7))
    data = bytearray()
    while number >= _CONTINUED:
        data.append(number & 0x7F | _CONTINUED)
        number >>= 7
    data.append(number)
    return bytes(data)
