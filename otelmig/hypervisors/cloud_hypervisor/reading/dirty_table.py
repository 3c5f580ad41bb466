"""Readings of the dirty log, as they are printed: many lines, one observation."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.migration.observation import Observation

__all__ = ["DirtyTables", "dirty_bytes", "table_of"]


def table_of(*rows: Observation) -> Observation:
    """Return the table that consists of these rows, or of a table and more of its rows."""
    reading = _Reading(first=rows[0], last=rows[0])
    for row in rows:
        reading.take(row)
    return reading.whole()


def dirty_bytes(sizes: Iterable[bytes]) -> int:
    """Return the sum of what rows print in KiB, in bytes."""
    return sum(map(_KIB.__getitem__, sizes)) << 10


def _size_of(row: Observation) -> tuple[int, int]:
    """Return the bytes and the number of ranges of a row, or of several that were taken together."""
    size, ranges = row.number("dirty_bytes"), row.number("ranges")
    return size or 0, int(row.word("part") == "range") if ranges is None else ranges


class _Numbers(dict[bytes, int]):
    """Numbers by how they are printed: millions of rows print few different ones."""

    def __missing__(self, printed: bytes) -> int:
        if len(self) >= _MOST_NUMBERS:
            self.clear()
        number = self[printed] = int(printed)
        return number


_MOST_LATE: Final = 4
"""At most this many rows of a table stand before a line that ends the table before them."""
_MOST_NUMBERS: Final = 1 << 14
"""At most this many numbers are remembered."""
_KIB: Final = _Numbers()


class DirtyTables(Struct):
    """Gathers the lines of a dirty table (one per run of dirty pages, thousands of them) into one observation.

    The table of each memory slot begins anew; tables that follow each other on one thread are one reading.
    """

    open: dict[str, _Reading] = field(default_factory=dict)

    def add(self, observation: Observation) -> list[Observation]:
        """Return what is complete once ``observation`` is known."""
        reading = self.open.get(observation.thread)
        if observation.kind is not Kind.DIRTY_TABLE:
            if reading is None:
                return [observation]
            del self.open[observation.thread]
            return [reading.whole(), observation]
        if reading is None:
            reading = self.open[observation.thread] = _Reading(first=observation, last=observation)
        reading.take(observation)
        return []

    def add_late(self, observation: Observation) -> list[Observation]:
        """Return what is complete once ``observation`` is known; it is no row, and may follow rows of a later table."""
        reading = self.open.get(observation.thread)
        if reading is None or observation.stamp.ns >= reading.last.stamp.ns:
            return self.add(observation)
        if observation.stamp.ns < (reading.first.since or reading.first.stamp).ns:
            return [observation]
        later = reading.without_later(observation.stamp.ns)
        complete = self.add(observation)
        for row in later:
            self.add(row)
        return complete

    def flush(self) -> list[Observation]:
        """Return whatever is still open."""
        tables = [reading.whole() for reading in self.open.values()]
        self.open.clear()
        return tables


class _Reading(Struct, kw_only=True):
    """One reading of the dirty log, line by line."""

    first: Observation
    last: Observation
    size: int = 0
    ranges: int = 0
    has_begun: bool = False
    """Whether a line says that ranges follow."""
    recent: deque[Observation] = field(default_factory=lambda: deque(maxlen=_MOST_LATE))

    def take(self, observation: Observation) -> None:
        """Add a row, or several that were taken together."""
        size, ranges = _size_of(observation)
        if observation.stamp.ns >= self.last.stamp.ns:
            self.last = observation
        self.size += size
        self.ranges += ranges
        self.has_begun = self.has_begun or observation.word("part") == "begin"
        self.recent.append(observation)

    def without_later(self, ns: int) -> list[Observation]:
        """Take out the latest rows that are stamped after ``ns``: what stands there in truth ends the table."""
        later = [row for row in self.recent if row.stamp.ns > ns]
        rows = [row for row in self.recent if row.stamp.ns <= ns]
        if not rows:
            return []
        self.recent = deque(rows, maxlen=_MOST_LATE)
        self.last = rows[-1]
        for row in later:
            size, ranges = _size_of(row)
            self.size -= size
            self.ranges -= ranges
        return later

    def whole(self) -> Observation:
        """Return all of it as one observation, at the time and in the place of its last line.

        A table whose lines are missing says nothing of what is dirty: it is not empty.
        """
        are_missing = self.has_begun and not self.ranges
        where, more = self.last.where, (self.last.number("ranges") or 1) - 1  # of a run, the place of its first line
        return replace(
            self.last,
            values={} if are_missing else {"dirty_bytes": self.size, "ranges": self.ranges},
            since=self.first.since or self.first.stamp,
            where=replace(where, line=where.line + more),
        )
