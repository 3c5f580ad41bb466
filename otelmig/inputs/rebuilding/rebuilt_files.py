"""Records of all files of all senders -> the lines of each file in order, numbered."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import field

from otelmig.inputs.rebuilding.counts import Counts
from otelmig.inputs.rebuilding.generations import Generations
from otelmig.inputs.rebuilding.held_records import HeldRecords, chains
from otelmig.inputs.rebuilding.saved_file import loaded, saved
from otelmig.inputs.rebuilding.waiting import WaitingRuns
from otelmig.inputs.rotation import log_of, number_among
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.inputs.rebuilding.held_records import HeldRow
    from otelmig.inputs.rebuilding.rebuilt_file import Placed, RebuiltFile
    from otelmig.inputs.record import FileKey, LogRecord
    from otelmig.inputs.rotation import Age

__all__ = ["RebuiltFiles"]

_MOST_HELD: Final = 100_000
"""At most this many records wait at a time, unless the caller says otherwise."""
_LARGEST_HELD: Final = 1 << 26
"""At most this many characters wait at a time, unless the caller says otherwise."""
_MOST_FORGOTTEN: Final = 4096
"""Of at most so many files that were forgotten it is known how many of their lines are counted as missing."""


class _Name(NamedTuple):
    """What files are told from each other by, but for their generation."""

    host: str
    log: str
    """The path, as it is when the file was not rotated yet."""
    epoch: str


class RebuiltFiles(Struct, eq=False):
    """The files that senders tell of, rebuilt as records come in.

    Times (``now_s``) are seconds on a clock of the caller's that never goes back; no other clock is read. What is given
    out is given out once; the order of its lines is that of ``Placed.position``.
    """

    patience_s: float = 60.0
    """How long it is waited for records that are missing."""
    most_held: int = _MOST_HELD
    """At most this many records wait; then those that waited longest are given out."""
    largest_held: int = _LARGEST_HELD
    """At most this many characters of lines wait."""
    counts: Counts = field(default_factory=Counts)
    _names: dict[_Name, Generations] = field(default_factory=dict)
    _by_file: dict[tuple[FileKey, str], Generations] = field(default_factory=dict)
    _opened: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """The largest number that a generation has, or had, by host and log."""
    _epochs: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """What tells generations apart besides their numbers, by host and log."""
    _dirty: dict[RebuiltFile, None] = field(default_factory=dict)
    _due: list[tuple[float, int, Generations]] = field(default_factory=list)
    """A heap of the times at which something that waits, or waited once, is or was due."""
    _pushed: int = 0
    _files: dict[RebuiltFile, Generations] = field(default_factory=dict)
    """Every file with those of its name."""
    _held: HeldRecords = field(default_factory=HeldRecords)
    _lost_of: OrderedDict[tuple[FileKey, int], int] = field(default_factory=OrderedDict)
    """Of files that were forgotten: how many of their lines are in the count of those that are missing."""

    @property
    def copies(self) -> int:
        """How many records were copies of others."""
        return self.counts.copies

    @property
    def held(self) -> int:
        """How many records wait for what comes before them."""
        return self.counts.held

    @property
    def lost(self) -> int:
        """How many lines are known to be missing, in all files."""
        return self.counts.lost

    @property
    def without_beginning(self) -> int:
        """How many files were read from later lines than their first ones on, as nobody sent these."""
        return self.counts.without_beginning

    @property
    def conflicts(self) -> int:
        """How often another line came in for a place of which one was known, and no file began."""
        return self.counts.conflicts

    @property
    def files(self) -> Sequence[RebuiltFile]:
        """Every file, those first from which nothing came for the longest time."""
        return list(self._files)

    def take(self, record: LogRecord, now_s: float) -> Sequence[Placed]:
        """Return the lines that are in order with ``record``; none for a copy, or for one that waits for others."""
        names = self._by_file.get((record.file, record.epoch))
        if names is None:
            names = self._generations(record.file, record.epoch)
        held = self.counts.held
        placed = names.take(record, now_s + self.patience_s)
        if self.counts.held > held:
            self._push(now_s + self.patience_s, names)
            if self._is_too_much:
                return [*placed, *self._given_up()]
        return placed

    def overdue(self, now_s: float) -> Sequence[Placed]:
        """Return the lines behind what was waited for long enough; they say how many are missing before them."""
        placed: list[Placed] = []
        while self._due and self._due[0][0] <= now_s:
            *_, names = heappop(self._due)
            for run in names.waiting:
                if run.due_s is None:
                    run.due_s = now_s + self.patience_s
            placed += names.overdue(now_s)
            later = [run.due_s for run in names.waiting if run.due_s is not None]
            if later:
                self._push(min(later), names)
        return placed

    def next_due_s(self) -> float | None:
        """Return when :meth:`overdue` is worth calling; None if nothing waits."""
        while self._due and not self._due[0][2].waiting:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def dirty(self) -> Sequence[RebuiltFile]:
        """Return the files whose state changed since the last call."""
        files = list(self._dirty)
        self._dirty.clear()
        return files

    def save(self, file: RebuiltFile) -> bytes:
        """Return the state of ``file``, without what waits under its name."""
        names = self._files[file]
        return saved(file, [run for run in names.copied.runs if run.original is file])

    def held_rows(self) -> Sequence[HeldRow]:
        """Return what began to wait, or waits no more, since the last call."""
        return self._held.changed()

    def load(self, document: bytes) -> RebuiltFile:
        """Return a file as it was when it was saved.

        Raises:
            ValueError: in one line, why it cannot be read.
        """
        file, runs, copied = loaded(document)
        names = self._by_file.get((file.file, file.epoch)) or self._generations(file.file, file.epoch)
        file.waits = names.is_waiting
        names.files.append(file)
        names.files.sort(key=lambda rebuilt: rebuilt.generation)
        names.copied.runs += copied
        self.counts.lost += file.lost - self._lost_of.pop((file.file, file.generation), 0)
        self._files[file] = names
        for records in runs:
            self._restore(names, records)
            self._touched(file, names)  # from now on they are saved apart
        name = file.file.host, log_of(file.file.path)
        self._opened[name] = max(self._opened[name], file.generation)
        return file

    def load_held(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Put records back to wait as they did when they were saved under these numbers; their time begins anew.

        Raises:
            ValueError: in one line, why they cannot be read.
        """
        for chain in chains(rows):
            idents, records = zip(*chain, strict=True)
            self.know_held(idents)
            file, epoch = records[0].file, records[0].epoch
            self._restore(self._by_file.get((file, epoch)) or self._generations(file, epoch), records, idents)

    def know_held(self, idents: Iterable[int]) -> None:
        """Give no other record these numbers."""
        self._held.know(idents)

    def forget(self, file: RebuiltFile) -> None:
        """Forget ``file``, and what waits under its name if it was the last one of that: this is lost."""
        names = self._files.pop(file)
        if file.lost:
            self._lost_of[file.file, file.generation] = file.lost
            while len(self._lost_of) > _MOST_FORGOTTEN:
                self._lost_of.popitem(last=False)
        self._dirty.pop(file, None)
        names.files.remove(file)
        names.copied.runs = [run for run in names.copied.runs if run.original is not file]
        if names.files:
            return
        for run in names.waiting:
            self._held.forget(run.idents)
            self.counts.release(run.records)
            self.counts.lost += len(run.records)
        names.waiting = WaitingRuns(held=self._held)
        for key in names.keys:
            del self._by_file[key, file.epoch]
        log = file.file.host, log_of(file.file.path)
        del self._names[_Name(*log, file.epoch)]
        self._epochs[log].discard(file.epoch)
        if not self._epochs[log]:
            del self._epochs[log], self._opened[log]

    def _restore(self, names: Generations, records: Sequence[LogRecord], idents: Sequence[int] = ()) -> None:
        names.waiting.restore(records, idents)
        names.has_file(records[0])
        self.counts.hold(*records)
        self._push(-math.inf, names)

    def _generations(self, file: FileKey, epoch: str) -> Generations:
        log = log_of(file.path)
        name = _Name(file.host, log, epoch)
        names = self._names.get(name) or self._named(name)
        names.keys.append(file)
        self._by_file[file, epoch] = names
        return names

    def _named(self, name: _Name) -> Generations:
        names = Generations(
            self.counts,
            lambda touched: self._touched(touched, names),
            lambda age: self._number(name.host, name.log, age),
            WaitingRuns(held=self._held),
        )
        self._names[name] = names
        self._epochs[name.host, name.log].add(name.epoch)
        return names

    def _number(self, host: str, log: str, age: Age) -> int:
        """Return the number of the generation of that age."""
        names = (self._names[_Name(host, log, epoch)] for epoch in self._epochs[host, log])
        others = {file.generation: file.age for generations in names for file in generations.files}
        number, latest = number_among(age, others), self._opened[host, log]
        if number > max(others, default=0):
            number = max(number, latest + 1)  # one that was forgotten had a number, too
        self._opened[host, log] = max(number, latest)
        return number

    def _touched(self, file: RebuiltFile, names: Generations) -> None:
        self._files[file] = names
        self._dirty[file] = None

    def _push(self, due_s: float, names: Generations) -> None:
        heappush(self._due, (due_s, self._pushed, names))
        self._pushed += 1

    @property
    def _is_too_much(self) -> bool:
        return self.counts.held > self.most_held or self.counts.held_size > self.largest_held

    def _given_up(self) -> list[Placed]:
        """Return the lines that waited longest: too many wait."""
        placed: list[Placed] = []
        while self._is_too_much and self._due:
            *_, names = self._due[0]
            if names.waiting:
                placed += names.give_up(min(names.waiting, key=lambda run: run.due_s or 0.0))
            else:
                heappop(self._due)
        return placed
