"""OTLP/JSON as it comes in: one request with logs, read without trust in its shape."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.sent_records import PassedOver
from otelmig.otlp.intake.decoding.sent import Batch, MalformedRequestError, SentRecord, event_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from otelmig.inputs.framing.sent_records import Value

__all__ = ["json_batches"]

_MOST_VALUES: Final = 1 << 20
"""Brackets and commas of a request: each may stand for a value, and a value takes far more memory than its text."""
_DEEPEST: Final = 8
_LONGEST_NUMBER: Final = 20
_LARGEST: Final = 1 << 64
_LARGEST_FLAGS: Final = (1 << 32) - 1


def json_batches(body: bytes, passed_over: Counter[str]) -> Iterator[Batch]:
    """Yield the records of a request, scope by scope; what is no record is counted.

    Raises:
        MalformedRequestError: the body is no JSON object with logs, or has too many values.
    """
    request = _request(body)
    batches = request.get("resourceLogs")
    if batches is not None and not isinstance(batches, list):
        raise MalformedRequestError("`resourceLogs` is no list")
    if request and batches is None:
        passed_over[PassedOver.ANOTHER_SIGNAL] += 1
    for resource_logs in _objects(batches, passed_over):
        resource = resource_logs.get("resource")
        attributes = _attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
        for scope_logs in _objects(resource_logs.get("scopeLogs"), passed_over):
            yield Batch(attributes, map(_record, _objects(scope_logs.get("logRecords"), passed_over)))


def _request(body: bytes) -> dict[str, object]:
    """Return the JSON object that ``body`` is; bytes that are no UTF-8 become halves of surrogate pairs."""
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_VALUES:
        raise MalformedRequestError(f"more than {_MOST_VALUES} values in one request: send smaller batches")
    try:
        document = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError("the body is no JSON") from error
    if not isinstance(document, dict):
        raise MalformedRequestError("the body is no JSON object")
    return document


def _objects(value: object, passed_over: Counter[str]) -> Iterator[dict[str, object]]:
    """Yield the objects of a list; what is none is counted."""
    if value is not None and not isinstance(value, list):
        passed_over[PassedOver.DAMAGED] += 1
    elif value is not None:
        for item in value:
            if isinstance(item, dict):
                yield item
            else:
                passed_over[PassedOver.DAMAGED] += 1


def _record(record: Mapping[str, object]) -> SentRecord:
    attributes = _attributes(record.get("attributes"))
    name, body = record.get("eventName"), record.get("body")
    text = body.get("stringValue") if isinstance(body, dict) else None
    return SentRecord(
        time_ns=_unsigned(record.get("timeUnixNano")),
        observed_ns=_unsigned(record.get("observedTimeUnixNano")),
        body=_value(body),
        size=_size(text) if isinstance(text, str) else None,
        attributes=attributes,
        event=event_of(_sound(name) if isinstance(name, str) else "", attributes),
        trace_id=_hexadecimal(record.get("traceId")),
        span_id=_hexadecimal(record.get("spanId")),
        flags=_unsigned(record.get("flags")) & _LARGEST_FLAGS,
    )


def _attributes(value: object, depth: int = 1) -> dict[str, Value]:
    """Return a list of keys with values; what is none is left out."""
    pairs = value if isinstance(value, list) else []
    return {
        _sound(key): _value(pair.get("value"), depth)
        for pair in pairs
        if isinstance(pair, dict) and isinstance(key := pair.get("key"), str)
    }


def _value(value: object, depth: int = 1) -> Value:
    """Return what an ``AnyValue`` holds; None if it holds nothing, lies too deep or is malformed."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    result: Value = None
    match value:
        case {"stringValue": str(text)}:
            result = _sound(text)
        case {"intValue": number}:
            result = _integer(number)
        case {"boolValue": bool(flag)}:
            result = flag
        case {"doubleValue": int() | float() as number}:
            result = _double(number)
        case {"bytesValue": str(text)}:
            result = _base64(text)
        case {"kvlistValue": {"values": pairs}}:
            result = _attributes(pairs, depth + 1)
        case {"arrayValue": {"values": list(items)}}:
            result = [_value(item, depth + 1) for item in items]
    return result


def _unsigned(value: object) -> int:
    """Return a number that is not negative, as JSON has 64-bit integers: often as text; 0 for anything else."""
    number = _integer(value)
    return number if number is not None and 0 <= number < _LARGEST else 0


def _sound(text: str) -> str:
    """Return a text that is valid Unicode: bytes that were no UTF-8, and halves of pairs, are escaped."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def _integer(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.isascii():
        return int(value) if value.removeprefix("-").isdecimal() else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _double(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.translate({0x2D: "+", 0x5F: "/"}) + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def _hexadecimal(value: object) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _size(text: str) -> int:
    """Return the bytes of a text as it was sent; a half of a pair, which no encoding has, counts three."""
    try:
        return len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return len(text.encode("utf-8", "surrogatepass"))
