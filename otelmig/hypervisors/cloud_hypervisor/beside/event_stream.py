"""The stream that ``--event-monitor`` writes: lines of JSON -> events.

The stream is a sequence of pretty-printed JSON objects, each followed by a blank line; ``timestamp`` counts from
when the monitor was installed, a few milliseconds after the logger: the same clock as the log's with another zero.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.migration.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.inputs import Line
    from otelmig.inputs.line import Where

__all__ = ["EventParser", "MonitorEvent", "is_event_stream", "monitor_events"]

_LONGEST: Final = 1 << 14
"""At most this many characters belong to one event."""
_DECODER: Final = json.JSONDecoder()


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
    """Return whether a file that begins like this was written by ``--event-monitor``."""
    start = head.lstrip()[:4096]
    return start.startswith(b"{") and b'"timestamp"' in start and b'"event"' in start and b'"source"' in start


def monitor_events(lines: Iterable[Line]) -> Iterator[MonitorEvent | Where]:
    """Yield the events of a whole stream, and a :class:`Where` for each object that is damaged or not an event."""
    parser = EventParser()
    for line in lines:
        yield from parser.take(line)
    yield from parser.finish()


@dataclass(slots=True)
class EventParser:
    """Finds the objects of one stream, whose lines come in one by one; holds at most one object and one line.

    The writer drops what a slow pipe does not take, so after damage reading goes on at the next object that begins a
    line.
    """

    _lines: list[str] = field(default_factory=list)
    """What may still become an object, from the line of its brace on."""
    _places: list[Where] = field(default_factory=list)
    """Where each of these lines stands."""
    _size: int = 0
    """Characters in these lines."""
    _skipping: bool = False
    """Whether what was damaged goes on until an object begins a line."""

    def take(self, line: Line) -> Sequence[MonitorEvent | Where]:
        """Return what is complete with this line: events, and the places of objects that are none."""
        text = line.text
        begins = text.startswith("{")
        if not self._lines and not begins and ("{" not in text or self._skipping):
            return ()
        self._skipping = False
        # an object ends with a brace that begins a line, or in the line in which it began, or with the next object
        ends = text.startswith("}") or (begins and (bool(self._lines) or "}" in text))
        self._lines.append(text)
        self._places.append(line.where)
        self._size += len(text) + 1
        return list(self._objects(ended=False)) if ends or self._size > _LONGEST else ()

    def finish(self) -> Sequence[MonitorEvent | Where]:
        """Return what is left: the stream is over."""
        return list(self._objects(ended=True))

    def _objects(self, *, ended: bool) -> Iterator[MonitorEvent | Where]:
        """Take all objects off the text that are complete, or known to be damaged."""
        text = "\n".join((*self._lines, ""))
        position = 0
        while (position := text.find("{", position)) >= 0:
            window = text[position : position + _LONGEST]  # an error message of the decoder counts all lines before it
            try:
                value, size = _DECODER.raw_decode(window)
            except (ValueError, RecursionError) as error:
                # an error where the text ends says that more must come; one before that will not go away
                wanting = isinstance(error, json.JSONDecodeError) and error.pos >= len(window.rstrip())
                if wanting and not ended and len(text) - position < _LONGEST:
                    break
                yield self._place(text, position)
                following = text.find("\n{", position)
                position = following + 1
                if following < 0:
                    self._skipping = True
                    break
                continue
            where = self._place(text, position)
            yield _monitor_event(value, where, window[:size]) or where
            position += size
        self._keep_from(text, len(text) if position < 0 or self._skipping else position)

    def _place(self, text: str, position: int) -> Where:
        return self._places[min(text.count("\n", 0, position), len(self._places) - 1)]

    def _keep_from(self, text: str, position: int) -> None:
        """Drop the text before ``position``."""
        first = min(text.count("\n", 0, position), len(self._places) - 1)  # a line may hold line feeds of its own
        self._lines = text[position:].split("\n")[:-1]
        self._places = self._places[first:] if self._lines else []
        self._size = len(text) - position


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
