"""Who writes to a log: one process after the other, or a few in turns, told apart by their times."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import ANY_BEGIN
from otelmig.hypervisors.cloud_hypervisor.events import Vocabulary
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import killed_after
from otelmig.hypervisors.cloud_hypervisor.reading.dirty_table import DirtyTables
from otelmig.hypervisors.cloud_hypervisor.reading.log_observation import observation_of
from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import CrashReport
    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record, RecordReader
    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord
    from otelmig.inputs import Line, Stream
    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import Stamp

__all__ = ["LogWriters"]

# looked at for every line; as attributes of their enumerations they take eight times as long to look up
_STARTED: Final = Kind.PROCESS_STARTED
_EXITED: Final = Kind.PROCESS_EXITED
_TABLE: Final = Kind.DIRTY_TABLE
_BOOTTIME: Final = ClockDomain.BOOTTIME
_RESTART_NS: Final = SECOND_NS
"""A time since start that falls back by more than this belongs to another process that writes to the same log."""
_NEAR_NS: Final = 5 * SECOND_NS
"""Two processes write in turns if the times go on where the other one left off, within this."""
_FAR_NS: Final = 300 * SECOND_NS
"""The same, once they are known to, or where the alternative is a third process."""
_AT_ONCE: Final = 4
"""At most this many processes are assumed to write to one log in turns."""
_REMEMBERED: Final = 64
"""Lines among which a copy of a line is looked for: some collectors deliver a line again."""
_EXACT_NS: Final = 10 * MICROSECOND_NS
"""Only stamps that are at least so exact tell a copy from another line of the same text."""
_MOST_REPEATED: Final = 16
"""At most so many lines of a process may be delivered again together with the one that says that it started."""
_MOST_BEFORE_START: Final = 4
"""At most this many lines stand before one that says that their process started."""
_NOBODY: Final = ()


class _OneProcess(Struct, kw_only=True):
    """A process while its lines come in."""

    process: LogProcess
    tables: DirtyTables
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    starts: set[str | None] = field(default_factory=set)
    """The events, and None for the line with the version, that said that it started."""
    copying: bool = False
    """Whether the last line had been read before."""

    def add(self, observation: Observation, word: LastWord | None, *, late: bool) -> None:
        """Add a row of a table, or what comes while one is open, or a line that is stamped before another."""
        process = self.process
        row = observation.kind is _TABLE
        if late and row and observation.thread not in self.tables.open and not process.incomplete:
            process.order.insert_row(observation, process.releases)
            return
        for completed in self.tables.add_late(observation) if late and not row else self.tables.add(observation):
            if completed is not observation:
                process.add(completed)
            elif late and not process.incomplete:
                process.order.insert(observation, word, process.releases)
            else:
                process.add(observation, word)

    def is_copy(self, line: Line, record: Record, meaning: Meaning) -> bool:
        """Return whether a line that is stamped no later than the last one was read before: collectors repeat some.

        Of lines with one coarse stamp and one text, two may be there: not of those that begin something, nor where
        they are stamped before others, or follow a copy.
        """
        stamp = record.stamp
        if record.text not in self.recent and (not line.run or line.last not in self.recent):
            self.copying = False
        elif meaning.kind is _STARTED:
            self.copying = len(self.process.observations) <= _MOST_REPEATED
        elif stamp.error_ns <= _EXACT_NS or meaning.kind in ANY_BEGIN or stamp.ns < self.process.last_ns:
            self.copying = True
        return self.copying

    def is_own_start(self, stamp: Stamp, meaning: Meaning) -> bool:
        """Return whether a line that says that a process started says it of this one, and merely stands too late."""
        return (
            meaning.event not in self.starts
            and all(
                stamp.ns <= observation.stamp.ns or observation.kind is _STARTED
                for observation in islice(self.process.observations, _MOST_BEFORE_START + 1)
            )
            and len(self.process.observations) <= _MOST_BEFORE_START
        )


class LogWriters(Struct, kw_only=True):
    """What is known to come from one process after the other, or (by their times) from a few in turns."""

    key: str
    """Tells them from all others."""
    name: str
    stream: Stream
    tracks: list[_OneProcess] = field(default_factory=list)
    current: _OneProcess | None = None
    exited: _OneProcess | None = None
    """The last process that said that it exited."""
    begun: int = 0
    """How many processes began."""

    def take(self, line: Line, record: Record, meaning: Meaning, reader: RecordReader) -> Sequence[LogProcess]:
        """Add one record; return the processes that are over."""
        stamp = record.stamp
        current = self.current or self.exited
        if current is not None and stamp.ns <= current.process.last_ns and current.is_copy(line, record, meaning):
            return _NOBODY
        track, over = self._track(stamp, meaning)
        process = track.process
        late = stamp.ns < process.last_ns
        if stamp.ns > process.last_ns:
            process.last_ns = stamp.ns
            track.copying = False
            process.order.in_order()
        elif track is not current and track.is_copy(line, record, meaning):
            return over
        track.recent.extend((record.text, line.last) if line.run else (record.text,))
        process.narrow(meaning, record)
        if stamp.domain is not _BOOTTIME:
            process.stamped.take(stamp)
        if (line.host is not None or line.received_ns is not None) and meaning.kind is not _TABLE:
            process.carried(line, stamp)  # of the rows of a table a scan gives the first alone
        observation = observation_of(line, record, meaning, track.vocabulary, reader)
        kind = observation.kind
        if kind is _STARTED:
            process.started = True
            track.starts.add(meaning.event)
            process.version = observation.word("version") or process.version
        else:
            process.begun = True
        if late or kind is _TABLE or track.tables.open:
            track.add(observation, meaning.last_word, late=late)
        elif kind in ANY_BEGIN and not process.incomplete and process.order.is_strange(observation):
            process.order.insert_among_equals(observation, meaning.last_word, process.releases)
        else:  # as `add` does; this is the place that every line comes by
            process.observations.append(observation)
            process.words.append(meaning.last_word)
            process.attempts.take(observation, meaning.last_word, process.releases)
        process.attempts.received(observation, meaning.last_word, process.latest_zero_ns)
        if kind is _EXITED:
            over = (*over, _finished(track))
            self.tracks = [other for other in self.tracks if other is not track]
            self.current, self.exited = None, track
        return over

    def killed(self, line: Line, report: CrashReport) -> LogProcess | None:
        """Return the current process, which was killed: no time is printed, so it was at its last line or after."""
        track = self.current
        if track is None or not track.process.observations:
            return None
        for observation in track.tables.add(killed_after(track.process.observations[-1], line.where, report)):
            track.process.add(observation)
        track.process.ended = True
        return track.process

    def finish(self) -> Iterator[LogProcess]:
        """Yield what is left."""
        for track in self.tracks:
            yield _finished(track)
        self.tracks.clear()

    def _track(self, stamp: Stamp, meaning: Meaning) -> tuple[_OneProcess, Sequence[LogProcess]]:
        """Return the process that a record belongs to, and those that are over because it began."""
        track = self.current
        starts = meaning.kind is _STARTED
        if track is None:
            self.current = None if starts else self._other(stamp, -1)
            return self.current or self._new(stamp), _NOBODY
        process = track.process
        begins = starts and process.begun and not track.is_own_start(stamp, meaning)
        gap = stamp.ns - process.last_ns
        if stamp.domain is not process.domain:
            begins = True
        elif stamp.domain is _BOOTTIME and not begins:
            if -_RESTART_NS <= gap <= _NEAR_NS:
                return track, _NOBODY
            if gap < 0 and not process.taken_in_turns and track.process.order.is_late(stamp, meaning.kind):
                return track, _NOBODY
            other = self._other(stamp, gap)
            if other is not None:
                other.process.taken_in_turns = process.taken_in_turns = True
                self.current = other
                return other, _NOBODY
            begins = gap < 0
        if not begins:
            return track, _NOBODY
        over = [writer for writer in self.tracks if writer.process.ended]
        if len(self.tracks) - len(over) >= _AT_ONCE:
            over.append(next(writer for writer in self.tracks if writer not in over))
        self.tracks = [writer for writer in self.tracks if not any(writer is one for one in over)]
        return self._new(stamp), [_finished(writer) for writer in over]

    def _other(self, stamp: Stamp, gap: int) -> _OneProcess | None:
        """Return another process whose times go on with ``stamp`` much better than the current one's."""
        near = [
            (stamp.ns - process.process.last_ns, process)
            for process in self.tracks
            if process is not self.current
            and not process.process.ended
            and -_RESTART_NS
            <= stamp.ns - process.process.last_ns
            <= (_FAR_NS if gap < 0 or process.process.taken_in_turns else _NEAR_NS)
        ]
        if not near:
            return None
        own, best = min(near, key=lambda item: abs(item[0]))
        return best if gap < 0 or own * 100 < gap else None

    def _new(self, stamp: Stamp) -> _OneProcess:
        self.begun += 1
        process = LogProcess(key=f"{self.key}#{self.begun}", stream=self.stream, writer=self.name, domain=stamp.domain)
        self.current = _OneProcess(process=process, tables=DirtyTables())
        self.tracks.append(self.current)
        return self.current


def _finished(track: _OneProcess) -> LogProcess:
    process = track.process
    for table in track.tables.flush():
        process.add(table)
    process.attempts.end()
    process.over = True
    return process
