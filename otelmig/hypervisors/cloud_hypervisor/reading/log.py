"""The lines of one log, in any batches -> the observations of each process that wrote to it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import CrashReport
from otelmig.hypervisors.cloud_hypervisor.reading.demultiplexer import LogWriters
from otelmig.hypervisors.cloud_hypervisor.reading.log_observation import MOST_LINES, RecordTexts
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of, wanted
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import no_meaning, no_record
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt import Attempt
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record, RecordReader
    from otelmig.inputs import Line, LineFilter, Stream
    from otelmig.migration.observation import Observation

__all__ = ["LogLines"]

_IRRELEVANT: Final = Kind.IRRELEVANT
"""Looked at for every line: as an attribute of its enumeration it takes eight times as long to look up."""
_MOST_KEPT: Final = 1 << 14
"""At most this many observations of a process are kept while its log grows."""
_NOBODY: Final[tuple[LogProcess, ...]] = ()


class _OpenRecord(Struct, kw_only=True):
    """A record whose further lines come in one by one."""

    process: LogProcess
    observation: Observation
    texts: RecordTexts | CrashReport
    lines: int = 0


class LogLines(Struct, kw_only=True):
    """Reads one log, line by line."""

    stream: Stream
    reader: RecordReader
    not_understood: Counter[str]
    """Counts lines by reason; belongs to whoever reads."""
    writers: dict[tuple[str, str], LogWriters] = field(default_factory=dict)
    _last: LogWriters | None = None
    _open_records: dict[str, _OpenRecord] = field(default_factory=dict)
    """By the writer of their lines."""
    _names: Counter[str] = field(default_factory=Counter)

    @property
    def line_filter(self) -> LineFilter:
        """Which lines say anything."""
        return wanted(self.reader.literals)

    def take(self, line: Line) -> Sequence[LogProcess]:
        """Read one line; return the processes that are over, or whose attempts changed with it."""
        reader = self.reader
        if line.received_ns is not None and self.stream.mtime_ns is None:
            reader.latest_ns = line.received_ns
        record = reader.record(line.text)
        if self._open_records:
            self._go_on(line, record)
        if record is None:
            return self._no_record(line)
        meaning = meaning_of(record.message)
        if meaning is None:
            reason = no_meaning(record.message)
            if reason is not None:
                self.not_understood[reason] += 1
            return _NOBODY
        return _NOBODY if meaning.kind is _IRRELEVANT else self._take_record(line, record, meaning)

    def _take_record(self, line: Line, record: Record, meaning: Meaning) -> Sequence[LogProcess]:
        """Give a record to the process that wrote it."""
        writer = self._writer(line, record)
        over = writer.take(line, record, meaning, self.reader)
        if over:
            over = self._named(over)
        if writer.current is None:
            return over
        process = writer.current.process
        if len(process.observations) > _MOST_KEPT and self.stream.mtime_ns is None:
            process.forget(_MOST_KEPT // 2)
        if meaning.multiline and line.lookahead is None:
            self._leave_open(line, process, RecordTexts(record=record, meaning=meaning))
        return (*over, process) if process.attempts.changed else over

    def take_after_hole(self, line: Line) -> Sequence[LogProcess]:
        """Read a line before which lines are missing: they may have been of any attempt, or the begin of a new one."""
        self._open_records.clear()
        for process in self.under_way():
            if process.observations:
                process.attempts.after_hole(process.observations[-1])
        current = self._current_attempts()
        for attempt in current:
            attempt.lines_lost += line.lost_before
        touched = self.take(line)
        for attempt in self._current_attempts():
            if not any(attempt is other for other in current):
                attempt.lines_lost += line.lost_before
        return touched

    def _current_attempts(self) -> list[Attempt]:
        attempts = (process.attempts.current for process in self.under_way())
        return [attempt for attempt in attempts if attempt is not None]

    def _leave_open(self, line: Line, process: LogProcess, texts: RecordTexts | CrashReport) -> None:
        """Remember that the record which began with ``line`` may go on with the next one."""
        observation = process.latest(line.where)
        if observation is not None:  # else the line was a copy of another
            self._open_records[line.writer] = _OpenRecord(process=process, observation=observation, texts=texts)

    def _writer(self, line: Line, record: Record) -> LogWriters:
        key = (line.writer, record.pid)
        writer = self.writers.get(key)
        if writer is None:
            writer = self.writers[key] = LogWriters(
                key=f"{self.stream.key}\n{line.writer}\n{record.pid}",
                name=line.writer or record.pid,
                stream=self.stream,
            )
        self._last = writer
        return writer

    def end(self, tail: Iterable[Line]) -> Sequence[LogProcess]:
        """Return the processes that are left, since the log is over; the last record of ``tail`` says until when."""
        for line in tail:
            record = self.reader.record(line.text)
            if record is not None:
                writer = self.writers.get((line.writer, record.pid))
                if writer is not None and writer.current is not None:
                    process = writer.current.process
                    process.last_ns = max(process.last_ns, record.stamp.ns)
                break
        self._open_records.clear()
        return [process for writer in self.writers.values() for process in self._named(list(writer.finish()))]

    def under_way(self) -> Iterable[LogProcess]:
        """Yield the processes that are not over."""
        return (track.process for writer in self.writers.values() for track in writer.tracks)

    def name_for_now(self, process: LogProcess) -> None:
        """Give a process that is not over the name that it has as things stand."""
        process.name = self._name(process.writer, self._names[process.writer] + 1)
        process.assumed = tuple(sorted(self.reader.assumed))

    def _named(self, processes: Iterable[LogProcess]) -> Sequence[LogProcess]:
        """Return those that said anything, named after the log, and told apart by writer and number where need be."""
        named = []
        for process in processes:
            if process.observations:
                self._names[process.writer] += 1
                process.name = self._name(process.writer, self._names[process.writer])
                process.assumed = tuple(sorted(self.reader.assumed))
                named.append(process)
        return named

    def _name(self, writer: str, number: int) -> str:
        name = self.stream.name if len(self.writers) == 1 else f"{self.stream.name}[{writer}]"
        return name if number == 1 else f"{name}#{number}"

    def _no_record(self, line: Line) -> Sequence[LogProcess]:
        """Read a line that has no known form: the end of a process, the middle of a record, or anything."""
        report = CrashReport.beginning(line.text)
        if report is not None:
            process = self._killed(line, report)
            return _NOBODY if process is None else (process,)
        # a line that no scan would have looked at is a stranger's; one that comes from a scan may have been shortened
        looked_at = line.lookahead is not None or self.line_filter.matches(line.text.encode("utf-8", "surrogatepass"))
        if looked_at:
            self.not_understood[no_record(line.text, impossible=self.reader.impossible)] += 1
        return _NOBODY

    def _killed(self, line: Line, report: CrashReport) -> LogProcess | None:
        """Take what a process prints of its own death, which is no record: it comes after what that process logged."""
        writer = next((writer for (name, _), writer in self.writers.items() if name == line.writer), None)
        if writer is None and report.panic is None:  # any program may panic
            writer = self._last
        if writer is None:
            return None
        if line.lookahead is not None:
            report.read((text, self.reader.record(text)) for text in islice(line.lookahead(), MOST_LINES))
        process = writer.killed(line, report)
        if process is not None and line.lookahead is None:
            self._leave_open(line, process, report)
        return process

    def _go_on(self, line: Line, record: Record | None) -> None:
        """Add a line to the record before it, if it belongs to it."""
        whole = self._open_records.get(line.writer)
        if whole is None:
            return
        whole.lines += 1
        if whole.lines <= MOST_LINES and whole.texts.take(line.text, record):
            whole.observation = whole.process.amend(whole.observation, whole.texts.values())
            return
        del self._open_records[line.writer]
