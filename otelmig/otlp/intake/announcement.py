"""What whoever starts a migration says of it, as log records of its own trace: that it was asked for, and returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.inputs.framing.sent_records import Value
    from otelmig.inputs.line import Host

__all__ = ["Announcement"]


class Announcement(NamedTuple):
    """A log record that says that a migration was asked for, or that whoever asked for it has the answer."""

    name: str
    """A :class:`~otelmig.announcement.RecordName`."""
    trace_id: str
    """Of the span in which it was emitted, 32 hexadecimal digits; empty if it was emitted in none."""
    span_id: str
    """16 hexadecimal digits; empty with the trace id."""
    flags: int
    """Of the span's context (W3C trace flags in the lowest byte)."""
    time_ns: int | None
    """When it was emitted, by its emitter's clock (Unix epoch)."""
    observed_ns: int | None
    """When whoever collected it saw it (Unix epoch)."""
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    """The attributes of its emitter's resource."""
    host: Host | None
    """The emitter's machine, where the resource names it."""
