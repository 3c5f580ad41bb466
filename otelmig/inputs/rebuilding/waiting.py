"""Records that wait for what comes before them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort_right
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.inputs.rebuilding.held_records import HeldRecords
from otelmig.inputs.rebuilding.succession import Mark, Succession, is_earlier, mark_of, succession
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.inputs.record import LogRecord

__all__ = ["WaitingRun", "WaitingRuns", "goes_on", "is_next"]

_NEAR: Final = 1 << 12
"""Bytes within which the next line of a file begins, unless thousands of empty lines come before it."""
_FEW: Final = 4
"""So many runs before a record are asked whether it follows them: files of one name are written one after the other."""


class WaitingRun(Struct, eq=False):
    """Records that follow each other, and of which the first does not follow anything that is known."""

    records: list[LogRecord]
    due_s: float | None
    """When it was waited for long enough; None if nobody asked for the time since it was loaded."""
    is_filtered: bool = False
    """Whether its sender left something out between two of them."""
    idents: list[int] = field(default_factory=list)
    """The numbers of the records, by which they are saved."""

    @property
    def first(self) -> LogRecord:
        """The first of them."""
        return self.records[0]

    @property
    def offset(self) -> int:
        """Where the first of them stood."""
        return self.first.offset or 0

    @property
    def tail(self) -> Mark:
        """The place of the last of them; its line is not known."""
        last = self.records[-1]
        return mark_of(last, last.offset or 0, 0)

    def holds(self, record: LogRecord) -> bool:
        """Return whether ``record`` is one of them, sent again: the same text at the same place, read at one time."""
        at = bisect_left(self.records, record.offset or 0, key=lambda held: held.offset or 0)
        if at == len(self.records):
            return False
        there = self.records[at]
        return (there.offset, there.text, there.received_ns) == (record.offset, record.text, record.received_ns)

    def behind(self, offset: int) -> LogRecord | None:
        """Return the first of them that stood behind ``offset``; None if none did."""
        at = bisect_right(self.records, offset, key=lambda record: record.offset or 0)
        return self.records[at] if at < len(self.records) else None

    def join(self, other: WaitingRun) -> None:
        """Add the records of ``other``, which come after these."""
        self.records += other.records
        self.idents += other.idents
        known = [due_s for due_s in (self.due_s, other.due_s) if due_s is not None]
        self.due_s = min(known, default=None)
        self.is_filtered = self.is_filtered or other.is_filtered


class WaitingRuns(Struct, eq=False):
    """What waits under one name."""

    runs: list[WaitingRun] = field(default_factory=list)
    """In the order of their offsets."""
    held: HeldRecords = field(default_factory=HeldRecords)
    """Is told what begins to wait, and what waits no more."""

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __iter__(self) -> Iterator[WaitingRun]:
        return iter(self.runs)

    def add(self, record: LogRecord, due_s: float) -> WaitingRun | None:
        """Let ``record`` wait; return the run that it is part of now. None if it waits already."""
        offset = record.offset or 0
        at = bisect_right(self.runs, offset, key=_offset)
        nearest = self.runs[max(at - _FEW, 0) : at]
        if any(run.holds(record) for run in nearest):
            return None
        for before in reversed(nearest):
            if is_next(before.tail, record):
                return self.extend(before, record)
        run = WaitingRun([record], due_s, idents=[self.held.begin(record, None)])
        self._join_next(run)
        self._insert(run)
        return run

    def restore(self, records: Sequence[LogRecord], idents: Sequence[int] = ()) -> WaitingRun:
        """Let ``records`` wait that follow each other, as they did before a restart; those without numbers get some."""
        if not idents:
            restored: list[int] = []
            for record in records:
                restored.append(self.held.begin(record, restored[-1] if restored else None))
            idents = restored
        places = [mark_of(record, record.offset or 0, 0) for record in records]
        is_filtered = any(
            succession(place, record, None)[0] is not Succession.NEXT
            for place, record in zip(places, records[1:], strict=False)
        )
        run = WaitingRun(list(records), None, is_filtered, list(idents))
        self._insert(run)
        return run

    def _insert(self, run: WaitingRun) -> None:
        insort_right(self.runs, run, key=_offset)

    def extend(self, run: WaitingRun, record: LogRecord) -> WaitingRun:
        """Let ``record`` wait as the last of ``run``; return it."""
        if succession(run.tail, record, None)[0] is not Succession.NEXT:
            run.is_filtered = True
        run.records.append(record)
        run.idents.append(self.held.begin(record, run.idents[-1]))
        self._join_next(run)
        return run

    def remove(self, run: WaitingRun) -> None:
        """Let ``run`` wait no more."""
        self.runs.remove(run)
        self.held.end(zip(run.idents, run.records, strict=True))

    def near(self, offset: int, end: int) -> list[WaitingRun]:
        """Return the runs that begin behind ``offset`` and not far behind ``end``."""
        return self.runs[
            bisect_right(self.runs, offset, key=_offset) : bisect_left(self.runs, end + _NEAR, key=_offset)
        ]

    def until(self, end: int) -> list[WaitingRun]:
        """Return the runs that do not begin far behind ``end``."""
        return self.runs[: bisect_left(self.runs, end + _NEAR, key=_offset)]

    def before(self, begin: int) -> list[WaitingRun]:
        """Return the last runs that begin before ``begin``."""
        at = bisect_left(self.runs, begin, key=_offset)
        return self.runs[max(at - _FEW, 0) : at]

    def _join_next(self, run: WaitingRun) -> None:
        tail = run.tail
        after = next((near for near in self.near(tail.offset, tail.end) if is_next(tail, near.first)), None)
        if after is not None:
            self.runs.remove(after)
            self.held.follow(after.idents[0], after.first, run.idents[-1])
            run.join(after)


def is_next(before: Mark, record: LogRecord, line_end: int | None = None) -> bool:
    """Return whether ``record`` follows ``before``, by its place, its number and when it was read."""
    return goes_on(before, record, line_end) and not is_earlier(record, before)


def goes_on(before: Mark, record: LogRecord, line_end: int | None = None) -> bool:
    """Return whether ``record`` follows ``before``, by its place and its number."""
    return succession(before, record, line_end)[0] is Succession.NEXT


def _offset(run: WaitingRun) -> int:
    return run.offset
