"""Who writes to a log: one process after the other, or a few in turns, told apart by their times."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS, Vocabulary
from otelmig.hypervisors.cloud_hypervisor.reading.crash import killed_after
from otelmig.hypervisors.cloud_hypervisor.reading.dirty_table import DirtyTables, dirty_bytes
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of
from otelmig.hypervisors.cloud_hypervisor.reading.stamps import boottime_stamp
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, RELEASES, Releases
from otelmig.migration.observation import Kind, Observation, Value
from otelmig.migration.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record, RecordReader
    from otelmig.inputs import Host, Line
    from otelmig.migration.stamp import Stamp

__all__ = ["LogProcess", "LogWriters"]

# looked at for every line; as attributes of their enumerations they take four times as long to look up
_STARTED: Final = Kind.PROCESS_STARTED
_EXITED: Final = Kind.PROCESS_EXITED
_TABLE: Final = Kind.DIRTY_TABLE
_BOOTTIME: Final = ClockDomain.BOOTTIME
_IDENTIFYING: Final = frozenset(
    {
        Kind.SEND_STARTED,
        Kind.SEND_ANNOUNCED,
        Kind.CONNECTING,
        Kind.RECEIVE_STARTED,
        Kind.RECEIVE_READY,
        Kind.ACCEPTED,
    }
)
"""The first records of an attempt: their printed text is its identity."""
_RESTART_NS: Final = 10**9
"""A time since start that falls back by more than this belongs to another process that writes to the same log."""
_NEAR_NS: Final = 5 * 10**9
"""Two processes write in turns if the times go on where the other one left off, within this."""
_FAR_NS: Final = 300 * 10**9
"""The same, once they are known to, or where the alternative is a third process."""
_AT_ONCE: Final = 4
"""So many processes are thought to write to one log in turns."""
_REMEMBERED: Final = 64
"""Among so many lines a copy of a line is looked for: some transports deliver a line again."""
_EXACT_NS: Final = 10_000
"""Only stamps that are at least so exact tell a copy from another line of the same text."""
_GOES_ON: Final = 64
"""A record has at most so many lines."""
_CAUSE: Final = re.compile(r"\s{1,8}\d{1,3}: ")
"""How the causes of an error are listed, one a line."""
_NOBODY: Final = ()
_LAST_ADAPTIVE: Final = RELEASES.index("v48.0")


@dataclass(slots=True, kw_only=True)
class LogProcess:
    """What one process wrote to a log, as it is being read."""

    writer: str = ""
    observations: list[Observation] = field(default_factory=list)
    releases: Releases = ALL
    variants: set[str] = field(default_factory=set)
    version: str | None = None
    host: Host | None = None
    last_ns: int = 0
    latest_zero_ns: int | None = None
    """The latest Unix time at which the process's clock can have read zero, by its transport."""
    begun: bool = False
    """Whether anything but the process's own start was seen."""
    ended: bool = False
    one_of_several: bool = False
    """Whether the log has several writers."""
    taken_in_turns: bool = False
    """Whether its lines had to be told from those of another process by their times alone."""
    domain: ClockDomain = ClockDomain.BOOTTIME
    """The clock that the process's lines are stamped with."""

    def carried(self, line: Line, stamp: Stamp) -> None:
        """What a transport says besides: the host, and a time after the line was written."""
        if line.host is not None:
            self.host = line.host
        if line.received_ns is not None and stamp.domain is ClockDomain.BOOTTIME:
            latest_zero_ns = line.received_ns - stamp.lo_ns
            self.latest_zero_ns = (
                latest_zero_ns if self.latest_zero_ns is None else min(self.latest_zero_ns, latest_zero_ns)
            )

    def narrow(self, releases: Releases) -> None:
        """Only ``releases`` print what was seen, unless that leaves none (a patched build)."""
        known = self.releases
        if releases.first > known.first or releases.last < known.last:
            self.releases = known & releases or known


@dataclass(slots=True, kw_only=True)
class _OneProcess:
    """A process while its lines come in."""

    process: LogProcess
    tables: DirtyTables
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


