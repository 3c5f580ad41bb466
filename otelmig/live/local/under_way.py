"""Migrations that are under way, as far as the lines say that were read: for whoever looks on."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Final

from otelmig.live.sides import phase_of, side_key
from otelmig.pairing.pairing import pair_sides
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.live.assembly import Assembly
    from otelmig.live.sides import SideKey
    from otelmig.migration.side import Side

__all__ = ["UnderWay", "under_way"]

_MOST: Final = 32
"""At most so many sides are shown."""


class UnderWay(Struct, frozen=True, kw_only=True):
    """One migration."""

    source: Side | None
    destination: Side | None
    age_s: float
    """Seconds since its first line was read."""
    phase: str
    """The name of the span that it is in; ``over`` if its sides have said their last word."""
    iteration: int | None
    """The number of the memory iteration that was acknowledged last."""
    sent_bytes: int | None
    """What was sent so far, as the source says."""
    downtime_estimate_ns: int | None
    """How long the downtime would be, as the source estimated last."""


def under_way(assembly: Assembly, now_s: float) -> list[UnderWay]:
    """Return the migrations that no trace was made of, those that began first at the beginning; of many not all."""
    oldest = nlargest(_MOST, assembly.waiting.reasons(now_s), key=lambda reason: reason[1])
    waiting = [(side, age_s) for one, age_s, _ in oldest if (side := assembly.again(one)) is not None]
    ages = {side_key(side): age_s for side, age_s in waiting}
    migrations = pair_sides([side for side, _ in waiting], assembly.hypervisors, (), clocks_hold=True).migrations
    return sorted(
        (_under_way(migration.source, migration.destination, ages) for migration in migrations),
        key=lambda migration: -migration.age_s,
    )


def _under_way(source: Side | None, destination: Side | None, ages: dict[SideKey, float]) -> UnderWay:
    shown = source or destination
    memory = None if source is None else source.sent.memory
    iterations = () if memory is None else memory.iterations
    figures = [iteration.figures for iteration in iterations if iteration.figures is not None]
    sizes = [one.total_bytes for one in figures if one.total_bytes is not None]
    estimates = [one.downtime_estimate_ns for one in figures if one.downtime_estimate_ns is not None]
    if memory is not None and memory.convergence is not None and memory.convergence.downtime_estimate_ns is not None:
        estimates.append(memory.convergence.downtime_estimate_ns)
    return UnderWay(
        source=source,
        destination=destination,
        age_s=max(ages.get(side_key(side), 0.0) for side in (source, destination) if side is not None),
        phase="" if shown is None else phase_of(shown),
        iteration=iterations[-1].number if iterations else None,
        sent_bytes=sizes[-1] if sizes else None,
        downtime_estimate_ns=estimates[-1] if estimates else None,
    )
