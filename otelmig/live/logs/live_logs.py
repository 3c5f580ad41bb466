"""Lines of files that grow elsewhere -> the sides of migrations, as they stand with each line.

The generations of one file (it was truncated, or its writer began anew) are read one after the other as one log. Lines
that are still needed are kept in the state, so that a file can be read once more: after a restart, and where a line
comes in that belongs before lines that were read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.inputs.growing_log import GrowingLog, Recognized
from otelmig.inputs.line import Line, Where
from otelmig.inputs.rotation import log_of
from otelmig.live.logs.log_names import LogNames, is_file
from otelmig.live.logs.parting import Parting
from otelmig.live.state.changes import StoredLine
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor, Reader
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import Head, Host
    from otelmig.inputs.rebuilding import Placed
    from otelmig.inputs.record import FileKey
    from otelmig.live.state.changes import Changes
    from otelmig.migration.side import Side

__all__ = ["LiveLogs", "LogCounts", "log_key"]

_GENERATION: Final = 44
"""Bits of a place within one generation of a file."""


def log_key(file: FileKey) -> str:
    """Return what tells a log from all others: its generations, and its rotations, have it in common."""
    return f"{file.host}\n{log_of(file.path)}"


class LogCounts(Struct):
    """What was read so far."""

    lines: int = 0
    read_again: int = 0
    """Files that were read once more, because a line came late."""
    passed_over: int = 0
    """Lines of files that no hypervisor is known to have written."""
    unreadable: int = 0
    """Logs of a hypervisor in a form that is not known."""


class _Log(Struct, kw_only=True):
    """One log."""

    key: str
    file: FileKey
    host: Host | None
    growing: GrowingLog
    touched_s: float = 0.0
    """When a line came that a reader was given."""
    newest: int = -1
    """The place of the last line that was read."""
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """The numbers of the latest lines that a reader was given, and when they came in (Unix epoch)."""
    arrived: dict[tuple[str, int], int] = field(default_factory=dict)
    """When the first line of each attempt came in (Unix epoch), by its role and its number."""
    held: deque[int] = field(default_factory=deque)
    """The places of lines that were kept while it was not known who writes the log."""


class LiveLogs(Struct, kw_only=True):
    """All logs of a live service."""

    hypervisors: Mapping[str, Hypervisor]
    options: LogOptions
    changes: Changes
    """Gets the lines that are to be kept."""
    counts: LogCounts = field(default_factory=LogCounts)
    refusals: list[str] = field(default_factory=list)
    """Why logs cannot be read, for whoever drives to tell and to clear."""
    readers: dict[str, Reader] = field(default_factory=dict)
    _logs: dict[str, _Log] = field(default_factory=dict)
    _names: LogNames = field(default_factory=LogNames)
    _changes: dict[str, int] = field(default_factory=dict)
    """Of logs that are named alike: how often anything had changed when anything of them did."""
    _change: int = 0

    def __post_init__(self) -> None:
        self.readers = {name: hypervisor.reader(self.options) for name, hypervisor in self.hypervisors.items()}

    def __len__(self) -> int:
        return len(self._logs)

    def take(self, placed: Placed, now_s: float, at_ns: int) -> Sequence[Side]:
        """Take the next line of a file; return the sides whose state changed with it.

        A line that belongs before lines that were read is only kept: the log has to be read again (:meth:`reread`).
        """
        file, record = placed.file.file, placed.record
        key = log_key(file)
        log = self._logs.get(key) or self._begin(key, file, record.host)
        place = (placed.file.generation << _GENERATION) + placed.position
        stored = StoredLine(
            key, place, placed.line, record.text, record.received_ns, record.writer, placed.lost_before, at_ns
        )
        self.counts.lines += 1
        if place <= log.newest:
            self.changes.lines[key, place] = stored
            return ()
        log.newest = place
        return self._read(log, stored, now_s, is_new=True)

    def is_late(self, placed: Placed) -> bool:
        """Return whether a line belongs before lines of its log that were read."""
        log = self._logs.get(log_key(placed.file.file))
        return log is not None and (placed.file.generation << _GENERATION) + placed.position <= log.newest

    def reread(
        self, key: str, stored: Iterable[StoredLine], file: FileKey, host: Host | None, now_s: float
    ) -> list[Side]:
        """Read a log from all lines that were kept of it; return the sides that there are."""
        before = self._logs.pop(key, None)
        if before is not None:
            self.counts.read_again += 1
            self._forget(before)
        log = self._begin(key, file, host if before is None else before.host or host)
        sides: dict[tuple[str, str, int], Side] = {}
        for line in stored:
            log.newest = max(log.newest, line.position)
            for side in self._read(log, line, now_s, is_new=False):
                sides[side.vmm.key, side.role, side.attempt] = side
        log.touched_s = now_s if before is None else before.touched_s  # what is read again is no news
        return list(sides.values())

    def is_renamed(self, side: Side) -> bool:
        """Return whether the log of ``side`` has to be read again, since another host has one of its name now."""
        log = self._logs.get(side.vmm.inputs[0])
        return log is not None and log.growing.name != self._names.name(log.file, log.host)

    def again(self, side: Side) -> Side:
        """Return a side as it stands now."""
        return self.readers[side.vmm.system].again(side) or side

    def fitting(self, side: Side) -> Mapping[str, str]:
        """Return the streams of the host of ``side`` that are of the process of a log there, each with that log."""
        return self.readers[side.vmm.system].fitting(side)

    def change_of(self, side: Side) -> int:
        """Return a number that is another one once anything was read from which :meth:`again` may say another thing."""
        return self._changes.get(self._names.group(side.vmm.inputs[0]), 0)

    def touched_s(self, side: Side) -> float:
        """Return when a line of the process of ``side``, or of what is named like its log, was read last."""
        logs = (self._logs.get(key) for key in self.named_alike(side.vmm.inputs[0]))
        return max((log.touched_s for log in logs if log is not None), default=0.0)

    def arrived_ns(self, side: Side) -> int | None:
        """Return when the first line of a side came in (Unix epoch), if its log is known."""
        log = self._logs.get(side.vmm.inputs[0])
        return None if log is None else log.arrived.get((side.role, side.attempt))

    def named_alike(self, own: str) -> list[str]:
        """Return the keys of the logs and event streams that are named like a log, in memory or not, its own first."""
        return [own, *(key for key in self._names.alike(own) if key != own)]

    def parting(self, key: str) -> Parting:
        """Return how far a log was read, and whose lines may follow."""
        log = self._logs.get(key)
        if log is None:
            return Parting(-1, frozenset())
        known = log.growing.known
        return Parting(log.newest, frozenset() if known is None else self.readers[known.system].under_way(key))

    def is_over(self, key: str) -> bool:
        """Return whether no process is known that a log may get more lines of."""
        return not self.parting(key).processes

    def put_aside(self, key: str, *, is_dropped: bool) -> None:
        """Forget a log in memory; what was kept of it in the state stays, unless it is dropped there, too."""
        log = self._logs.pop(key, None)
        if log is not None:
            self._forget(log)
            if is_dropped:
                self.counts.passed_over += len(log.held)

    def know(self, key: str) -> None:
        """Note that there is a log, in memory or not."""
        self._names.add(key)

    def put_beside(self, key: str, log: str) -> None:
        """Put a stream beside a log from now on, whatever the two are called; it has to be read again."""
        if self._names.put_beside(key, log):
            self.changes.beside[key] = log

    def forget_name(self, key: str) -> None:
        """Forget that there was a log, of which nothing is kept any more."""
        group = self._names.group(key)
        self._names.remove(key)
        if not self._names.alike(key):
            self._changes.pop(group, None)
        if self._names.put_beside(key, None):
            self.changes.beside[key] = None

    def _drop(self, log: _Log, place: int) -> None:
        if self.changes.lines.pop((log.key, place), None) is None:
            self.changes.gone_lines.append((log.key, place, place))

    def _forget(self, log: _Log) -> None:
        self._note_change(log)
        if log.growing.known is not None and log.growing.stream is not None:
            self.readers[log.growing.known.system].forget(log.growing.stream)

    def _note_change(self, log: _Log) -> None:
        self._change += 1
        self._changes[self._names.group(log.key)] = self._change

    def _begin(self, key: str, file: FileKey, host: Host | None) -> _Log:
        self.know(key)
        if is_file(key):
            file = file._replace(path=log_of(file.path))  # whichever of its rotations came first
        growing = GrowingLog(
            key=key,
            name=self._names.name(file, host),
            stem=self._names.stem(key),
            recognize=self._recognize,
            line_begins=[hypervisor.line_begin for hypervisor in self.hypervisors.values()],
            year=self.options.year,
            zone=self.options.zone,
        )
        log = self._logs[key] = _Log(key=key, file=file, host=host, growing=growing)
        return log

    def _recognize(self, head: Head) -> Recognized | None:
        for name, hypervisor in self.hypervisors.items():
            if hypervisor.recognises(head, self.options):
                return Recognized(system=name, line_filter=hypervisor.line_filter(head, self.options))
        return None

    def _keep(self, log: _Log, stored: StoredLine, passed_over: int, *, is_wanted: bool, is_new: bool) -> None:
        """Have a line kept that is, or may be, wanted; none that was passed over with it."""
        growing = log.growing
        if not is_wanted and not growing.holds:
            if not is_new:
                self._drop(log, stored.position)  # it was kept because it came late
        elif is_new:
            self.changes.lines[stored.file, stored.position] = stored
        if growing.known is None:
            log.held.append(stored.position)
            for _ in range(passed_over):
                self.counts.passed_over += 1
                self._drop(log, log.held.popleft())
        elif log.held:
            log.held.clear()

    def _read(self, log: _Log, stored: StoredLine, now_s: float, *, is_new: bool) -> list[Side]:
        """Read one line; return the sides whose state changed."""
        growing = log.growing
        passed_over = growing.passed_over
        line = Line(
            text=stored.text,
            where=Where(growing.name, stored.number),
            writer=stored.writer,
            received_ns=stored.received_ns,
            host=log.host,
            lost_before=stored.lost_before,
        )
        refused = growing.refused
        wanted = growing.take(line)
        if growing.refused is not None and refused is None:
            self.counts.unreadable += 1
            self.refusals.append(growing.refused)
        self._keep(log, stored, growing.passed_over - passed_over, is_wanted=bool(wanted), is_new=is_new)
        if not wanted or growing.known is None:
            return []
        self._note_change(log)
        reader = self.readers[growing.known.system]
        sides: list[Side] = []
        for wanted_line in wanted:
            log.recent.append((wanted_line.where.line, stored.arrived_ns))
            sides += reader.take(wanted_line)
        for side in sides:
            key = (side.role, side.attempt)
            if key not in log.arrived:
                log.arrived[key] = dict(log.recent).get(side.first.where.line, stored.arrived_ns)
        log.touched_s = now_s
        return sides


_RECENT: Final = 8
"""For so many of the latest lines of a log it is known when they came in: an attempt is known with its second one."""
