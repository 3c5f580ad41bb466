"""Copies of a file's first lines: they may be the beginning of another file that begins alike.

A hypervisor that is started again prints the same banner; only what follows tells the two files apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.inputs.rebuilding.known_lines import Known, digest_of
from otelmig.inputs.rebuilding.succession import mark_of
from otelmig.inputs.rebuilding.waiting import goes_on, is_next
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs.rebuilding.rebuilt_file import RebuiltFile
    from otelmig.inputs.rebuilding.succession import Mark
    from otelmig.inputs.record import LogRecord

__all__ = ["CopiedLines", "CopiedRun", "adjoins_copy", "begins"]

_MOST_ALIKE: Final = 64
"""Where so many lines are copies, the file is the same."""
_MOST_RUNS: Final = 8
_LONGEST: Final = 1 << 14
"""Bytes of a line that may be kept."""


class CopiedRun(Struct, eq=False):
    """Copies of lines of one file that follow each other."""

    original: RebuiltFile
    records: list[LogRecord]
    """All of them; none once it is sure that they are copies."""
    tail: Mark

    @property
    def begins(self) -> bool:
        """Whether they may be the beginning of another file."""
        return bool(self.records) and begins(self.records[0])

    def continues(self, other: CopiedRun) -> bool:
        """Return whether they go on where ``other`` ends."""
        return bool(self.records) and adjoins_copy(other.tail, self.records[0], self.original.line_end)


class CopiedLines(Struct, eq=False):
    """The copies that came in under one name, as far as they may still be something else."""

    runs: list[CopiedRun] = field(default_factory=list)

    def add(self, original: RebuiltFile, record: LogRecord, before: LogRecord | None) -> CopiedRun | None:
        """Add a copy of a line of ``original``; return the run that it is part of now, if it can be anything else.

        ``before`` came before it in one batch, if one did.
        """
        offset = record.offset or 0
        read = original.known.first.get(offset)
        if read is not None and read[1] == record.received_ns is not None:
            return None  # the same record, sent again
        runs = [run for run in self.runs if run.original is original]
        if any(record in run.records for run in runs):
            return None
        after = before and before.offset
        fitting = [run for run in runs if adjoins_copy(run.tail, record, original.line_end) or run.tail.offset == after]
        if fitting:
            run = max(fitting, key=lambda run: is_next(run.tail, record, original.line_end))
            self._extend(run, [record])
        elif read is None or record.size > _LONGEST:
            return None
        else:
            run = CopiedRun(original, [record], mark_of(record, offset, 1))
            self.runs.append(run)
            del self.runs[:-_MOST_RUNS]
        while following := [other for other in self.runs if other.original is original and other.continues(run)]:
            self.runs.remove(following[0])
            self._extend(run, following[0].records)
        return run

    def follows(self, original: RebuiltFile, record: LogRecord) -> bool:
        """Return whether ``record`` follows copies that began where ``original`` begins."""
        return any(run.original is original and is_next(run.tail, record, original.line_end) for run in self.runs)

    def other_beginning(self, record: LogRecord) -> CopiedRun | None:
        """Return what looked like copies and goes on with ``record``, where the original goes on otherwise."""
        digest = digest_of(record.text)
        for run in self.runs:
            original = run.original
            is_other = run.begins and original.knows(record, digest) is Known.OTHER
            if is_other and adjoins_copy(run.tail, record, original.line_end):
                return run
        return None

    @staticmethod
    def _extend(run: CopiedRun, records: list[LogRecord]) -> None:
        run.tail = mark_of(records[-1], records[-1].offset or 0, 1)
        if run.records:
            run.records += records
        if len(run.records) > _MOST_ALIKE or any(record.size > _LONGEST for record in records):
            run.records.clear()


def adjoins_copy(before: Mark, record: LogRecord, line_end: int | None = None) -> bool:
    """Return whether ``record`` follows a copy: of lines that are the same, either number may be the other file's."""
    return goes_on(before, record, line_end) or goes_on(before._replace(number=None), record, line_end)


def begins(record: LogRecord) -> bool:
    """Return whether ``record`` is the first of its file that is not empty: as many line feeds as lines before it."""
    return record.offset == 0 or (record.number is not None and record.offset == record.number - 1)
