"""Records in, traces out: files are rebuilt, read, paired, and drawn, as lines come in.

It knows no thread, socket or clock: whoever drives it says what time it is. What a restart needs is in the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.errors import FaultError
from otelmig.inputs.rebuilding import RebuiltFiles
from otelmig.live.announced.announced import Announced
from otelmig.live.announced.announcements import Announcements
from otelmig.live.departed import Departed
from otelmig.live.drawing import Drawing, Finished
from otelmig.live.late_lines import LateLines
from otelmig.live.logs.live_logs import LiveLogs, log_key
from otelmig.live.logs.log_store import LogStore
from otelmig.live.past import LateFate, Past, TraceCounts, late_fate
from otelmig.live.retention import Retention
from otelmig.live.sides import ALONE_S, SideKey, Sides, side_key
from otelmig.live.state.changes import Changes, Done
from otelmig.live.waiting import Waiting
from otelmig.migration.side import Role
from otelmig.trace import attributes as names
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.inputs.rebuilding import Placed
    from otelmig.live.options import LiveOptions
    from otelmig.live.state.database import State
    from otelmig.live.waiting import Ready
    from otelmig.migration.side import Side
    from otelmig.otlp.intake.request import ReceivedLogs

__all__ = ["Assembly", "Finished"]

_ALONE_NS: Final = int(ALONE_S * SECOND_NS)


@dataclass(slots=True, kw_only=True)
class Assembly:
    """Everything between the records and the traces."""

    hypervisors: Mapping[str, Hypervisor]
    options: LiveOptions
    state: State
    changes: Changes = field(default_factory=Changes)
    tally: TraceCounts = field(default_factory=TraceCounts)
    errors: list[FaultError] = field(default_factory=list)
    """Faults of otelmig itself, for whoever drives to tell and to clear."""
    fates: list[LateFate] = field(default_factory=list)
    """What became of guests since, for whoever drives to tell and to clear."""
    files: RebuiltFiles = field(init=False)
    logs: LiveLogs = field(init=False)
    store: LogStore = field(init=False)
    late: LateLines = field(init=False)
    sides: Sides = field(init=False)
    waiting: Waiting = field(init=False)
    retention: Retention = field(init=False)
    _drawing: Drawing = field(init=False)
    announcements: Announcements = field(default_factory=Announcements)
    past: Past = field(init=False)
    departed: Departed = field(default_factory=Departed)
    _now_s: float = 0.0
    _at_ns: int = 0

    def __post_init__(self) -> None:
        self.files = RebuiltFiles(patience_s=self.options.partner_timeout_s)
        self.logs = LiveLogs(hypervisors=self.hypervisors, options=self.options.reading, changes=self.changes)
        self.store = LogStore(state=self.state, changes=self.changes, logs=self.logs, files=self.files)
        self.late = LateLines(self.state.count_lines)
        self.sides = Sides(hypervisors=self.hypervisors, again=self.again, change_of=self.logs.change_of)
        self.waiting = Waiting(
            options=self.options,
            sides=self.sides,
            touched_s=self.logs.touched_s,
            may_come=self._may_come,
            reads_again_s=self._reads_again_s,
            put_beside=self._put_beside,
        )
        self.retention = Retention(
            logs=self.logs, store=self.store, sides=self.sides, waiting=self.waiting, read_late=self.read_late
        )
        self.past = Past(state=self.state, changes=self.changes)
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
        for saved_announcement in self.state.announced():
            self.announcements.restore(Announced.loaded(saved_announcement))
        for key in self.store.restore(now_s):
            self._bring_back(key)
            self.retention.put_aside_idle(now_s)

    def take(self, logs: ReceivedLogs, now_s: float, at_ns: int) -> None:
        """Take what a request holds, which came in at ``at_ns`` (Unix epoch)."""
        self._now_s, self._at_ns = now_s, at_ns
        for announcement in logs.announcements:
            known = self.announcements.take(announcement, at_ns)
            if known is not None:
                self.changes.announce(known)
        for evicted in self.announcements.evict():
            self.changes.forget_announced(evicted.key)
        for record in logs.records:
            self.tally.records += 1
            self._feed(self.store.take(record, now_s))
        self._feed(self.files.overdue(now_s))
        self.read_late(self.late.due(now_s))

    def tick(self, now_s: float) -> None:
        """Give up lines that were waited for long enough; put aside what was not used for long."""
        self._now_s = now_s
        self._feed(self.files.overdue(now_s))
        self.read_late(self.late.due(now_s))
        self.retention.forget_alone(now_s)
        self.retention.put_aside_idle(now_s)
        for reader in self.logs.readers.values():
            reader.report.processes.clear()  # of what is live, sides tell everything
            reader.report.notes.clear()

    def read_late(self, keys: Iterable[str]) -> None:
        """Read those of these logs anew of which lines came that belong before lines that were read."""
        for key in keys:
            if self.late.forget(key):
                sides = self.store.read(key, self._now_s)
                self.sides.drop_log(key, sides)
                self._take(sides)

    def _read_again(self, key: str) -> None:
        """Read a log that is called by another name now."""
        self.read_late([key])
        self._refresh(self.store.read(key, self._now_s))

    def _bring_back(self, key: str) -> set[SideKey]:
        """Read a log that was put aside, and what is named like it, from the state; return the sides that there are."""
        brought_back: set[SideKey] = set()
        for aside in self.store.those_aside(key):
            sides = self.store.read(aside, self._now_s)
            self._refresh(sides)
            brought_back.update(map(side_key, sides))
        return brought_back

    def _refresh(self, sides: Iterable[Side]) -> None:
        """Take sides whose log was read again as it was, which is no news of those that wait."""
        for side in sides:
            if not self.sides.refresh(side):
                self._take([side])

    def again(self, side: Side) -> Side | None:
        """Return a side as it stands now; None if it proved to be none.

        Its log is read again if it was put aside, or is called by another name now.
        """
        key = side.vmm.inputs[0]
        if self.store.is_aside(key):
            if side_key(side) not in self._bring_back(key):
                return None
            side = self.sides.current(side)
        elif self._read_if_renamed(side):
            side = self.sides.current(side)
        return self.departed.as_it_stands(self.logs.again(side))

    @property
    def next_due_s(self) -> float | None:
        """When something is to be done next; None for never."""
        times = (self.files.next_due_s(), self.waiting.next_due_s, self.late.next_due_s)
        return min((due_s for due_s in times if due_s is not None), default=None)

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
            self.past.keep(done)
        self.retention.safe(finished)

    def flush(self, requests: Sequence[int], now_ns: int) -> None:
        """Write to the state what changed since the last time; ``requests`` are worked off.

        Raises:
            StateError: it cannot be written; nothing of it was, and it can be tried again.
        """
        changes = self.changes
        changes.requests.extend(requests)
        for gone in self.announcements.expire(now_ns, self._sources):
            changes.forget_announced(gone.key)
        self.past.expire(now_ns)
        self.store.write()

    def _sources(self) -> Iterator[tuple[Side, int | None]]:
        """Yield the sources without a trace that is safe, and when the first line of each came, unless it is aside."""
        waiting = (waiter.side for waiter in self.sides if waiter.side.role is Role.SOURCE)
        for source in (*waiting, *self.retention.unsafe_sources):
            yield source, self.logs.arrived_ns(source)

    def _feed(self, placed: Iterable[Placed]) -> None:
        for placed_line in placed:
            key = log_key(placed_line.file.file)
            if self.store.is_aside(key):
                self._bring_back(key)
            self.store.use(placed_line, self._now_s)
            if self.logs.is_late(placed_line):
                self.late.note(key, self._now_s)
            self._take(self.logs.take(placed_line, self._now_s, self._at_ns))

    def _take(self, sides: Iterable[Side]) -> None:
        for side in sides:
            for other in self.logs.named_alike(side.vmm.inputs[0])[1:]:
                self.sides.drop_log(other)  # what an event stream told by itself is told by its log now
            done = self.past.of(side)
            if done is not None:
                self.past.seen(side)
                self._know_again(done, side)
                self._after(done, side)
                continue
            self.waiting.take(self.departed.as_it_stands(side), self._now_s)

    def _know_again(self, done: Done, side: Side) -> None:
        """Take a side of which a trace was made: its partner may still come, or it was not known by its first lines."""
        if self.past.is_alone(done) and self._at_ns - done.at_ns < _ALONE_NS:
            self.sides.put_alone(side, (done.trace_id, done.span_id), self._now_s)
        else:
            self.sides.forget(side)

    def _after(self, done: Done, side: Side) -> None:
        """Take what came of a side after its trace was made: the guest may have met its fate since."""
        fate = late_fate(done, side)
        if fate is None:
            return
        self.tally.late_fates += 1
        self.fates.append(fate)
        self.past.tell(done, fate.fate)

    def _may_come(self, side: Side) -> bool:
        """Return whether lines of a side are missing that may still come."""
        return self.store.may_come(side.vmm.inputs[0])

    def _reads_again_s(self, sides: Iterable[Side]) -> float | None:
        """Return when the logs of sides, and what is named like them, will have been read again, if they have to be."""
        return self.late.due_s(key for side in sides for key in self.logs.named_alike(side.vmm.inputs[0]))

    def _read_if_renamed(self, side: Side) -> bool:
        """Read a log again if its host has to be named with it now; return whether it was."""
        is_renamed = self.logs.is_renamed(side)
        if is_renamed:
            self._read_again(side.vmm.inputs[0])
        return is_renamed

    def _put_beside(self, side: Side) -> bool:
        """Read again what was written beside a log and named otherwise; return whether there was any."""
        fitting = self.logs.fitting(side)
        for stream, log in fitting.items():
            self.sides.drop_log(stream)
            self.logs.put_beside(stream, log)
            self._read_again(stream)
        return bool(fitting)

    def _finish(self, ready: Ready, now_ns: int) -> Finished | None:
        """Make the trace of a migration that is ready."""
        migration = ready.migration
        read_again = [side for side in migration.sides if self._read_if_renamed(side) or self._put_beside(side)]
        if read_again:
            self.waiting.look_again(migration, self._now_s)
            return None  # it is ready again at once, under names that tell the hosts apart, with all that is known
        try:
            finished = self._drawing.draw(ready, now_ns)
        except Exception as error:  # noqa: BLE001 - the edge of one migration: the others have their traces
            self.errors.append(FaultError.of(f"the migration of {migration.reference.name}", error))
            self.waiting.forget(migration)
            return None
        self.retention.traced(finished)
        root = finished.trace.root
        self.waiting.exported(migration, (finished.trace.trace_id, root.span_id), self._now_s)
        self.tally.traces += 1
        self.tally.paired += len(migration.sides) > 1
        self.tally.alone += len(migration.sides) == 1
        self.tally.as_they_stood += ready.open
        self.tally.conflicts += root.attributes.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.CONFLICT
        return finished
