"""The stream that ``--event-monitor`` writes: lines of JSON -> events.

The stream is a sequence of pretty-printed JSON objects, each followed by a blank line; ``timestamp`` counts from
when the monitor was installed, a few milliseconds after the logger: the same clock as the log's with another zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.json_objects import JsonObject, JsonObjects
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.inputs import Line
    from otelmig.inputs.line import Where

__all__ = ["EventParser", "MonitorEvent", "is_event_stream", "monitor_events"]


_BOOTTIME: Final = ClockDomain.BOOTTIME
"""Looked at for every event: as an attribute of its enumeration it takes four times as long to look up."""


class MonitorEvent(Struct, frozen=True):
    """One object of a stream; its stamp is exact to the nanosecond on the monitor's clock."""

    source: str
    name: str
    properties: Mapping[str, str]
    stamp: Stamp
    where: Where
    text: str


def is_event_stream(head: bytes) -> bool:
    """Return whether a file that begins like this was written by ``--event-monitor``."""
    start = head.lstrip()[:4096]
    return start.startswith(b"{") and b'"timestamp"' in start and b'"event"' in start and b'"source"' in start


def monitor_events(lines: Iterable[Line]) -> Iterator[MonitorEvent | Where]:
    """Yield the events of a whole stream, and a :class:`Where` for each object that is damaged or not an event."""
    parser = EventParser()
    for line in lines:
        yield from parser.take(line)
    yield from parser.finish()


class EventParser(Struct):
    """Finds the events of one stream, whose lines come in one by one."""

    _objects: JsonObjects = field(default_factory=JsonObjects)

    def take(self, line: Line) -> Sequence[MonitorEvent | Where]:
        """Return what is complete with this line: events, and the places of objects that are none."""
        return [_event_or_place(item) for item in self._objects.take(line)]

    def finish(self) -> Sequence[MonitorEvent | Where]:
        """Return what is left: the stream is over."""
        return [_event_or_place(item) for item in self._objects.finish()]


def _event_or_place(item: JsonObject | Where) -> MonitorEvent | Where:
    if not isinstance(item, JsonObject):
        return item
    return _monitor_event(item.value, item.where, item.text) or item.where


def _monitor_event(value: object, where: Where, text: str) -> MonitorEvent | None:
    # asked key by key: a mapping pattern takes three times as long
    if not isinstance(value, dict):
        return None
    time, source, name = value.get("timestamp"), value.get("source"), value.get("event")
    if not (isinstance(time, dict) and isinstance(source, str) and isinstance(name, str)):
        return None
    seconds, nanos = time.get("secs"), time.get("nanos")
    if not (isinstance(seconds, int) and isinstance(nanos, int) and 0 <= seconds < 2**32 and 0 <= nanos < SECOND_NS):
        return None
    held = value.get("properties")
    properties = {key: item for key, item in held.items() if isinstance(item, str)} if isinstance(held, dict) else {}
    stamp = Stamp(seconds * SECOND_NS + nanos, 0, f"{seconds}.{nanos:09d}s", _BOOTTIME)
    return MonitorEvent(source, name, properties, stamp, where, text)
