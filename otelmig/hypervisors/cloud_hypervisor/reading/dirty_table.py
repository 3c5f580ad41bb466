"""Readings of the dirty log, as they are printed: many lines, one observation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.migration.observation import Observation

__all__ = ["DirtyTables", "dirty_bytes"]


def dirty_bytes(sizes: Iterable[bytes]) -> int:
    """Return the sum of what rows print in KiB, in bytes."""
    return sum(map(_KIB.__getitem__, sizes)) << 10


class _Numbers(dict[bytes, int]):
    """Numbers by how they are printed: millions of rows print few different ones."""

    def __missing__(self, printed: bytes) -> int:
        if len(self) >= _MOST_NUMBERS:
            self.clear()
        number = self[printed] = int(printed)
        return number


_MOST_NUMBERS: Final = 1 << 14
"""At most this many numbers are remembered."""
_KIB: Final = _Numbers()


@dataclass(slots=True)
class DirtyTables:
    """Gathers the lines of a dirty table (one per run of dirty pages, thousands of them) into one observation.

    The table of each memory slot begins anew; tables that follow each other on one thread are one reading.
    """

    open: dict[str, _Reading] = field(default_factory=dict)

    def add(self, seen: Observation) -> list[Observation]:
        """Return what is complete once ``seen`` is known."""
        reading = self.open.get(seen.thread)
        if seen.kind is not Kind.DIRTY_TABLE:
            if reading is None:
                return [seen]
            del self.open[seen.thread]
            return [reading.whole(), seen]
        if reading is None:
            reading = self.open[seen.thread] = _Reading(first=seen, last=seen)
        size, ranges = seen.number("dirty_bytes"), seen.number("ranges")
        reading.last = seen
        reading.size += size or 0
        reading.ranges += (seen.word("part") == "range") if ranges is None else ranges
        return []

    def flush(self) -> list[Observation]:
        """Return whatever is still open."""
        tables = [reading.whole() for reading in self.open.values()]
        self.open.clear()
        return tables


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One reading of the dirty log, line by line."""

    first: Observation
    last: Observation
    size: int = 0
    ranges: int = 0

    def whole(self) -> Observation:
        """Return all of it as one observation, at its last line's time, in its first line's place."""
        return self.last._replace(
            values={"dirty_bytes": self.size, "ranges": self.ranges},
            since=self.first.since or self.first.stamp,
            where=self.first.where,
        )
