"""OTLP/JSON -> protobuf: an ``ExportTraceServiceRequest``, straight from its JSON form to its bytes.

One line gives one request, always the same bytes, whether the line was just written or comes from a file years later.
It is stricter than protobuf's own JSON parser, which knows nothing of OTLP's hexadecimal ids, and many times faster.
Fields that it does not know are left out, as the OTLP specification wants; what has the wrong type is an error.
(opentelemetry-proto 1.x: ``trace_service.proto``, ``trace.proto``, ``common.proto``, ``resource.proto``.)
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
_SPAN_ID: Final = 8
_NO_PARENT: Final = (None, "", "0" * 2 * _SPAN_ID)
"""Of a root; the last is what some write that way."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types."""
_CONTINUED: Final = 0x80
_ONE_BYTE: Final = [bytes((number,)) for number in range(_CONTINUED)]
_SHORT: Final = 100
_SHORT_TEXTS: Final = [bytes((0x12, size + 2, 0x0A, size)) for size in range(_SHORT)]
"""What comes before a string of that size in an attribute: the value, and its string."""
_DOUBLE: Final = struct.Struct("<BBBd").pack
_Object = dict[str, Any]
_URL_SAFE: Final = str.maketrans("-_", "+/")
_WRONG: Final = (TypeError, ValueError, KeyError, AttributeError, struct.error, RecursionError)
"""What a document of another shape raises somewhere below."""


def request_bytes(document: object) -> bytes:
    """The protobuf form of a request whose JSON form has been parsed.

    Raises:
        InputError: it is no ``ExportTraceServiceRequest``.
    """
    if not isinstance(document, dict) or "resourceSpans" not in document:
        raise InputError("no OTLP traces (there are no resourceSpans)")
    try:
        return b"".join(message(0x0A, _resource_spans(each)) for each in _list(document["resourceSpans"]))
    except _WRONG as error:
        raise InputError(f"no valid OTLP traces ({type(error).__name__}: {str(error)[:80]})") from error


def _resource_spans(given: _Object) -> bytes:
    found = [message(0x0A, _resource(given["resource"]))] if given.get("resource") is not None else []
    found += [message(0x12, _scope_spans(each)) for each in _list(given.get("scopeSpans"))]
    found.append(string(0x1A, given.get("schemaUrl")))
    return b"".join(found)


def _resource(given: _Object) -> bytes:
    found = [*_attributes(0x0A, given), _count(0x10, given.get("droppedAttributesCount"))]
    found += [message(0x1A, _entity(each)) for each in _list(given.get("entityRefs"))]
    return b"".join(found)


def _entity(given: _Object) -> bytes:
    found = [string(0x0A, given.get("schemaUrl")), string(0x12, given.get("type"))]
    for tag, name in ((0x1A, "idKeys"), (0x22, "descriptionKeys")):
        found += [message(tag, each.encode()) for each in _list(given.get(name))]
    return b"".join(found)


def _scope_spans(given: _Object) -> bytes:
    found = [message(0x0A, _scope(given["scope"]))] if given.get("scope") is not None else []
    found += [message(0x12, _span(each)) for each in _list(given.get("spans"))]
    found.append(string(0x1A, given.get("schemaUrl")))
    return b"".join(found)


def _scope(given: _Object) -> bytes:
    names = string(0x0A, given.get("name")) + string(0x12, given.get("version"))
    return b"".join((names, *_attributes(0x1A, given), _count(0x20, given.get("droppedAttributesCount"))))


def _span(given: _Object) -> bytes:
    get = given.get
    found = [
        _id(0x0A, given["traceId"], _TRACE_ID),
        _id(0x12, given["spanId"], _SPAN_ID),
        string(0x1A, get("traceState")),
    ]
    if get("parentSpanId") not in _NO_PARENT:
        found.append(_id(0x22, given["parentSpanId"], _SPAN_ID))
    found += (string(0x2A, get("name")), _count(0x30, get("kind")))
    found += (_time(0x39, get("startTimeUnixNano")), _time(0x41, get("endTimeUnixNano")))
    found += _attributes(0x4A, given)
    found.append(_count(0x50, get("droppedAttributesCount")))
    found += [message(0x5A, _event(each)) for each in _list(get("events"))]
    found.append(_count(0x60, get("droppedEventsCount")))
    found += [message(0x6A, _link(each)) for each in _list(get("links"))]
    found.append(_count(0x70, get("droppedLinksCount")))
    if get("status") is not None:
        found.append(message(0x7A, _status(given["status"])))
    found.append(_flags(b"\x85\x01", get("flags")))
    return b"".join(found)


