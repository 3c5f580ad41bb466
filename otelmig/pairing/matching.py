"""Which possible pairs are the only way to match what is there: a graph of sources and destinations."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


__all__ = ["Edge", "groups", "unique_matching"]

Edge = tuple[int, int]
"""The numbers of a source and of a destination that may belong together."""


def unique_matching(
    edges: set[Edge], preferences: Sequence[set[Edge]], unfinished: frozenset[int] = frozenset()
) -> tuple[dict[int, int], set[Edge]]:
    """Return the pairs that are the only way to match, and the edges among which more than one way is left.

    Within each connected group a side with a single partner takes it, as long as that leaves nobody without one:
    a matching that covers the group is unique exactly if this goes on until nobody is left. Groups for which it
    does not are tried once more with the edges of each of ``preferences`` only, in turn. ``unfinished`` are sources
    with more edges than are given, the preferred ones first: where a preference leaves out none of them, more may be
    preferred.
    """
    accepted: dict[int, int] = {}
    ambiguous: set[Edge] = set()
    for group in groups(edges):
        cut = [ends for source, ends in _by_end(group, 0).items() if source in unfinished]
        matchings = (
            _only_matching(group, group & allowed)
            for allowed in (edges, *preferences)
            if not any(ends <= allowed for ends in cut)
        )
        unique = next((matching for matching in matchings if matching is not None), None)
        if unique is None:
            ambiguous |= group
        else:
            accepted.update(unique)
    return accepted, ambiguous


def groups(edges: set[Edge]) -> Iterable[set[Edge]]:
    """Yield the connected components of the graph of candidates."""
    by_row, by_column = _by_end(edges, 0), _by_end(edges, 1)
    # left: edges of no group yet; group: the edges of this one; waiting: those of it whose neighbours are not in yet
    left = set(edges)
    for edge in sorted(edges):
        if edge not in left:
            continue
        group, waiting = {edge}, [edge]
        left.discard(edge)
        while waiting:
            i, j = waiting.pop()
            near = (by_row.pop(i, set()) | by_column.pop(j, set())) & left
            left -= near
            group |= near
            waiting += near
        yield group


def _by_end(edges: Iterable[Edge], end: int) -> dict[int, set[Edge]]:
    by_side: dict[int, set[Edge]] = defaultdict(set)
    for edge in edges:
        by_side[edge[end]].add(edge)
    return by_side


def _only_matching(group: set[Edge], allowed: set[Edge]) -> dict[int, int] | None:
    """Return the matching by ``allowed`` edges that covers the whole group, if there is exactly one."""
    rows, columns = {i for i, _ in group}, {j for _, j in group}
    by_row, by_column = _by_end(allowed, 0), _by_end(allowed, 1)
    matching: dict[int, int] = {}
    leaves = sorted(edge for edge in allowed if len(by_row[edge[0]]) == 1 or len(by_column[edge[1]]) == 1)
    # leaves: edges that are the only one of a row or a column; rows, columns: what is not covered yet;
    # by_row, by_column: the edges that are left
    while leaves and rows and columns:
        i, j = leaves.pop(0)
        if i not in rows or j not in columns:
            continue
        matching[i] = j
        rows.discard(i)
        columns.discard(j)
        for edge in (by_row.pop(i, set()) | by_column.pop(j, set())) - {(i, j)}:
            by_row.get(edge[0], set()).discard(edge)
            by_column.get(edge[1], set()).discard(edge)
            leaves += (
                other
                for ends in (by_row.get(edge[0], set()), by_column.get(edge[1], set()))
                if len(ends) == 1
                for other in ends
            )
    return None if rows or columns else matching
