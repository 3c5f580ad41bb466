"""Absolute time for paired processes: what ties their epochs together, and what the caller knows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.clock.epoch import EpochOrigin, Tie, epochs
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.pairing.naming import ambiguous, meant_by
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.clock.epoch import Anchor, Epoch
    from otelmig.clock.options import ClockOptions
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["anchored_processes", "epoch_of", "ties_of", "unused"]


def epoch_of(migration: Migration, known: Mapping[str, Epoch]) -> Epoch:
    """Return what places a migration in absolute time; ``known`` are the epochs of all processes, by their keys.

    Where that is a time of receipt, what either process wrote after its last word has no say: a migration that is told
    of while its processes go on stands where it stands afterwards.
    """
    key = migration.reference.vmm.key
    if known[key].origin is not EpochOrigin.RECEIPT:
        return known[key]
    own = epochs([side.vmm for side in migration.sides], ties_of([migration]), {})[key]
    return own if own.origin is EpochOrigin.RECEIPT else known[key]


def ties_of(migrations: Iterable[Migration]) -> Iterator[Tie]:
    """Yield what ties the epochs of the processes of each migration together."""
    for migration in migrations:
        if migration.source is not None and migration.destination is not None and migration.placement is not None:
            yield Tie(
                source=migration.source.vmm,
                destination=migration.destination.vmm,
                offset_ns=migration.placement.applied_ns,
                error_ns=migration.placement.error_ns(migration.placement.at_ns),
            )


def unused(
    migrations: Iterable[Migration], anchored: Mapping[str, Anchor], clock: ClockOptions | None
) -> Iterator[str]:
    """Yield a sentence for each thing that the caller knows of the clocks and these logs have no use for."""
    for migration in migrations:
        for side in migration.sides:
            if side.vmm.domain is ClockDomain.REALTIME and side.vmm.key in anchored:
                yield f"`anchors`: {side.vmm.name} has a wall clock, so nothing else says when it was written"
        source, destination, placement = migration.source, migration.destination, migration.placement
        if source is None or destination is None or placement is None:
            continue
        wall = [side.vmm.domain is ClockDomain.REALTIME for side in migration.sides]
        if clock is not None and clock.measured and not all(wall):
            yield f"{source.name} and {destination.name} are not both on wall clocks: measurements do not count here"
        one, other = anchored.get(source.vmm.key), anchored.get(destination.vmm.key)
        error_ns = placement.error_ns(placement.at_ns)
        if one is not None and other is not None and error_ns is not None and not any(wall):
            apart_ns = abs(other.ns + placement.estimate_ns - one.ns)
            if apart_ns > one.error_ns + other.error_ns + error_ns:
                yield (
                    f"`anchors`: those of {source.name} and {destination.name} contradict the logs by "
                    f"{apart_ns / SECOND_NS:.3f} s; the source's is used"
                )


def anchored_processes(sides: Sequence[Side], anchors: Mapping[str, Anchor]) -> dict[str, Anchor]:
    """Return the anchors by the key of the process they are for."""
    by_key: dict[str, Anchor] = {}
    for name, anchor in anchors.items():
        matching = [side for side in sides if name == str(side.role)]
        if not matching:
            matching = [sides[index] for index in meant_by(name, ((side.vmm.name, side.vmm) for side in sides))]
            names = sorted({side.vmm.name for side in matching})
            if len(names) > 1:
                raise ambiguous("anchors", name, names)
        if sides and not matching:
            known = [*Role, *(side.vmm.name for side in sides)]
            text = f"`anchors`: no side or log is called {name!r} (want source, destination, or a log's name)"
            raise UsageError(text, unknown=name, known=known)
        by_key.update((side.vmm.key, anchor) for side in matching)
    return by_key
