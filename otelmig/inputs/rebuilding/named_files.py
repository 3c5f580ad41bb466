"""The files of one name, and what waits for lines that come before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from otelmig.inputs.rebuilding.choice import best_file
from otelmig.inputs.rebuilding.copied_lines import CopiedLines, begins
from otelmig.inputs.rebuilding.known_lines import Known, digest_of
from otelmig.inputs.rebuilding.rebuilt_file import Placed, RebuiltFile, adjoins
from otelmig.inputs.rebuilding.succession import Succession
from otelmig.inputs.rebuilding.waiting import WaitingRun, WaitingRuns, is_next
from otelmig.inputs.rotation import Age, time_of
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelmig.inputs.rebuilding.counts import Counts
    from otelmig.inputs.record import FileKey, LogRecord

__all__ = ["NamedFiles"]


class NamedFiles(Struct, eq=False):
    """The files that had one name, or that of a rotation, and the records that wait under it."""

    counts: Counts
    touched: Callable[[RebuiltFile], None]
    """Is told of each file whose state changed."""
    next_generation: Callable[[Age], int]
    """Returns the number of a file of that age."""
    waiting: WaitingRuns
    keys: list[FileKey] = field(default_factory=list)
    """The names."""
    files: list[RebuiltFile] = field(default_factory=list)
    copied: CopiedLines = field(default_factory=CopiedLines)

    def is_waiting(self, file: RebuiltFile) -> bool:
        """Return whether something waits that may belong to ``file``."""
        return any(best_file(self.files, run.first) is file for run in self.waiting)

    def open(self, record: LogRecord) -> RebuiltFile:
        """Return a new file, which ``record`` is of."""
        file = next((known for known in self.files if known.tail is None and known.file == record.file), None)
        if file is None:
            age = Age(record.file.path, time_of(record.text), record.received_ns)
            file = RebuiltFile(
                file=record.file,
                generation=self.next_generation(age),
                written_ns=age.written_ns,
                read_ns=age.read_ns,
                epoch=record.epoch,
                host=record.host,
                paths={record.file.path},
                waits=self.is_waiting,
            )
            self.files.append(file)
        self.touched(file)
        return file

    def release(self, run: WaitingRun) -> None:
        """Let ``run`` wait no more."""
        self.waiting.remove(run)
        self.counts.release(run.records)

    def has_file(self, record: LogRecord) -> None:
        """See that there is a file, even one of which no line is known: ``record`` waits under its name."""
        if not self.files:
            self.open(record)

    def line(self, file: RebuiltFile, record: LogRecord, digest: str, *, is_sequel: bool = False) -> Placed:
        """Return ``record`` as a line of ``file``; if it is a sequel, what lies before it was left out."""
        self.touched(file)
        file.paths.add(record.file.path)
        file.host = record.host or file.host
        lost = file.lost
        self.counts.without_beginning += file.tail is None and not begins(record)
        if file.tail is not None and (record.offset or 0) <= file.tail.offset:
            placed = file.add_late(record, digest)
        else:
            kind, missing = file.succession(record)
            if kind is Succession.NONE:  # its number belongs to a copy
                kind, missing = file.succession(record._replace(number=None))
            if is_sequel and kind is Succession.LATER and missing:
                file.is_filtered = True
            placed = file.add(record, digest, 0 if file.is_filtered else missing, adjoins=kind is Succession.NEXT)
        self.counts.lost += file.lost - lost
        return placed

    def added(self, file: RebuiltFile, records: Iterable[LogRecord], *, is_filtered: bool) -> list[Placed]:
        """Return ``records``, which follow each other, as lines of ``file``, those that are none of it already."""
        placed: list[Placed] = []
        file.is_filtered = file.is_filtered or is_filtered
        for record in records:
            digest = digest_of(record.text)
            known = file.knows(record, digest)
            if known is Known.OTHER:
                self.counts.conflicts += 1
                file = self.open(record)
            if known in (Known.SAME, Known.PAST):
                self.counts.copies += 1
                self.copied.add(file, record, None)  # or the beginning of another file, which may wait, too
            else:
                placed.append(self.line(file, record, digest))
        return placed

    def fitting(self, file: RebuiltFile) -> WaitingRun | None:
        """Return what waits and goes on from a line of ``file``, or ends where one begins."""
        for stretch in file.known.stretches:
            last = stretch.last
            for run in self.waiting.near(last.offset, last.end):
                if is_next(last, run.first, file.line_end) and self.is_missing(file, run.first):
                    return run
            for run in self.waiting.before(stretch.begin):
                if adjoins(run.tail, stretch) and self.is_missing(file, run.first):
                    return run
        if file.is_filtered:
            return next((run for run in self.waiting if best_file([file], run.first) is file), None)
        return None

    @staticmethod
    def is_missing(file: RebuiltFile, record: LogRecord) -> bool:
        """Return whether nothing is known of the place of ``record`` in ``file``."""
        return file.knows(record, digest_of(record.text)) is Known.UNKNOWN
