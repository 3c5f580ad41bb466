"""Sides of one role that share something, in order of time and of length: a part of the index."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.side import Side
    from otelmig.pairing.traits.presence import Presence

__all__ = ["Entry", "Shelf"]


class Entry(NamedTuple):
    """A side of the index, with what it is found by."""

    number: int
    """Tells it from all others that the index ever had."""
    side: Side
    presence: Presence | None
    length_ns: int | None
    """How long it took; None if that is not known, or excludes nothing."""


_UNKNOWN: Final = 1 << 62
"""Longer than anything takes."""

_Row = list[tuple[int, int, Entry]]
"""Entries in order of a value: the value, the entry's number, the entry."""


class Shelf:
    """Entries that can be asked for by time and by length; what an answer costs depends on what is in it."""

    def __init__(self) -> None:
        self._timed: defaultdict[int, _Row] = defaultdict(list)
        """By the power of two above how long they were migrating (ns): in order of when they began."""
        self._untimed: _Row = []
        """In order of length, those of unknown length last."""

    def add(self, entry: Entry) -> None:
        """Put ``entry`` in its place."""
        row, value = self._row(entry)
        insort(row, (value, entry.number, entry))

    def remove(self, entry: Entry) -> None:
        """Take ``entry``, which is there, out again."""
        row, value = self._row(entry)
        del row[bisect_left(row, (value, entry.number))]

    def __bool__(self) -> bool:
        """Whether there is any entry."""
        return bool(self._untimed) or any(self._timed.values())

    def near(self, presence: Presence, within_ns: int) -> Iterator[Entry]:
        """Yield the entries with a time that is no further than ``within_ns`` from ``presence``."""
        for level, row in self._timed.items():
            first = bisect_left(row, (presence.begin_ns - within_ns - (1 << level),))
            last = bisect_right(row, (presence.end_ns + within_ns, 1 << 62))
            for _, _, entry in row[first:last]:
                if entry.presence is not None and presence.meets(entry.presence, within_ns=within_ns):
                    yield entry

    def nearest(self, presence: Presence, most: int) -> Iterator[Entry]:
        """Yield at most so many entries with a time, those that begin nearest to ``presence`` first."""
        rows = (_outward(row, presence.begin_ns) for row in self._timed.values())
        yield from (entry for _, _, entry in islice(merge(*rows), most))

    def timed(self) -> Iterator[Entry]:
        """Yield all entries with a time."""
        for row in self._timed.values():
            yield from (entry for _, _, entry in row)

    def untimed(self, least_ns: int, most_ns: int) -> Iterator[Entry]:
        """Yield the entries without a time that took ``least_ns`` to ``most_ns``, and those of unknown length."""
        row = self._untimed
        known = bisect_left(row, (_UNKNOWN,))
        yield from (entry for _, _, entry in row[known:])
        yield from (
            entry for _, _, entry in row[bisect_left(row, (least_ns,)) : bisect_left(row, (most_ns + 1,), 0, known)]
        )

    def _row(self, entry: Entry) -> tuple[_Row, int]:
        if entry.presence is None:
            return self._untimed, _UNKNOWN if entry.length_ns is None else entry.length_ns
        lasted = max(entry.presence.end_ns - entry.presence.begin_ns, 0)
        return self._timed[lasted.bit_length()], entry.presence.begin_ns


def _outward(row: _Row, begin_ns: int) -> Iterator[tuple[int, int, Entry]]:
    """Yield the entries of a row of times after how far from ``begin_ns`` each begins, the nearest first."""
    after = bisect_left(row, (begin_ns,))
    before = after - 1
    # row[:before + 1] and row[after:] are left
    while before >= 0 or after < len(row):
        left = begin_ns - row[before][0] if before >= 0 else None
        right = row[after][0] - begin_ns if after < len(row) else None
        if right is None or (left is not None and left < right):
            apart_ns, at, before = left or 0, before, before - 1
        else:
            apart_ns, at, after = right, after, after + 1
        yield apart_ns, row[at][1], row[at][2]
