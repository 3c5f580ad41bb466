"""The lines of one event stream, in any batches -> the observations of each process that wrote to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import EventParser, MonitorEvent
from otelmig.hypervisors.cloud_hypervisor.events import EVENTS, FIRST_OF_PROCESS, LAST_OF_PROCESS, Vocabulary
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.line_order import Order
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import NO_EVENT
from otelmig.hypervisors.cloud_hypervisor.releases import since
from otelmig.migration.observation import Observation
from otelmig.migration.side import SideState
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from otelmig.hypervisors.cloud_hypervisor.attempts import Attempts
    from otelmig.inputs import Host, Line, Stream
    from otelmig.inputs.line import Where

__all__ = ["FIRST_WITH_MIGRATION_EVENTS", "EventLines", "EventProcess", "event_lines"]

FIRST_WITH_MIGRATION_EVENTS: Final = since("v52.0")
_IRRELEVANT: Final = Kind.IRRELEVANT
"""Looked at for every event: as an attribute of its enumeration it takes eight times as long to look up."""
_MOST_KEPT: Final = 1 << 14
"""At most this many events of a process are kept while its stream grows."""
_MOST_PROCESSES: Final = 8
"""At most this many processes that are over are kept while their stream grows."""


class EventProcess(Struct, kw_only=True):
    """The events of one process that say something about a migration, on the monitor's clock."""

    key: str
    stream: Stream
    order: Order = field(default_factory=Order)
    begun: bool = False
    """Whether any event was read, whatever it says."""
    is_gone: bool = False
    """Whether the last event says that the process ends."""
    incomplete: bool = False
    """Whether its earliest events were forgotten: then it can be joined with no log any more."""
    host: Host | None = None
    latest_zero_ns: int | None = None
    """When the monitor's clock can have read zero, at the latest (Unix epoch), by when its lines were received."""
    _vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @property
    def observations(self) -> list[Observation]:
        """What it did, in the order of the stamps, as far as events stand out of order by little."""
        return self.order.observations

    @property
    def attempts(self) -> Attempts:
        """Its attempts, as far as they were read."""
        return self.order.attempts

    def take(self, event: MonitorEvent, line: Line | None) -> None:
        """Add what ``event`` says, if it says anything; it ends with ``line``, or with the stream."""
        self.begun = True
        self.is_gone = (event.source, event.name) == LAST_OF_PROCESS
        form = EVENTS.get((event.source, event.name))
        if form is None or form.kind is _IRRELEVANT:
            return
        kind, values = self._vocabulary.kind(event.name, form), form.values(event.properties)
        observation = Observation(kind, event.stamp, event.where, "", event.text, values)
        if line is not None:
            self.host = line.host or self.host
            if line.received_ns is not None:
                zero_ns = line.received_ns - event.stamp.lo_ns
                self.latest_zero_ns = zero_ns if self.latest_zero_ns is None else min(self.latest_zero_ns, zero_ns)
        if self.incomplete:
            self.observations.append(observation)
            self.attempts.take(observation, form.last_word, FIRST_WITH_MIGRATION_EVENTS)
        else:
            self.order.insert(observation, form.last_word, FIRST_WITH_MIGRATION_EVENTS)
        if self.latest_zero_ns is not None:
            self.attempts.received(observation, form.last_word, self.latest_zero_ns)


def event_lines(stream: Stream, not_understood: Counter[str]) -> EventLines:
    """Return what reads ``stream`` from its beginning, and counts in ``not_understood`` what it does not understand."""
    first = EventProcess(key=f"{stream.key}#1", stream=stream)
    return EventLines(stream=stream, not_understood=not_understood, current=first)


class EventLines(Struct, kw_only=True):
    """Reads one event stream, line by line: a file that was appended to holds several processes."""

    stream: Stream
    not_understood: Counter[str]
    """Counts objects by reason; belongs to whoever reads."""
    over: list[EventProcess] = field(default_factory=list)
    current: EventProcess
    """The process that events are read of now."""
    _begun: int = 1
    """How many processes began."""
    _parser: EventParser = field(default_factory=EventParser)

    @property
    def processes(self) -> list[EventProcess]:
        """All processes, in order."""
        return [*self.over, self.current]

    def take(self, line: Line) -> bool:
        """Read one line; return whether the attempts of the current process changed with it."""
        items = self._parser.take(line)
        if not items:
            return False
        self._add(items, line)
        return bool(self.current.attempts.changed)

    def end(self) -> None:
        """Read what is left: the stream is over."""
        self._add(self._parser.finish(), None)
        attempt = self.current.attempts.current
        if attempt is not None and attempt.state is not SideState.OVER:
            attempt.state = SideState.OVER
            self.current.attempts.changed.append(attempt)

    def _add(self, items: Iterable[MonitorEvent | Where], line: Line | None) -> None:
        for item in items:
            if not isinstance(item, MonitorEvent):
                self.not_understood[NO_EVENT] += 1
                continue
            if (item.source, item.name) == FIRST_OF_PROCESS and self.current.begun:
                self.over.append(self.current)
                self._begun += 1
                self.current = EventProcess(key=f"{self.stream.key}#{self._begun}", stream=self.stream)
                if self.stream.mtime_ns is None:
                    del self.over[:-_MOST_PROCESSES]
            self.current.take(item, line)
        current = self.current
        if len(current.observations) > _MOST_KEPT and self.stream.mtime_ns is None:
            del current.observations[: _MOST_KEPT // 2]
            del current.attempts.begun[:-1]
            current.incomplete = True
