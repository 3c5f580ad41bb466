"""Readings of the dirty log, as they are printed: many lines, one observation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from otelmig.observation import Kind, Observation

__all__ = ["DirtyTables"]


@dataclass(slots=True)
class DirtyTables:
    """Gathers the lines of a dirty table (one per run of dirty pages, thousands of them) into one observation.

    The table of each memory slot begins anew; tables that follow each other on one thread are one reading.
    """

    open: dict[str, Observation] = field(default_factory=dict)

    def add(self, seen: Observation) -> list[Observation]:
        """What is complete once ``seen`` is known."""
        table = self.open.get(seen.thread)
        if seen.kind is not Kind.DIRTY_TABLE:
            if table is None:
                return [seen]
            del self.open[seen.thread]
            return [table, seen]
        size, ranges = seen.number("dirty_bytes") or 0, seen.number("ranges")
        if ranges is None:
            ranges = 1 if seen.word("part") == "range" else 0
        since = seen.since or seen.stamp
        where = seen.where
        if table is not None:
            size += table.number("dirty_bytes") or 0
            ranges += table.number("ranges") or 0
            since, where = table.since or since, table.where
        self.open[seen.thread] = replace(seen, values={"dirty_bytes": size, "ranges": ranges}, since=since, where=where)
        return []

    def flush(self) -> list[Observation]:
        """Whatever is still open."""
        tables = list(self.open.values())
        self.open.clear()
        return tables
