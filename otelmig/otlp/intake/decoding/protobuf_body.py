"""A request in protobuf -> its records; what cannot be read costs itself alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.sent_records import PassedOver, text_of
from otelmig.otlp.intake.decoding import wire
from otelmig.otlp.intake.decoding.sent import Batch, MalformedRequestError, Parts, SentRecord, event_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from otelmig.inputs.framing.sent_records import Value

__all__ = ["protobuf_batches"]

_LARGE: Final = 1 << 16
"""Bytes of a record from which on its fields are counted before it is parsed."""
_RESOURCE_LOGS, _RESOURCE, _SCOPE_LOGS, _LOG_RECORDS, _ATTRIBUTES = 1, 1, 2, 2, 1
"""Numbers of fields (``opentelemetry/proto/logs/v1/logs.proto``)."""


def protobuf_batches(body: bytes, passed_over: Counter[str]) -> Iterator[Batch]:
    """Yield the records of a request, scope by scope; what cannot be read is counted.

    Raises:
        MalformedRequestError: the body is no message, or has too many records.
    """
    parts = Parts()
    try:
        places = list(_messages(body, (0, len(body)), parts))
    except wire.DamagedError as error:
        raise MalformedRequestError("the body is no protobuf message") from error
    batches = [place for number, place in places if number == _RESOURCE_LOGS]
    if body and not batches:
        passed_over[PassedOver.ANOTHER_SIGNAL] += 1
    for place in batches:
        try:
            yield from _scopes(body, place, parts, passed_over)
        except wire.DamagedError:
            passed_over[PassedOver.DAMAGED] += 1


def _messages(body: bytes, place: tuple[int, int], parts: Parts) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the messages within another: the number of the field, and where its bytes are; all fields are counted."""
    for number, kind, begin, end in wire.fields(body, *place):
        parts.count()
        if kind == wire.BYTES:
            yield number, (begin, end)


def _scopes(body: bytes, place: tuple[int, int], parts: Parts, passed_over: Counter[str]) -> Iterator[Batch]:
    """Yield the scopes of one ``ResourceLogs``; its resource may come after them, or in pieces."""
    scopes, pieces = [], []
    for number, (begin, end) in _messages(body, place, parts):
        if number == _RESOURCE:
            pieces.append(body[begin:end])
        elif number == _SCOPE_LOGS:
            scopes.append((begin, end))
    resource: Mapping[str, Value] = {}
    try:
        resource = wire.key_values(b"".join(pieces), _ATTRIBUTES)
    except wire.DamagedError:
        passed_over[PassedOver.DAMAGED] += 1
    for scope in scopes:
        yield Batch(resource, _records(body, scope, parts, passed_over))


def _records(body: bytes, place: tuple[int, int], parts: Parts, passed_over: Counter[str]) -> Iterator[SentRecord]:
    try:
        for number, (begin, end) in _messages(body, place, parts):
            if number == _LOG_RECORDS:
                record = _record(body[begin:end])
                if isinstance(record, PassedOver):
                    passed_over[record] += 1
                else:
                    yield record
    except wire.DamagedError:
        passed_over[PassedOver.DAMAGED] += 1


def _record(raw: bytes) -> SentRecord | PassedOver:
    try:
        if len(raw) > _LARGE and wire.has_many_fields(raw):
            return PassedOver.LARGE
        message = wire.record_message(raw)
    except wire.DamagedError:
        return PassedOver.DAMAGED
    if wire.has_many_attributes(message):
        return PassedOver.LARGE
    body = message.body
    text = body.string_value
    attributes = wire.attributes_of(message.attributes)
    event = event_of(text_of(message.event_name), attributes)
    record = SentRecord(
        message.time_unix_nano,
        message.observed_time_unix_nano,
        text_of(text) if text else wire.value_of(body),
        len(text) if text else None,
        attributes,
        event,
    )
    if event:
        return record._replace(trace_id=message.trace_id, span_id=message.span_id, flags=message.flags)
    return record
