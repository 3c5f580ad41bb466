"""Events: their meaning, and the stream that ``--event-monitor`` writes.

The stream is a sequence of pretty-printed JSON objects, each followed by a blank line; ``timestamp`` counts from
when the monitor was installed, a few milliseconds after the logger: the same clock as the log's with another zero.
From v50.0 the log carries every event too, in a line that is written just before the event is stamped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otelmig.hypervisors.cloud_hypervisor.releases import AFTER_HEAD, ALL, FORK, Releases, since
from otelmig.inputs.line import Where
from otelmig.migration.observation import NO_VALUES, Kind, Value
from otelmig.migration.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["EVENTS", "EventForm", "MonitorEvent", "Vocabulary", "is_event_stream", "monitor_events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventForm:
    """One event that says something about a migration."""

    kind: Kind
    releases: Releases
    iteration: bool = False
    """Whether property ``id`` is the number of a memory iteration."""
    variant: str | None = None
    """Who else fires it: a fork, or a version after the last release."""
    renamed: Kind | None = None
    """What the event means in the vocabulary after HEAD, where a ``-starting`` event comes before it."""

    def values(self, properties: Mapping[str, str]) -> Mapping[str, Value]:
        """What the event's properties say."""
        number = properties.get("id", "")
        if self.iteration and number.isdecimal() and len(number) < len("1000000000"):
            return {"iteration": int(number)}
        return NO_VALUES


_V52: Final = since("v52.0")
_V53: Final = since("v53.0")
_V39: Final = since("v39.0")
_HEAD: Final = since("HEAD")


def _event(kind: Kind, releases: Releases = ALL, **rest: Any) -> EventForm:  # noqa: ANN401 - passed on as given
    return EventForm(kind=kind, releases=releases, **rest)


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
    ("vm", "migration-starting"): _event(Kind.SEND_ANNOUNCED, _HEAD, variant=AFTER_HEAD),
    ("vm", "migration-started"): _event(Kind.SEND_ANNOUNCED, _V52, renamed=Kind.START_ACKNOWLEDGED),
    ("vm", "migration-memory-iteration"): _event(Kind.ITERATION_ANNOUNCED, _V52, iteration=True),
    ("vm", "migration-finished"): _event(Kind.SEND_FINISHED, _V52),
    ("vm", "migration-failed"): _event(Kind.SEND_FAILURE_ANNOUNCED, _V52),
    ("vm", "migration-cancelled"): _event(Kind.SEND_CANCELLED, since("v50.0"), variant=FORK),
    ("vm", "migration-receive-ready"): _event(Kind.RECEIVE_READY, _V53),
    ("vm", "migration-receive-starting"): _event(Kind.ACCEPTED, _HEAD, variant=AFTER_HEAD),
    ("vm", "migration-receive-started"): _event(Kind.ACCEPTED, _V52, renamed=Kind.START_ACKNOWLEDGED),
    ("vm", "migration-receive-finished"): _event(Kind.RECEIVE_FINISHED, _V52),
    ("vm", "migration-receive-failed"): _event(Kind.RECEIVE_FAILED, _V52),
    ("vm", "postcopy-migration-completed"): _event(Kind.POSTCOPY_FINISHED, _V53),
    ("guest", "panic"): _event(Kind.GUEST_PANICKED),
    # what a VM does besides: known, needed by no trace
    ("vmm", "started"): _event(Kind.IRRELEVANT, _HEAD, variant=AFTER_HEAD),
    ("vmm", "shutdown"): _event(Kind.IRRELEVANT),
    ("vm", "booting"): _event(Kind.IRRELEVANT),
    ("vm", "booted"): _event(Kind.IRRELEVANT),
    ("vm", "shutdown"): _event(Kind.IRRELEVANT),
    ("vm", "deleted"): _event(Kind.IRRELEVANT),
    ("vm", "resizing"): _event(Kind.IRRELEVANT),
    ("vm", "resized"): _event(Kind.IRRELEVANT),
    ("vm", "coredumping"): _event(Kind.IRRELEVANT),
    ("vm", "rebooting"): _event(Kind.IRRELEVANT, _V39),
    ("vm", "rebooted"): _event(Kind.IRRELEVANT, _V39),
    ("vm", "device-removed"): _event(Kind.IRRELEVANT),
    ("virtio-device", "activated"): _event(Kind.IRRELEVANT),
    ("virtio-device", "reset"): _event(Kind.IRRELEVANT),
    ("vdpa", "activated"): _event(Kind.IRRELEVANT),
    ("vdpa", "reset"): _event(Kind.IRRELEVANT),
}
"""Events by (source, name)."""


@dataclass(slots=True)
class Vocabulary:
    """Which of its two meanings an event has in the process that fires it.

    After HEAD a migration's first event is ``migration-starting`` (``migration-receive-starting``), and the one that
    was first until then means that Start was acknowledged; one name never has both meanings in one process.
    """

    renamed: set[str] = field(default_factory=set)

    def kind(self, name: str, form: EventForm) -> Kind:
        """What the event ``name`` means here."""
        if name.endswith("-starting"):
            self.renamed.add(name.removesuffix("-starting") + "-started")
        return form.renamed if form.renamed is not None and name in self.renamed else form.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorEvent:
    """One object of a stream; its stamp is exact to the nanosecond on the monitor's clock."""

    source: str
    name: str
    properties: Mapping[str, str]
    stamp: Stamp
    where: Where
    text: str


_LONGEST: Final = 1 << 14
"""No event takes more characters."""


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
        window = text[position : position + _LONGEST]  # an error message of the decoder counts all lines before it
        try:
            value, size = decoder.raw_decode(window)
        except (ValueError, RecursionError):
            yield where
            following = text.find("\n{", position)
            position = following + 1 if following >= 0 else len(text)
            continue
        event = _monitor_event(value, where, window[:size])
        yield event or where
        position += size


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
