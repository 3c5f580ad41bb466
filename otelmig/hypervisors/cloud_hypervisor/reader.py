"""The reader of Cloud Hypervisor: lines of all its streams, in any interleaving -> the sides of migrations.

While lines come in, a log is joined with the event streams, statistics and crash reports that are named alike; once
everything is over, with whichever fits it alone, however they are named.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.crash import CrashLines, is_crash
from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import event_lines
from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import is_event_stream
from otelmig.hypervisors.cloud_hypervisor.beside.progress import ProgressLines, is_progress
from otelmig.hypervisors.cloud_hypervisor.processes.joins import (
    is_migration,
    process_of_events,
    processes_of,
    silent_streams,
    without_copies,
)
from otelmig.hypervisors.cloud_hypervisor.processes.open_streams import OpenStreams
from otelmig.hypervisors.cloud_hypervisor.reading.log import LogLines
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_of_any_form
from otelmig.hypervisors.hypervisor import ReadingReport
from otelmig.inputs import common_stem
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt import Attempt
    from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import EventLines
    from otelmig.hypervisors.cloud_hypervisor.processes.joins import BesideLogs
    from otelmig.hypervisors.cloud_hypervisor.processes.open_streams import NoLog
    from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.hypervisors.cloud_hypervisor.reading.reasons import UnparsedLine
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import Line, Stream
    from otelmig.migration.side import Side

__all__ = ["CloudHypervisorReader", "is_beside_logs"]

_REMEMBERED: Final = 64
"""At most this many processes that are over wait for an event stream that comes in late, or the other way round."""


def is_beside_logs(head: bytes) -> bool:
    """Return whether what begins like this is no log: an event stream, statistics, a crash report."""
    return is_event_stream(head) or is_progress(head) or is_crash(head)


class CloudHypervisorReader(Struct, kw_only=True):
    """The :class:`~otelmig.hypervisors.Reader` of Cloud Hypervisor."""

    options: LogOptions
    report: ReadingReport = field(default_factory=ReadingReport)
    _all: OpenStreams = field(default_factory=OpenStreams)
    _alike: defaultdict[str, OpenStreams] = field(default_factory=lambda: defaultdict(OpenStreams))
    """The same, by what their names have in common."""
    _held: list[LogProcess] = field(default_factory=list)
    """Processes of finished logs, which are not final before everything is read that may belong to them."""
    _remembered: deque[LogProcess] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Processes that were final before anything was read that may belong to them."""
    _left: deque[NoLog] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Streams that are no logs, are over, and had no log that is named alike."""
    _any_log: bool = False
    """Whether any log said anything."""

    def take(self, line: Line) -> Sequence[Side]:
        """Read one line; return the sides whose state changed with it, and those that became final."""
        stream = line.stream
        if (log := self._all.logs.get(stream.key)) is not None:
            if line.lost_before:
                self.report.lines_lost += line.lost_before
                touched = log.take_after_hole(line)
            else:
                touched = log.take(line)
            return self._sides_of(log, touched) if touched else ()
        return self._take_beside(line)

    def _take_beside(self, line: Line) -> Sequence[Side]:
        """Read a line of what is no log, or the first line of a stream."""
        stream = line.stream
        if (events := self._all.events.get(stream.key)) is not None:
            self.report.lines_lost += line.lost_before
            return self._sides_of_events(events) if events.take(line) else ()
        statistics, crash = self._all.statistics.get(stream.key), self._all.crashes.get(stream.key)
        if statistics is None and crash is None:
            self._begin(stream)
            return self.take(line)
        self.report.lines_lost += line.lost_before
        if statistics is not None:
            self._count(statistics.take(line))
        elif crash is not None:
            crash.take(line)
        return ()

    def _count(self, unparsed: Iterable[UnparsedLine]) -> None:
        self.report.not_understood.update(line.reason for line in unparsed)

    def end(self, stream: Stream, tail: Iterable[Line] = ()) -> Sequence[Side]:
        """Return, in their final form, the sides that no line of ``stream`` can change any more: it is over.

        What an event stream tells alone is final only when the reader finishes: its log may come in late.
        """
        sides: Sequence[Side] = ()
        alike = self._alike[common_stem(stream.stem)]
        log = self._all.logs.pop(stream.key, None)
        if log is not None:
            sides = self._sides_of(log, log.end(tail))
            del alike.logs[stream.key]
        elif (events := self._all.events.get(stream.key)) is not None:
            events.end()
            sides = self._sides_of_events(events)
        elif stream.key in self._all.statistics:
            self._count(self._all.statistics[stream.key].end())
        if log is None and stream.mtime_ns is None:
            alike.ended.append(stream)
        if not alike.logs:
            for ended in alike.ended:
                alike.pop_beside(ended.key)
                beside = self._all.pop_beside(ended.key)
                if beside is not None:
                    self._left.append(beside)
            alike.ended.clear()
            if not alike.has_more_than_logs:
                del self._alike[common_stem(stream.stem)]
        return sides

    def open(self) -> Sequence[Side]:
        """Return the sides that a later line may still change, as they stand."""
        sides: list[Side] = []
        for log in self._all.logs.values():
            for process in log.under_way():
                attempt = process.attempts.current
                if attempt is not None and attempt.known:
                    sides += self._as_they_stand(log, process, [attempt])
        for events in self._all.events.values():
            attempt = events.current.attempts.current
            if attempt is not None and attempt.known and self._stands_alone(events.stream):
                sides.append(process_of_events(events.current).side(attempt, final=False))
        return sides

    def again(self, side: Side) -> Side | None:
        """Return a side that was emitted as it stands now; None if nothing is known of it any more."""
        key, vmm_key = side.vmm.inputs[0], side.vmm.key
        over = next((process for process in self._remembered if process.key == vmm_key), None)
        log, events = self._all.logs.get(key), self._all.events.get(key)
        under_way = () if log is None else log.under_way()
        current = next((process for process in under_way if process.key == vmm_key), None)
        if over is not None:
            whole = self._whole(over)
        elif log is not None and current is not None:
            log.name_for_now(current)
            whole = self._whole(current)
        elif events is not None and self._stands_alone(events.stream):
            whole = process_of_events(events.current)
        else:
            return None
        for attempt in events.current.attempts.begun if whole.log is None and events is not None else whole.attempts():
            if (attempt.role, attempt.number) == (side.role, side.attempt):
                return whole.side(attempt, final=over is not None)
        return None

    def under_way(self, key: str) -> frozenset[str]:
        """Return the keys of the processes that the stream with this key may get more lines of."""
        lines = self._all.logs.get(key) or self._all.events.get(key)
        return frozenset() if lines is None else self._alike[common_stem(lines.stream.stem)].under_way(key)

    def fitting(self, side: Side) -> Mapping[str, str]:
        """Return event streams of the host of ``side`` that fit a log, however the two are named, each with the log."""
        return self._all.fitting(side.vmm.host, self._remembered)

    def forget(self, stream: Stream) -> None:
        """Forget everything that was read of ``stream``: its lines will be given once more, or it is put aside."""
        name = common_stem(stream.stem)
        alike = self._alike[name]
        for streams in (self._all, alike):
            streams.logs.pop(stream.key, None)
            streams.pop_beside(stream.key)
        alike.ended = [other for other in alike.ended if other.key != stream.key]
        if not alike.logs and not alike.has_more_than_logs:
            del self._alike[name]
        for process in [remembered for remembered in self._remembered if remembered.stream.key == stream.key]:
            self._remembered.remove(process)

    def finish(self) -> Sequence[Side]:
        """End every stream; return the sides that are not final yet, in their final form."""
        sides: list[Side] = []
        for lines in self._left:
            self._all.add(lines)
        for events in self._all.events.values():
            events.end()
        for statistics in self._all.statistics.values():
            self._count(statistics.end())
        for log in list(self._all.logs.values()):
            sides += self.end(log.stream)
        beside = self._all.beside()
        if self._all.has_more_than_logs:
            sides += self._joined(beside)
        if not self._any_log:
            self.report.notes += silent_streams(beside.events)
        self._held.clear()
        self._remembered.clear()
        self._left.clear()
        self._all = OpenStreams()
        self._alike.clear()
        return sides

    def _begin(self, stream: Stream) -> None:
        """Begin to read a stream: what it is, its beginning tells."""
        alike = self._alike[common_stem(stream.stem)]
        data = stream.head.data
        lines: NoLog
        if is_event_stream(data):
            lines = event_lines(stream, self.report.not_understood)
        elif is_progress(data):
            lines = ProgressLines(stream=stream)
        elif is_crash(data):
            lines = CrashLines(stream=stream)
        else:
            reader = reader_of_any_form(stream.head, self.options, stream.mtime_ns, self.report.notes)
            log = LogLines(stream=stream, reader=reader, not_understood=self.report.not_understood)
            self._all.logs[stream.key] = alike.logs[stream.key] = log
            return
        self._all.add(lines)
        alike.add(lines)

    def _sides_of(self, log: LogLines, touched: Iterable[LogProcess]) -> Sequence[Side]:
        """Return what is to be emitted of processes that changed or are over."""
        sides: list[Side] = []
        for process in touched:
            if process.over:
                self._any_log = True
                sides += self._over(log, process)
            elif log.stream.mtime_ns is None:
                changed = {id(attempt): attempt for attempt in process.attempts.changed if attempt.known}
                process.attempts.changed.clear()
                sides += self._as_they_stand(log, process, changed.values())
            else:
                process.attempts.changed.clear()
        return sides

    def _over(self, log: LogLines, process: LogProcess) -> Iterator[Side]:
        """Yield the sides of a process that is over; none yet, if what else belongs to it will be known later."""
        if log.stream.mtime_ns is not None and self._all.has_more_than_logs:
            self._held.append(process)
            return
        self._remembered.append(process)
        yield from self._final(self._whole(process))

    def _final(self, process: Process) -> Iterator[Side]:
        self.report.processes.append(process.ended())
        for attempt in process.attempts():
            yield process.side(attempt, final=True)

    def _as_they_stand(self, log: LogLines, process: LogProcess, attempts: Iterable[Attempt]) -> Iterator[Side]:
        """Yield some attempts of a process that is under way, as they stand."""
        log.name_for_now(process)
        whole = self._whole(process)
        joined = {(one.role, one.number): one for one in whole.attempts()} if whole.is_joined else {}
        for attempt in attempts:
            yield whole.side(joined.get((attempt.role, attempt.number), attempt), final=False)

    def _whole(self, process: LogProcess) -> Process:
        """Return the process with everything that is named like its log and fits it."""
        return self._alike[common_stem(process.stream.stem)].whole(process)

    def _sides_of_events(self, events: EventLines) -> Sequence[Side]:
        """Return what is to be emitted of an event stream: nothing while a log is there that is named alike."""
        process = events.current
        changed = {id(attempt): attempt for attempt in process.attempts.changed if attempt.known}
        process.attempts.changed.clear()
        is_alone = self._stands_alone(events.stream) and is_migration(process.observations)
        if not is_alone or events.stream.mtime_ns is not None:
            return ()
        return [process_of_events(process).side(attempt, final=False) for attempt in changed.values()]

    def _stands_alone(self, stream: Stream) -> bool:
        return not self._alike[common_stem(stream.stem)].logs

    def _joined(self, beside: BesideLogs) -> Iterator[Side]:
        """Yield everything that is not final yet, and what was but is not any more, by all that was read."""
        final = {process.key for process in self._remembered}
        logs = without_copies([*self._remembered, *self._held], self.report.notes)
        stems = set()
        for process in processes_of(logs, beside):
            stems.add(process.stem)
            if process.vmm.key not in final or process.is_joined:
                yield from self._final(process)
        for crash in beside.crashes:
            if crash.stream.stem not in stems:
                name = crash.stream.name
                self.report.notes.append(f"{name}: a process that died, and no log of this name is here")