def _event(given: _Object) -> bytes:
    begin = _time(0x09, given.get("timeUnixNano")) + string(0x12, given.get("name"))
    return b"".join((begin, *_attributes(0x1A, given), _count(0x20, given.get("droppedAttributesCount"))))


def _link(given: _Object) -> bytes:
    begin = _id(0x0A, given["traceId"], _TRACE_ID) + _id(0x12, given["spanId"], _SPAN_ID)
    end = _count(0x28, given.get("droppedAttributesCount")) + _flags(b"\x35", given.get("flags"))
    return b"".join((begin, string(0x1A, given.get("traceState")), *_attributes(0x22, given), end))


def _status(given: _Object) -> bytes:
    return string(0x12, given.get("message")) + _count(0x18, given.get("code"))


def _attributes(tag: int, given: _Object) -> Iterable[bytes]:
    """Most of a trace is attributes, and most of them are short strings and numbers: those take a shorter way."""
    begin = _ONE_BYTE[tag]
    found = []
    for each in _list(given.get("attributes")):
        value = each.get("value")
        body = _key(each["key"])
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
        found.append(begin + (_ONE_BYTE[size] if size < _CONTINUED else varint(size)) + body)
    return found


def _key_value(given: _Object) -> bytes:
    value = given.get("value")
    return _key(given["key"]) if value is None else _key(given["key"]) + message(0x12, _any_value(value))


@lru_cache(maxsize=1024)
def _key(key: str) -> bytes:
    return message(0x0A, key.encode())


def _any_value(given: _Object) -> bytes:
    for kind, value in given.items():
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
    """Of either alphabet, with or without padding, as the JSON form of protobuf allows."""
    padding = "" if value.endswith("=") else "=" * (-len(value) % 4)
    return base64.b64decode(value.translate(_URL_SAFE) + padding, validate=True)


def _key_values(value: _Object) -> bytes:
    return b"".join(message(0x0A, _key_value(each)) for each in _list(value.get("values")))


_VALUES: Final[dict[str, Callable[[Any], bytes]]] = {
    "stringValue": lambda value: message(0x0A, value.encode()),
    "boolValue": _bool,
    "intValue": lambda value: b"\x18" + varint(_integer(value, -(1 << 63), 1 << 63) & ((1 << 64) - 1)),
    "doubleValue": _double,
    "arrayValue": lambda value: message(
        0x2A, b"".join(message(0x0A, _any_value(each)) for each in _list(value.get("values")))
    ),
    "kvlistValue": lambda value: message(0x32, _key_values(value)),
    "bytesValue": lambda value: message(0x3A, _base64(value)),
}


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def message(tag: int, body: bytes) -> bytes:
    """A field that holds a message, a string or bytes; ``tag`` is of one byte."""
    size = len(body)
    if size < _CONTINUED:
        return _ONE_BYTE[tag] + _ONE_BYTE[size] + body
    return _ONE_BYTE[tag] + varint(size) + body


def string(tag: int, value: str | None) -> bytes:
    """A field that holds a string; none, if that is empty."""
    return message(tag, value.encode()) if value else b""


@lru_cache(maxsize=256)
def _id(tag: int, text: str, size: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != size or len(text) != 2 * size or not any(value):
        raise ValueError(f"not an id of {size} bytes")
    return message(tag, value)


def _time(tag: int, value: object) -> bytes:
    number = 0 if value is None else _integer(value, 0, 1 << 64)
    return _ONE_BYTE[tag] + number.to_bytes(8, "little") if number else b""


def _flags(tag: bytes, value: object) -> bytes:
    number = 0 if value is None else _integer(value, 0, 1 << 32)
    return tag + number.to_bytes(4, "little") if number else b""


def _count(tag: int, value: object) -> bytes:
    number = 0 if value is None else _integer(value, 0, 1 << 32)
    return _ONE_BYTE[tag] + varint(number) if number else b""


def _integer(value: object, least: int, end: int) -> int:
    """A number or a string of digits: JSON cannot be trusted with 64 bits."""
    if value.__class__ is str:
        number = int(value)
        if least <= number < end:
            return number
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not an integer")
    number = int(value)
    if not least <= number < end:
        raise ValueError("an integer out of range")
    return number


def varint(number: int) -> bytes:
    """A non-negative integer in groups of seven bits."""
    if number < _CONTINUED:
        return _ONE_BYTE[number]
    if number < _CONTINUED * _CONTINUED:
        return bytes((number & 0x7F | _CONTINUED, number >> 7))
    found = bytearray()
    while number >= _CONTINUED:
        found.append(number & 0x7F | _CONTINUED)
        number >>= 7
    found.append(number)
    return bytes(found)
