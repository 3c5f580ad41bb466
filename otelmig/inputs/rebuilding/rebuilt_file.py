"""One file that was rebuilt from records: which of its lines are known, and what the place of the next one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import field

from otelmig.inputs.rebuilding.known_lines import Known, KnownLines, digest_of
from otelmig.inputs.rebuilding.succession import Mark, Succession, mark_of, succession
from otelmig.inputs.rotation import Age, written_order
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.inputs.line import Host
    from otelmig.inputs.rebuilding.known_lines import Stretch
    from otelmig.inputs.record import FileKey, LogRecord

__all__ = ["Gap", "Placed", "RebuiltFile", "adjoins"]

_LINE_END: Final = 2
"""Bytes of a line end at most: CR LF."""


class Placed(NamedTuple):
    """A line whose place is known."""

    file: RebuiltFile
    record: LogRecord
    line: int
    """Its number in its file, counted from 1 as text editors do: empty lines, which are not sent, count."""
    position: int
    """Orders the lines of one file: where it begins, in bytes, or what stands for that."""
    lost_before: int = 0
    """How many lines are known to be missing between the line that was given out before and this one."""
    is_late: bool = False
    """Whether it belongs before lines that were given out already."""


class Gap(NamedTuple):
    """Where lines of a file are missing, of which later ones were given out."""

    before: Stretch | None
    """The lines before it, if there are any."""
    after: Stretch
    adjoins: bool
    """Whether the record in question is next to one of the two."""


class RebuiltFile(Struct, kw_only=True, eq=False):
    """One generation of a file: what was written to it from its beginning until it was emptied or replaced."""

    file: FileKey
    """The name that it had first."""
    generation: int
    """The larger, the later it was begun, of the files of one name (its rotations' names are the same)."""
    epoch: str = ""
    """Of its records."""
    host: Host | None = None
    is_filtered: bool = False
    """Whether its sender leaves lines out: nothing that is missing is waited for, or lost."""
    known: KnownLines = field(default_factory=KnownLines)
    paths: set[str] = field(default_factory=set)
    """The names that it had, one after the other."""
    tail: Mark | None = None
    """The last of its lines that were given out; None as long as there is none."""
    line_end: int | None = None
    """Bytes that end its lines, once that is known."""
    lost: int = 0
    """How many of its lines are known to be missing."""
    written_ns: int | None = None
    """The time that the line began with by which it was known first."""
    read_ns: int | None = None
    """When that line was read."""
    waits: Callable[[RebuiltFile], bool] = field(default=lambda _: False)
    """Answers :attr:`is_waiting`."""

    @property
    def key(self) -> str:
        """Tells it from every other file; it says where the file is, so it never leaves the machine."""
        return f"{self.file.host}\n{self.file.path}\n{self.generation}"

    @property
    def age(self) -> Age:
        """What tells how old it is: of its names the one that most rotations were behind is the last one."""
        return Age(min(self.paths or {self.file.path}, key=written_order), self.written_ns, self.read_ns)

    @property
    def is_waiting(self) -> bool:
        """Whether something before its latest record is missing and may still come."""
        return self.waits(self)

    def knows(self, record: LogRecord, digest: str) -> Known:
        """Return what is known of the place at which ``record`` stood."""
        if self.tail is None or (record.offset or 0) > self.tail.offset:
            return Known.UNKNOWN
        return self.known.known(record.offset or 0, digest)

    def succession(self, record: LogRecord) -> tuple[Succession, int]:
        """Return what lies between the last line that was given out and ``record``."""
        if self.tail is None:
            return Succession.NONE, 0
        return succession(self.tail, record, self.line_end)

    def gap_of(self, record: LogRecord) -> Gap | None:
        """Return the gap in which ``record`` stood; None if it stood in none, by its place and its number."""
        offset = record.offset or 0
        after = self.known.stretch_after(offset)
        if after is None or not _fits_before(record, after):
            return None
        before = self.known.stretch_before(offset)
        is_next = adjoins(mark_of(record, offset, 0), after)
        if before is not None:
            kind, _ = succession(before.last, record, self.line_end)
            if kind is Succession.NONE:
                return None
            is_next = is_next or kind is Succession.NEXT
        return Gap(before, after, is_next)

    def add(self, record: LogRecord, digest: str, lost: int, *, adjoins: bool) -> Placed:
        """Return ``record`` as the next line after the last one that was given out, of which ``lost`` are missing.

        It ``adjoins`` that if nothing but line ends lies between the two.
        """
        offset, tail = record.offset or 0, self.tail
        if tail is None:
            line = 1 if offset == 0 else record.number or 1
        else:
            line = tail.line + _step(tail, record, lost)
            gap = offset - tail.end
            if adjoins and line == tail.line + 1 and not tail.slack and gap <= _LINE_END:
                self.line_end = gap
        mark = mark_of(record, offset, line)
        self.known.add(mark, digest, lost, adjoins=adjoins and not lost)
        self.tail = mark
        self.lost += lost
        return Placed(self, record, line, offset, lost)

    def add_late(self, record: LogRecord, digest: str) -> Placed:
        """Return ``record`` as a line that belongs before lines that were given out already."""
        offset = record.offset or 0
        place = self.gap_of(record)
        before = self.known.stretch_before(offset) if place is None else place.before
        after = None if place is None else place.after
        if before is not None:
            line = before.last.line + _step(before.last, record, 0)
        elif after is not None and record.number is not None and after.number is not None and self.tail is not None:
            line = max(record.number + self.tail.line - (self.tail.number or self.tail.line), 1)
        else:
            line = 1
        mark = mark_of(record, offset, line)
        kind = Succession.NONE if before is None else succession(before.last, record, self.line_end)[0]
        self.known.add(mark, digest, 0, adjoins=kind is Succession.NEXT)
        if after is not None:
            if after.lost:
                after.lost -= 1
                self.lost -= 1
            if adjoins(mark, after):
                stretch = self.known.stretch_before(offset)
                if stretch is not None:
                    stretch.lost += after.lost
                    self.known.close(stretch)
        return Placed(self, record, line, offset, 0, is_late=True)

    def add_unordered(self, record: LogRecord) -> Placed:
        """Return ``record``, whose sender does not say where it stood, as the next line."""
        tail = self.tail
        position = 0 if tail is None else tail.offset + 1
        line = position + 1
        self.tail = Mark(position, position + 1, 0, record.number, line, record.received_ns)
        return Placed(self, record, line, position)

    def add_entry(self, record: LogRecord) -> Placed | None:
        """Return an entry of a journal, whose offset counts the entries of all units; None if it is a copy."""
        offset, digest = record.offset or 0, digest_of(record.text)
        is_late = self.tail is not None and offset < self.tail.offset
        if offset in self.known.recent or offset in self.known.first or (is_late and offset < self.known.recent_from):
            return None
        line = 1 if self.tail is None else self.tail.line + 1
        mark = Mark(offset, offset + 1, 0, None, line, record.received_ns)
        if is_late and self.tail is not None:
            self.tail = self.tail._replace(line=line)
        else:
            self.tail = mark
        self.known.add(mark, digest, 0, adjoins=True)
        return Placed(self, record, line, offset, 0, is_late)


def adjoins(mark: Mark, stretch: Stretch) -> bool:
    """Return whether nothing but a line end lies between ``mark`` and ``stretch``."""
    if mark.number is not None and stretch.number is not None and mark.number + 1 != stretch.number:
        return False
    gap = stretch.begin - mark.end
    return gap <= _LINE_END and gap + mark.slack >= 1


def _step(before: Mark, record: LogRecord, lost: int) -> int:
    """Return by how much the number of a record's line is larger than that of one before it."""
    if record.number is None or before.number is None:
        return lost + 1
    step = record.number - before.number
    # each line has at least one byte, its end; otherwise the two were not counted by one
    return step if 1 <= step <= max((record.offset or 0) - before.end + before.slack, 1) else lost + 1


def _fits_before(record: LogRecord, stretch: Stretch) -> bool:
    """Return whether ``record`` can stand before ``stretch``."""
    if record.number is not None and stretch.number is not None and record.number >= stretch.number:
        return False
    return (record.offset or 0) + 1 <= stretch.begin
