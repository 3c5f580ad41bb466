"""Records in, traces out: files are rebuilt, read, paired, and drawn, as lines come in.

It knows no thread, socket or clock: whoever drives it says what time it is. What a restart needs is in the state.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import field
from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.dataclass import dataclass
from otelmig.errors import FaultError
from otelmig.inputs.rebuilding import RebuiltFiles
from otelmig.live.announcements import Announced, Announcements
from otelmig.live.drawing import Drawing, Finished
from otelmig.live.logs import LiveLogs, log_key
from otelmig.live.past import LateFate, Past, Tally, late_fate
from otelmig.live.sides import Sides
from otelmig.live.state import Changes, Done
from otelmig.live.waiting import Waiting
from otelmig.trace import attributes as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.inputs import Host
    from otelmig.inputs.rebuilding import Placed, RebuiltFile
    from otelmig.inputs.record import FileKey
    from otelmig.live.options import LiveOptions
    from otelmig.live.state import State
    from otelmig.live.waiting import Ready
    from otelmig.migration.side import Side
    from otelmig.otlp.intake.request import ReceivedLogs

__all__ = ["Assembly", "Finished"]

_MOST_LOADED: Final = 2000
"""At most so many logs are in memory; the rest is in the state until a line of it comes."""
_AT_ONCE: Final = 100
"""So many logs or sides are given up at a time where the state is full."""
_LAST_PLACE: Final = (1 << 63) - 1
_IDLE_S: Final = 120.0
"""After so long without a line a log is put aside: what is needed of it is in the state."""


@dataclass(slots=True, kw_only=True)
class Assembly:
    """Everything between the records and the traces."""

    hypervisors: Mapping[str, Hypervisor]
    options: LiveOptions
    state: State
    changes: Changes = field(default_factory=Changes)
    tally: Tally = field(default_factory=Tally)
    errors: list[FaultError] = field(default_factory=list)
    """Faults of otelmig itself, for whoever drives to tell and to clear."""
    fates: list[LateFate] = field(default_factory=list)
    """What became of guests since, for whoever drives to tell and to clear."""
    files: RebuiltFiles = field(init=False)
    logs: LiveLogs = field(init=False)
    sides: Sides = field(init=False)
    waiting: Waiting = field(init=False)
    _drawing: Drawing = field(init=False)
    announcements: Announcements = field(default_factory=Announcements)
    past: Past = field(default_factory=Past)
    _generations: dict[str, list[RebuiltFile]] = field(default_factory=dict)
    _used_s: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """When each log was used last, the longest ago first."""
    _aside: dict[str, tuple[FileKey, Host | None]] = field(default_factory=dict)
    """Logs of which lines are kept in the state only."""
    _now_s: float = 0.0
    _at_ns: int = 0

    def __post_init__(self) -> None:
        self.files = RebuiltFiles(patience_s=self.options.partner_timeout_s)
        self.logs = LiveLogs(hypervisors=self.hypervisors, options=self.options.reading, changes=self.changes)
        self.sides = Sides(hypervisors=self.hypervisors, again=self._again)
        self.waiting = Waiting(
            options=self.options, sides=self.sides, touched_s=self.logs.touched_s, may_come=self._may_come
        )
        self._drawing = Drawing(
            options=self.options,
            logs=self.logs,
            past=self.past,
            announcements=self.announcements,
            changes=self.changes,
        )

    def restore(self, now_s: float) -> None:
        """Read what the state has from before a restart; requests that were not worked off are given anew."""
        self._now_s = now_s
        for done in self.state.done():
            self.past.remember(done)
        for saved_announcement in self.state.announced():
            self.announcements.restore(Announced.loaded(saved_announcement))
        by_key: dict[str, RebuiltFile] = {}
        for _, saved in self.state.files():
            rebuilt = self.files.load(saved)
            key = log_key(rebuilt.file)
            self._generations.setdefault(key, []).append(rebuilt)
            by_key[key] = rebuilt
        for key in self.state.files_with_lines():
            file = by_key.get(key)
            if file is not None:
                self._read_again(key, file.file, file.host)

    def take(self, logs: ReceivedLogs, now_s: float, at_ns: int) -> None:
        """Take what a request holds, which came in at ``at_ns`` (Unix epoch)."""
        self._now_s, self._at_ns = now_s, at_ns
        for announcement in logs.announcements:
            known = self.announcements.take(announcement, at_ns)
            if known is not None:
                self.changes.announced[known.key] = known.saved()
        late: dict[str, Placed] = {}
        for record in logs.records:
            self.tally.records += 1
            self._feed(self.files.take(record, now_s), late)
        self._feed(self.files.overdue(now_s), late)
        self._reread(late)

    def tick(self, now_s: float) -> None:
        """Give up lines that were waited for long enough; put aside what was not used for long."""
        self._now_s = now_s
        late: dict[str, Placed] = {}
        self._feed(self.files.overdue(now_s), late)
        self._reread(late)
        while self._used_s:
            key, used_s = next(iter(self._used_s.items()))
            if now_s - used_s < _IDLE_S and len(self._used_s) <= _MOST_LOADED:
                break
            self._put_aside(key)

    def make_room(self) -> None:
        """Let the state shrink: forget what is kept for later migrations; if nothing is, give up the oldest sides."""
        spare = [key for key in self._aside if not self.sides.waits(key)][:_AT_ONCE]
        for key in spare:
            del self._aside[key]
            self.changes.gone_lines.append((key, 0, _LAST_PLACE))
        self.tally.forgotten += len(spare)
        if not spare:
            self.waiting.hurry(_AT_ONCE, self._now_s)

    def _put_aside(self, key: str) -> None:
        """Keep of a log what the state has, and of its sides that wait what tells them from others."""
        del self._used_s[key]
        file = next(iter(self._generations.get(key, ())), None)
        if file is None:
            return
        if self.changes:
            self.state.write(self.changes)  # what is read from the state later must be there
            self.changes.clear()
        self.sides.slim(key)
        self._aside[key] = (file.file, file.host)
        self.logs.put_aside(key)

    def _again(self, side: Side) -> Side:
        """Return a side as it stands now; its log is read again if it was put aside."""
        key = side.vmm.inputs[0]
        if key in self._aside:
            self._read_again(key, *self._aside[key], anew=False)
            side = self.sides.current(side)
        return self.logs.again(side)

    @property
    def next_due_s(self) -> float | None:
        """When something is to be done next; None for never."""
        times = [each for each in (self.files.next_due_s(), self.waiting.next_due_s) if each is not None]
        return min(times, default=None)

    def finished(self, now_s: float, now_ns: int) -> Iterator[Finished]:
        """Yield the traces that are ready; :meth:`safe` is to be called of each once it cannot be lost."""
        self._now_s = now_s
        for ready in self.waiting.ready(now_s):
            finished = self._finish(ready, now_ns)
            if finished is not None:
                yield finished

    def safe(self, finished: Finished) -> None:
        """Forget the lines that a trace was made of: it is where it cannot be lost."""
        for done in finished.done:
            self.changes.done[done.file, done.role, done.identity] = done
        for key, place in finished.upto.items():
            if any(self.sides.waits(each) for each in self.logs.named_alike(key)):
                continue  # its lines are needed for another side
            self.changes.gone_lines.append((key, 0, place))
            for position in [each for each in self.changes.lines if each[0] == key and each[1] <= place]:
                del self.changes.lines[position]

    def flush(self, requests: Sequence[int], now_ns: int) -> None:
        """Write to the state what changed since the last time; ``requests`` are worked off.

        Raises:
            StateError: it cannot be written; nothing of it was, and it can be tried again.
        """
        changes = self.changes
        for file in self.files.dirty():
            changes.files[file.key] = self.files.save(file)
        changes.requests.extend(requests)
        for gone in self.announcements.expire(now_ns):
            changes.gone_announced.append(gone.key)
        until_ns = self.past.expire(now_ns)
        if until_ns is not None:
            changes.gone_done.append(until_ns)
        if changes:
            self.state.write(changes)
            changes.clear()

    def _feed(self, placed: Iterable[Placed], late: dict[str, Placed]) -> None:
        for each in placed:
            key = log_key(each.file.file)
            generations = self._generations.setdefault(key, [])
            if not any(each.file is known for known in generations):
                generations.append(each.file)
            if key in self._aside:
                self._read_again(key, *self._aside[key], anew=False)
            is_late = self.logs.is_late(each)
            sides = self.logs.take(each, self._now_s, self._at_ns)
            self._used_s[key] = self._now_s
            self._used_s.move_to_end(key)
            if is_late:
                late[key] = each
            self._take(sides)

    def _reread(self, late: Mapping[str, Placed]) -> None:
        for key, placed in late.items():
            self._read_again(key, placed.file.file, placed.record.host)

    def _read_again(self, key: str, file: FileKey, host: Host | None, *, anew: bool = True) -> None:
        """Read a log from what the state has of it; ``anew``, because something came in, or as it was."""
        self._aside.pop(key, None)
        self._used_s[key] = self._now_s
        if self.changes.lines or self.changes.gone_lines:
            self.state.write(self.changes)
            self.changes.clear()
        sides = self.logs.reread(key, self.state.lines(key), file, host, self._now_s)
        if anew:
            self.sides.drop_log(key)
            self._take(sides)
            return
        for side in sides:
            if not self.sides.refresh(side):
                self._take([side])

    def _take(self, sides: Iterable[Side]) -> None:
        for side in sides:
            for other in self.logs.named_alike(side.vmm.inputs[0])[1:]:
                self.sides.drop_log(other)  # what an event stream told by itself is told by its log now
            done = self.past.of(side)
            if done is not None:
                self.past.seen(side)
                self._after(done, side)
                continue
            self.waiting.take(side, self._now_s)

    def _after(self, done: Done, side: Side) -> None:
        """Take what came of a side after its trace was made: the guest may have met its fate since."""
        fate = late_fate(done, side)
        if fate is None:
            return
        self.tally.late_fates += 1
        self.fates.append(fate)
        told = done._replace(fate=fate.fate)
        self.past.remember(told)
        self.changes.done[told.file, told.role, told.identity] = told

    def _may_come(self, side: Side) -> bool:
        """Return whether lines of a side are missing that may still come."""
        return any(
            file.is_waiting
            for key in self.logs.named_alike(side.vmm.inputs[0])
            for file in self._generations.get(key, ())
        )

    def _finish(self, ready: Ready, now_ns: int) -> Finished | None:
        """Make the trace of a migration that is ready."""
        migration = ready.migration
        renamed = [side for side in migration.sides if self.logs.rename(side)]
        for side in renamed:
            file = self.logs.file_of(side)
            if file is not None:
                self._read_again(side.vmm.inputs[0], file, side.vmm.host, anew=False)
        if renamed:
            self.waiting.look_again(migration, self._now_s)
            return None  # it is ready again at once, under names that tell the hosts apart
        try:
            finished = self._drawing.draw(ready, now_ns)
        except Exception as error:  # noqa: BLE001 - the edge of one migration: the others have their traces
            self.errors.append(FaultError.of(f"the migration of {migration.reference.name}", error))
            self.waiting.exported(migration, ("", ""))
            return None
        root = finished.trace.root
        self.waiting.exported(migration, (finished.trace.trace_id, root.span_id))
        self.tally.traces += 1
        self.tally.paired += len(migration.sides) > 1
        self.tally.alone += len(migration.sides) == 1
        self.tally.conflicts += root.attributes.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.CONFLICT
        return finished
