"""A record of a request, whichever encoding it had, and what bounds a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.inputs.framing.sent_records import Value

__all__ = ["Batch", "MalformedRequestError", "Parts", "SentRecord", "event_of"]

_MOST_PARTS: Final = 1 << 17
"""Batches and records of one request; a record of a Collector takes 100 bytes and more."""
_EVENT: Final = "event.name"


class MalformedRequestError(ValueError):
    """A body is no ``ExportLogsServiceRequest`` at all: it can never be taken, however often it is sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        """What is wrong, in a few words that hold nothing of the body."""


class SentRecord(NamedTuple):
    """A log record as it was sent."""

    time_ns: int
    observed_ns: int
    body: Value
    size: int | None
    """Bytes of a body that is a text, as it was sent; None for any other, and for an empty one."""
    attributes: dict[str, Value]
    event: str
    """Its name; empty for a record that is no event."""
    trace_id: bytes = b""
    span_id: bytes = b""
    flags: int = 0
    """The context of an event; that of other records is not kept."""


class Batch(NamedTuple):
    """The records of one scope."""

    resource: Mapping[str, Value]
    """The attributes of the resource; one object for all scopes of it."""
    records: Iterable[SentRecord]


class Parts:
    """Counts the parts of a request, which are bounded."""

    def __init__(self) -> None:
        self._count = 0

    def count(self) -> None:
        """Count one more.

        Raises:
            MalformedRequestError: there are too many.
        """
        self._count += 1
        if self._count > _MOST_PARTS:
            raise MalformedRequestError(f"more than {_MOST_PARTS} records in one request: send smaller batches")


def event_of(name: str, attributes: Mapping[str, Value]) -> str:
    """Return the name of the event that a record is; older senders give it as an attribute. Empty if it is none."""
    event = name or attributes.get(_EVENT, "")
    return event if isinstance(event, str) else ""
