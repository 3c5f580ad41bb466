"""Events: their meaning, and the stream that ``--event-monitor`` writes.

The stream is a sequence of pretty-printed JSON objects, each followed by a blank line; ``timestamp`` counts from
when the monitor was installed, a few milliseconds after the logger: the same clock as the log's with another zero.
From v50.0 the log carries every event too, in a line that is written just before the event is stamped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.releases import ALL, Releases, since
from otelmig.observation import NO_VALUES, Kind, Value, Where
from otelmig.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["EVENTS", "EventForm", "MonitorEvent", "is_event_stream", "monitor_events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventForm:
    """One event that says something about a migration."""

    kind: Kind
    releases: Releases
    iteration: bool = False
    """Whether property ``id`` is the number of a memory iteration."""

    def values(self, properties: Mapping[str, str]) -> Mapping[str, Value]:
        """What the event's properties say."""
        number = properties.get("id", "")
        if self.iteration and number.isdecimal() and len(number) < len("1000000000"):
            return {"iteration": int(number)}
        return NO_VALUES


def _event(kind: Kind, releases: Releases = ALL, *, iteration: bool = False) -> EventForm:
    return EventForm(kind=kind, releases=releases, iteration=iteration)


EVENTS: Final[Mapping[tuple[str, str], EventForm]] = {
    ("vmm", "starting"): _event(Kind.PROCESS_STARTED),
    ("vm", "pausing"): _event(Kind.VM_PAUSING),
    ("vm", "paused"): _event(Kind.VM_PAUSED),
    ("vm", "resuming"): _event(Kind.VM_RESUMING),
    ("vm", "resumed"): _event(Kind.VM_RESUMED),
    ("vm", "snapshotting"): _event(Kind.SNAPSHOTTING),
    ("vm", "snapshotted"): _event(Kind.SNAPSHOTTED),
    ("vm", "restoring"): _event(Kind.RESTORING),
    ("vm", "restored"): _event(Kind.RESTORED),
    ("vm", "migration-started"): _event(Kind.SEND_ANNOUNCED, since("v52.0")),
    ("vm", "migration-memory-iteration"): _event(Kind.ITERATION_ANNOUNCED, since("v52.0"), iteration=True),
    ("vm", "migration-finished"): _event(Kind.SEND_FINISHED, since("v52.0")),
    ("vm", "migration-failed"): _event(Kind.SEND_FAILURE_ANNOUNCED, since("v52.0")),
    ("vm", "migration-receive-ready"): _event(Kind.RECEIVE_READY, since("v53.0")),
    ("vm", "migration-receive-started"): _event(Kind.ACCEPTED, since("v52.0")),
    ("vm", "migration-receive-finished"): _event(Kind.RECEIVE_FINISHED, since("v52.0")),
    ("vm", "migration-receive-failed"): _event(Kind.RECEIVE_FAILED, since("v52.0")),
    ("vm", "postcopy-migration-completed"): _event(Kind.POSTCOPY_FINISHED, since("v53.0")),
}
"""Events by (source, name); all others (booting, activated, ...) say nothing about a migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorEvent:
    """One object of a stream; its stamp is exact to the nanosecond on the monitor's clock."""

    source: str
    name: str
    properties: Mapping[str, str]
    stamp: Stamp
    where: Where
    text: str


def is_event_stream(head: bytes) -> bool:
    """Whether a file that begins like this was written by ``--event-monitor``."""
    start = head.lstrip()[:4096]
    return start.startswith(b"{") and b'"timestamp"' in start and b'"event"' in start and b'"source"' in start


def monitor_events(text: str, name: str) -> Iterator[MonitorEvent | Where]:
    """The events of a stream; a :class:`Where` stands for an object that is damaged or not an event.

    The writer drops what a slow pipe does not take, so after damage reading goes on at the next object that
    begins a line.
    """
    decoder = json.JSONDecoder()
    position, line, counted = 0, 1, 0
    while (position := text.find("{", position)) >= 0:
        line += text.count("\n", counted, position)
        counted = position
        where = Where(file=name, line=line)
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield where
            following = text.find("\n{", position)
            position = following + 1 if following >= 0 else len(text)
            continue
        event = _monitor_event(value, where, text[position:end])
        yield event or where
        position = end


def _monitor_event(value: object, where: Where, text: str) -> MonitorEvent | None:
    match value:
        case {
            "timestamp": {"secs": int(seconds), "nanos": int(nanos)},
            "source": str(source),
            "event": str(name),
            **rest,
        } if 0 <= seconds < 2**32 and 0 <= nanos < 10**9:
            pass
        case _:
            return None
    given = rest.get("properties")
    properties = {key: item for key, item in given.items() if isinstance(item, str)} if isinstance(given, dict) else {}
    stamp = Stamp(ns=seconds * 10**9 + nanos, error_ns=0, text=f"{seconds}.{nanos:09d}s", domain=ClockDomain.BOOTTIME)
    return MonitorEvent(source=source, name=name, properties=properties, stamp=stamp, where=where, text=text)
