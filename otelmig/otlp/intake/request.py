"""A request with OTLP logs -> the lines of files in it, and announcements of migrations.

It is total: nothing is raised over a part of a request, and what is not understood is counted. Whoever is answered with
an error may send the same request again for ever, and everything behind it waits; so only what is no request is one.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.announcement import RecordName
from otelmig.inputs.framing.sent_records import PassedOver, Sender
from otelmig.otlp.intake.announcement import Announcement
from otelmig.otlp.intake.decoding.json_body import json_batches
from otelmig.otlp.intake.decoding.protobuf_body import protobuf_batches
from otelmig.otlp.intake.decoding.sent import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.inputs.framing.sent_records import Value
    from otelmig.inputs.record import LogRecord
    from otelmig.otlp.intake.decoding.sent import Batch, SentRecord

__all__ = ["MalformedRequestError", "ReceivedLogs", "decode_logs"]

_PREFIX: Final = RecordName.ANNOUNCED.removesuffix("announced")
"""What the names of events begin with that say something of a migration; some are our own, and may come back."""
_ANNOUNCEMENTS: Final = frozenset(RecordName)
_TRACE_ID, _SPAN_ID = 16, 8
"""Bytes of an id."""
_LATEST: Final = 1 << 63
_lock: Final = threading.Lock()
"""A request may take many times its size in memory while it is read: one at a time. (Nor would two be faster.)"""


class ReceivedLogs(NamedTuple):
    """What one request holds."""

    records: tuple[LogRecord, ...]
    """In the order of the request."""
    announcements: tuple[Announcement, ...]
    passed_over: Counter[str]
    """How many records (or parts that are none) are neither, by the reason: values of ``PassedOver``."""


def decode_logs(body: bytes, *, is_json: bool) -> ReceivedLogs:
    r"""Return what a request holds; the same body always gives the same.

    Texts are decoded with ``backslashreplace`` (a byte that is no UTF-8 becomes ``\xff``); control characters stay.

    Raises:
        MalformedRequestError: the body is no ``ExportLogsServiceRequest``, or has too many records.
    """
    passed_over: Counter[str] = Counter()
    with _lock:
        return _received((json_batches if is_json else protobuf_batches)(body, passed_over), passed_over)


def _received(batches: Iterable[Batch], passed_over: Counter[str]) -> ReceivedLogs:
    records: list[LogRecord] = []
    announcements: list[Announcement] = []
    resource: Mapping[str, Value] | None = None
    sender = Sender({})
    # resource, sender: those of the batch before: the scopes of one resource share them
    for attributes, sent_records in batches:
        if attributes is not resource:
            resource, sender = attributes, Sender(attributes)
        sender.begin_batch()
        for sent in sent_records:
            if sent.event in _ANNOUNCEMENTS:
                announcements.append(_announcement(sent, attributes, sender))
                continue
            record = _line(sent, sender)
            if isinstance(record, PassedOver):
                passed_over[record] += 1
            else:
                records.append(record)
    return ReceivedLogs(tuple(records), tuple(announcements), passed_over)


def _line(sent: SentRecord, sender: Sender) -> LogRecord | PassedOver:
    if sent.event.startswith(_PREFIX):
        return PassedOver.ANOTHER_EVENT
    return sender.record(sent.attributes, sent.body, _ns(sent.time_ns) or _ns(sent.observed_ns), sent.size)


def _announcement(sent: SentRecord, resource: Mapping[str, Value], sender: Sender) -> Announcement:
    has_context = _is_id(sent.trace_id, _TRACE_ID) and _is_id(sent.span_id, _SPAN_ID)
    return Announcement(
        name=sent.event,
        trace_id=sent.trace_id.hex() if has_context else "",
        span_id=sent.span_id.hex() if has_context else "",
        flags=sent.flags,
        time_ns=_ns(sent.time_ns),
        observed_ns=_ns(sent.observed_ns),
        attributes=sent.attributes,
        resource=resource,
        host=sender.host,
    )


def _is_id(value: bytes, size: int) -> bool:
    return len(value) == size and any(value)


def _ns(time: int) -> int | None:
    return time if 0 < time < _LATEST else None
