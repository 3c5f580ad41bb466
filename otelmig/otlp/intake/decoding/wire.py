"""Protobuf as it comes in: its structure is walked here, piece by piece, so that no request takes much memory.

The records themselves are parsed by message classes that are made at run time: Python's protobuf refuses a whole
request over one text that is no UTF-8, and a request that is answered with an error may be sent again for ever. So each
``string`` is ``bytes`` here (the wire has no difference), and so are lists and maps: they are parsed when they are
needed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from otelmig.inputs.framing.sent_records import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelmig.inputs.framing.sent_records import Value

__all__ = [
    "BYTES",
    "DamagedError",
    "attributes_of",
    "fields",
    "has_many_attributes",
    "has_many_fields",
    "key_values",
    "record_message",
    "value_of",
]

_VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types; ``BYTES`` is also that of messages and texts."""
_CONTINUED: Final = 0x80
_LONGEST_VARINT: Final = 10
_DEEPEST: Final = 8
_MOST_FIELDS: Final = 1 << 10
"""Fields of a map that are read; a record with more, or with more attributes, is no line."""
_MOST_ITEMS: Final = 1 << 16
"""Values of a list that are read."""
_ORDINARY_NAME: Final = 64
"""Bytes of an attribute's key that is kept."""
_OPAQUE: Final = frozenset({"array_value", "kvlist_value"})
_STRING: Final = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_RAW: Final = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


class DamagedError(ValueError):
    """Bytes are no protobuf message."""


def _messages() -> tuple[type[Any], type[Any], type[Any]]:
    """Return classes for a log record, a key with its value, and a value, whose texts are bytes."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, logs_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                if field.type == _STRING or field.name in _OPAQUE:
                    field.type = _RAW
                    field.ClearField("type_name")
        pool.Add(file)
    names = ("logs.v1.LogRecord", "common.v1.KeyValue", "common.v1.AnyValue")
    record, pair, value = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"opentelemetry.proto.{name}")) for name in names
    )
    return record, pair, value


_RECORD, _PAIR, _VALUE = _messages()


def fields(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the fields of a message in ``data``: number, wire type, where its value begins, where it ends.

    Raises:
        DamagedError: it is no message, from here on.
    """
    while begin < end:
        tag, begin = _varint(data, begin, end)
        number, kind = tag >> 3, tag & 7
        if kind == BYTES:
            size, begin = _varint(data, begin, end)
        elif kind == _FIXED64:
            size = 8
        elif kind == _FIXED32:
            size = 4
        elif kind == _VARINT:
            size = _varint(data, begin, end)[1] - begin
        else:
            raise DamagedError
        if size > end - begin or not number:
            raise DamagedError
        yield number, kind, begin, begin + size
        begin += size


def _varint(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, and where it ends."""
    number = shift = 0
    for place in range(begin, min(end, begin + _LONGEST_VARINT)):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        if byte < _CONTINUED:
            return number, place + 1
        shift += 7
    raise DamagedError


def record_message(data: bytes) -> Any:
    """Return the log record that ``data`` is.

    Raises:
        DamagedError: it is none.
    """
    return _parsed(_RECORD, data)


def has_many_attributes(message: Any) -> bool:
    """Return whether a record has more attributes than any of a line."""
    return len(message.attributes) > _MOST_FIELDS


def has_many_fields(data: bytes) -> bool:
    """Return whether a message has more fields than any record of a line.

    Raises:
        DamagedError: it is no message.
    """
    return any(count > _MOST_FIELDS for count, _ in enumerate(fields(data, 0, len(data))))


def key_values(data: bytes, number: int) -> dict[str, Value]:
    """Return the attributes that the message ``data`` has in its field ``number``.

    Raises:
        DamagedError: it is no message, or an attribute is none.
    """
    return dict(_pairs(data, number, 1))


def attributes_of(pairs: Iterable[Any]) -> dict[str, Value]:
    """Return parsed attributes; a value that cannot be read is None."""
    attributes: dict[str, Value] = {}
    for pair in pairs:
        value = pair.value
        # most are texts and numbers: one that is not empty, or not 0, is what it is, and nothing more is asked
        text = value.string_value
        if text:
            attributes[_name(pair.key)] = text_of(text)
        else:
            attributes[_name(pair.key)] = value.int_value or value_of(value)
    return attributes


def _pairs(data: bytes, number: int, depth: int) -> Iterator[tuple[str, Value]]:
    count = 0
    for field, kind, begin, end in fields(data, 0, len(data)):
        if field == number and kind == BYTES:
            pair = _parsed(_PAIR, data[begin:end])
            yield _name(pair.key), value_of(pair.value, depth)
            count += 1
            if count >= _MOST_FIELDS:
                return


def value_of(message: Any, depth: int = 1) -> Value:
    """Return a value; None if it is none, lies too deep or cannot be read."""
    name = message.WhichOneof("value")
    if name == "string_value":
        return text_of(message.string_value)
    if name not in _OPAQUE:
        value: Value = None if name is None else getattr(message, name)
        return value
    if depth > _DEEPEST:
        return None
    try:
        if name == "kvlist_value":
            return dict(_pairs(message.kvlist_value, 1, depth + 1))
        return list(_items(message.array_value, depth + 1))
    except DamagedError:
        return None


def _items(data: bytes, depth: int) -> Iterator[Value]:
    count = 0
    for field, kind, begin, end in fields(data, 0, len(data)):
        if field == 1 and kind == BYTES:
            yield value_of(_parsed(_VALUE, data[begin:end]), depth)
            count += 1
            if count >= _MOST_ITEMS:
                return


def _parsed(message: type[Any], data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise DamagedError from error


@lru_cache(maxsize=1024)
def _short_name(raw: bytes) -> str:
    return text_of(raw)


def _name(raw: bytes) -> str:
    """Return the key of an attribute; those of ordinary length are kept: most records have the same few."""
    return _short_name(raw) if len(raw) <= _ORDINARY_NAME else text_of(raw)
