"""Sources and destinations of different recordings: which of them are paired although nothing makes them one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from trace_invariants import CORPUS, RECORDINGS

from otelmig.hypervisors import hypervisors
from otelmig.migration.side import Role
from otelmig.pairing.pairing import pair_sides
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Unrelated", "unrelated_pairs", "unrelated_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrelated:
    """The source of one recording and the destination of another, taken for one migration."""

    source: str
    """The recording that the source is of."""
    destination: str
    migration: Migration

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


def _sides(name: str, role: Role) -> list[Side]:
    """Everything that one side of a recording says, its event streams included."""
    paths = [path for path in sorted((CORPUS / name).glob(f"{role}*")) if path.name.endswith((".log", ".events.json"))]
    if not paths:
        return []
    return [side for each in read_findings(paths).migrations for side in each.sides if side.role is role]


@cache
def unrelated_pairs() -> tuple[int, tuple[Unrelated, ...]]:
    """Return how many combinations there are, and those in which something was paired."""
    by_system = {each.system: each for each in hypervisors()}
    sources, destinations = ({name: _sides(name, role) for name in RECORDINGS} for role in Role)
    count, pairs = 0, []
    for one, sent in sources.items():
        for other, received in destinations.items():
            if one == other or not sent or not received:
                continue
            count += 1
            pairs += [
                Unrelated(source=one, destination=other, migration=each)
                for each in pair_sides([*sent, *received], by_system, ()).migrations
                if len(each.sides) == len(Role)
            ]
    return count, tuple(pairs)


def unrelated_table() -> str:
    """Return how many pairs there are of each basis and status, as a table in Markdown."""
    count, pairs = unrelated_pairs()
    counts = Counter((str(each.migration.basis), _status(each), each.migration.doubt is not None) for each in pairs)
    lines = ["| `otelmig.pairing.basis` | `otelmig.clock.status` | said to be in doubt | pairs |", "|---|---|---|---|"]
    lines += [
        f"| `{basis}` | `{status}` | {'yes' if doubted else 'no'} | {number} |"
        for (basis, status, doubted), number in sorted(counts.items())
    ]
    return "\n".join([*lines, f"| all, of {count} combinations | | | {len(pairs)} |"])


def _status(pair: Unrelated) -> str:
    placement = pair.migration.placement
    return "" if placement is None else str(placement.status)