@dataclass(slots=True, kw_only=True)
class LogWriters:
    """What is known to come from one process after the other, or (by their times) from a few in turns."""

    name: str
    tracks: list[_OneProcess] = field(default_factory=list)
    current: _OneProcess | None = None

    def take(self, line: Line, record: Record, meaning: Meaning, reader: RecordReader) -> Sequence[LogProcess]:
        """Add one record; return the processes that are over."""
        stamp = record.stamp
        track, over = self._track(stamp, meaning)
        process = track.process
        if stamp.ns > process.last_ns:
            process.last_ns = stamp.ns
        elif stamp.error_ns <= _EXACT_NS and record.text in track.recent:
            return over
        track.recent.append(record.text)
        if meaning.releases is not ALL:
            process.narrow(meaning.releases)
        if record.releases is not ALL:
            process.narrow(record.releases)
        if meaning.variant is not None:
            process.variants.add(meaning.variant)
        if line.host is not None or line.received_ns is not None:
            process.carried(line, stamp)
        seen = _observation(line, record, meaning, track, reader)
        kind = seen.kind
        if kind is _STARTED:
            process.version = seen.word("version") or process.version
        else:
            process.begun = True
        if kind is _TABLE or track.tables.open:
            process.observations += track.tables.add(seen)
        else:
            process.observations.append(seen)
        if kind is _EXITED:
            over = (*over, _finished(track))
            self.tracks = [each for each in self.tracks if each is not track]
            self.current = None
        return over

    def killed(self, line: Line, detail: str) -> None:
        """The current process was killed; no time is printed, so it happened at its last line or after."""
        track = self.current
        if track is None or not track.process.observations:
            return
        killed = killed_after(track.process.observations[-1], line.where, detail)
        track.process.observations += track.tables.add(killed)
        track.process.ended = True

    def finish(self) -> Iterator[LogProcess]:
        """Yield what is left."""
        for track in self.tracks:
            yield _finished(track)
        self.tracks.clear()

    def _track(self, stamp: Stamp, meaning: Meaning) -> tuple[_OneProcess, Sequence[LogProcess]]:
        """The process that a record belongs to, and those that are over because it began."""
        track = self.current
        starts = meaning.kind is _STARTED
        if track is None:
            self.current = None if starts else self._other(stamp, -1)
            return self.current or self._new(stamp), _NOBODY
        process = track.process
        begins = starts and process.begun
        gap = stamp.ns - process.last_ns
        if stamp.domain is not process.domain:
            begins = True
        elif stamp.domain is _BOOTTIME and not begins:
            if -_RESTART_NS <= gap <= _NEAR_NS:
                return track, _NOBODY
            other = self._other(stamp, gap)
            if other is not None:
                other.process.taken_in_turns = process.taken_in_turns = True
                self.current = other
                return other, _NOBODY
            begins = gap < 0
        if not begins:
            return track, _NOBODY
        over = [each for each in self.tracks if each.process.ended]
        if len(self.tracks) - len(over) >= _AT_ONCE:
            over.append(next(each for each in self.tracks if each not in over))
        self.tracks = [each for each in self.tracks if not any(each is one for one in over)]
        return self._new(stamp), [_finished(each) for each in over]

    def _other(self, stamp: Stamp, gap: int) -> _OneProcess | None:
        """Another process whose times go on with ``stamp`` much better than the current one's."""
        near = [
            (stamp.ns - each.process.last_ns, each)
            for each in self.tracks
            if each is not self.current
            and not each.process.ended
            and -_RESTART_NS
            <= stamp.ns - each.process.last_ns
            <= (_FAR_NS if gap < 0 or each.process.taken_in_turns else _NEAR_NS)
        ]
        if not near:
            return None
        own, found = min(near, key=lambda item: abs(item[0]))
        return found if gap < 0 or own * 100 < gap else None

    def _new(self, stamp: Stamp) -> _OneProcess:
        self.current = _OneProcess(process=LogProcess(writer=self.name, domain=stamp.domain), tables=DirtyTables())
        self.tracks.append(self.current)
        return self.current


def _observation(line: Line, record: Record, meaning: Meaning, track: _OneProcess, reader: RecordReader) -> Observation:
    """What a line (or a run of lines that were taken together) says."""
    kind, values, stamp, since = meaning.kind, meaning.values, record.stamp, None
    if meaning.event is not None:
        form = EVENTS.get(("vm", meaning.event))
        kind = kind if form is None else track.vocabulary.kind(meaning.event, form)
    if meaning.multiline and line.lookahead is not None:
        values = _whole(line, record, meaning, reader)
    if line.run:
        end = reader.record(line.last)
        since, stamp = stamp, stamp if end is None else end.stamp
        values = {"dirty_bytes": dirty_bytes(line.run), "ranges": len(line.run)}
    text = record.text if kind in _IDENTIFYING else ""
    return Observation(kind, stamp, line.where, record.thread, text, values, since)


def _whole(line: Line, record: Record, meaning: Meaning, reader: RecordReader) -> dict[str, Value]:
    """The values of a message that goes on over several lines: up to where the next record begins."""
    found = [record.message]
    for text in islice(line.lookahead() if line.lookahead is not None else (), _GOES_ON):
        following = reader.record(text)
        if following is None:
            found.append(text)
        elif _CAUSE.match(following.message) and following.thread == record.thread:
            found.append(following.message)
        else:
            break
    whole = meaning_of("\n".join(found).rstrip())
    return dict(whole.values if whole is not None and whole.kind is meaning.kind else meaning.values)


def _finished(track: _OneProcess) -> LogProcess:
    process = track.process
    process.observations += track.tables.flush()
    if process.releases.last <= _LAST_ADAPTIVE:
        process.observations = [_exact(seen) for seen in process.observations]
    return process


def _exact(seen: Observation) -> Observation:
    """``seen`` with the stamp of v36.0-v48.0: at 100 s and more only the rest of the log tells the forms apart."""
    stamp = seen.stamp
    if stamp.domain is not ClockDomain.BOOTTIME or not stamp.text.endswith("s") or stamp.error_ns <= _EXACT_NS // 10:
        return seen
    exact = boottime_stamp(stamp.text.removesuffix("s"), "s")
    return seen if exact is None else seen._replace(stamp=exact)
