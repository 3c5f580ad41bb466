"""Sides -> migrations: which source belongs to which destination, and why we think so.

Nothing on the wire or in the logs names a migration, so the two sides must tell. A pair is *feasible* if the
modes, ports, sizes and outcomes agree and one clock offset satisfies everything that must have happened before
something else. Pairs are accepted only where they are the one way to match what is there; otherwise the
candidates are named and the user decides (``pairs``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from otelmig.clock.options import ClockOptions
from otelmig.clock.proof import prove_between
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.pairing.agreement import (
    may_be_on_both,
    outcomes_differ,
    same_endpoint,
    same_vm,
    was_answered,
)
from otelmig.pairing.candidate import SAME_PROCESS, Candidate, Mismatch, compare, in_spite_of_clocks
from otelmig.pairing.matching import Edge, unique_matching
from otelmig.pairing.migration import Migration, unpaired
from otelmig.pairing.naming import ambiguous, meant_by
from otelmig.pairing.possible_pairs import PossiblePairs
from otelmig.pairing.traits.presence import AGREE_NS, have_wall_clocks
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.side import Side

__all__ = ["Pairing", "pair_sides"]


class Pairing(Struct, frozen=True, kw_only=True):
    """The outcome of comparing sources with destinations."""

    migrations: tuple[Migration, ...]
    notes: tuple[str, ...]
    """What a person must be told: pairs that were possible but not certain, sides that fit nobody."""


def pair_sides(
    sides: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    chosen: Sequence[tuple[str, str]],
    clock: ClockOptions | None = None,
    *,
    clocks_hold: bool = False,
) -> Pairing:
    """Match ``sides``; ``chosen`` are pairs of names that the user asserts.

    An asserted pair whose clocks contradict each other is taken, with its conflict. Where ``clocks_hold``, whoever has
    a time has no partner that was not migrating for most of that time; else clocks may be wrong by any amount, as long
    as nobody shows otherwise.

    Raises:
        UsageError: a name in ``chosen`` is unknown, or the two sides exclude each other.
    """
    clock = clock or ClockOptions()
    sources = [side for side in sides if side.role is Role.SOURCE]
    destinations = [side for side in sides if side.role is Role.DESTINATION]
    forced = dict(_forced(chosen, sources, destinations))
    pairs = PossiblePairs(sources, destinations, hypervisors, clock, clocks_hold=clocks_hold)
    for i, j in forced.items():
        pairs.assert_pair((i, j), _asserted(sources[i], destinations[j], hypervisors, clock))
    candidates = pairs.candidates
    possible_edges = {
        edge for edge in pairs.without_weaker() if not any((i == edge[0]) != (j == edge[1]) for i, j in forced.items())
    }
    # a guest on both hosts is what is left once nothing else can be: who has another partner takes that one
    on_both = {
        edge
        for edge in possible_edges
        if forced.get(edge[0]) != edge[1] and outcomes_differ(sources[edge[0]], destinations[edge[1]])
    }
    accepted, ambiguous = pairs.match(possible_edges - on_both)
    settled = set(accepted.items()) | ambiguous
    on_both = {(i, j) for i, j in on_both if not any(i == edge[0] or j == edge[1] for edge in settled)}
    more, undecided = unique_matching(on_both, ())
    accepted |= more
    ambiguous |= undecided
    settled |= on_both
    rows, columns = {i for i, _ in settled}, {j for _, j in settled}
    left = sorted(edge for edge in pairs.by_clocks if edge[0] not in rows and edge[1] not in columns)
    stepped = _stepped((sources, destinations), left, hypervisors, clock)
    candidates |= stepped
    accepted |= unique_matching(set(stepped), ())[0]
    migrations = []
    for (i, j), candidate in sorted(candidates.items()):
        if accepted.get(i) == j:
            migrations.append(candidate.migration(clock, asserted=i in forced))
    notes: list[str] = []
    alone = len(sides) - 2 * len(accepted)
    most = min(_NAMED, max(1, _NAMED_IN_ALL // max(alone, 1)))
    for position, (own, others, taken) in enumerate(
        ((sources, destinations, set(accepted)), (destinations, sources, set(accepted.values())))
    ):
        possible, at_other_times = _by_side(ambiguous, position), _by_side(pairs.at_other_times, position)
        for k, side in enumerate(own):
            if k in taken:
                continue
            if k in possible:
                reasons = _undecided([others[other].name for other in possible[k]])
            elif k in at_other_times:
                reasons = tuple(f"{others[other].name}: migrated at another time" for other in at_other_times[k])
            else:
                reasons = tuple(_refusals(side, others, hypervisors, clock, most))
            notes += (f"{side.name} is not paired: {reason}" for reason in reasons[:1])
            migrations.append(unpaired(side, reasons))
    return Pairing(migrations=tuple(migrations), notes=tuple(notes))


def _asserted(source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions) -> Candidate:
    """Return the pair that the caller named, whatever their clocks say."""
    verdict = compare(source, destination, hypervisors, clock, asserted=True)
    if isinstance(verdict, Candidate):
        return verdict
    if not verdict.by_clocks and not may_be_on_both(source, destination):
        raise UsageError(f"`pairs` {source.name}={destination.name}: {verdict.reason}")
    return in_spite_of_clocks(source, destination, hypervisors, clock)


def _stepped(
    sides: tuple[Sequence[Side], Sequence[Side]],
    edges: Iterable[Edge],
    hypervisors: Mapping[str, Hypervisor],
    clock: ClockOptions,
) -> dict[Edge, Candidate]:
    """Return the ``edges`` that one step of a wall clock reconciles, and that enough else speaks for."""
    reconciled = {}
    for i, j in edges:
        source, destination = sides[0][i], sides[1][j]
        same = same_vm(source, destination) is True
        if not same and (not have_wall_clocks(source, destination) or same_endpoint(source, destination) is None):
            continue
        candidate = in_spite_of_clocks(source, destination, hypervisors, clock)
        proof = prove_between(source, destination, candidate.constraints, drift_ppb=clock.drift_ppb)
        step = None if proof.conflict is None else proof.conflict.step
        if step is not None and (same or step.least_ns <= AGREE_NS):
            reconciled[i, j] = candidate
    return reconciled


def _by_side(edges: Iterable[Edge], position: int) -> dict[int, list[int]]:
    """Return, for each side at one end of ``edges``, those at the other end, the first few of them in order."""
    partners: dict[int, list[int]] = defaultdict(list)
    for edge in sorted(edges):
        if len(partners[edge[position]]) < _NAMED:
            partners[edge[position]].append(edge[1 - position])
    return partners


_NAMED: Final = 8
"""At most this many rejected or ambiguous partners are named in a note."""
_NAMED_IN_ALL: Final = 1 << 10
"""Where there are very many sides that stand alone, fewer are named for each."""


def _undecided(possible: Sequence[str]) -> tuple[str, ...]:
    """Return that ``possible`` are the partners that a side may have."""
    if len(possible) == 1:
        return (f"a partner is possible, but not certain: {possible[0]}; name it with `pairs`",)
    return (f"several partners are possible: {', '.join(possible)}; name one with `pairs`",)


def _refusals(
    side: Side, others: Sequence[Side], hypervisors: Mapping[str, Hypervisor], clock: ClockOptions, most: int
) -> Iterator[str]:
    """Yield why ``side`` has no partner, for the first of ``others``, as far as there is something to say."""
    if side.role is Role.SOURCE and not was_answered(side):
        return
    for other in others[:most]:
        pair = (side, other) if side.role is Role.SOURCE else (other, side)
        verdict = compare(*pair, hypervisors, clock)
        if isinstance(verdict, Mismatch) and verdict.reason != SAME_PROCESS:
            yield f"{other.name}: {verdict.reason}"


def _forced(
    chosen: Iterable[tuple[str, str]], sources: Sequence[Side], destinations: Sequence[Side]
) -> Iterable[tuple[int, int]]:
    for source_name, destination_name in chosen:
        yield _named(source_name, sources, "source"), _named(destination_name, destinations, "destination")


def _named(name: str, sides: Sequence[Side], role: str) -> int:
    matching = meant_by(name, ((side.name, side.vmm) for side in sides))
    if len(matching) > 1:
        raise ambiguous("pairs", name, [sides[index].name for index in matching])
    if not matching:
        names = ", ".join(side.name for side in sides) or "none"
        known = [side.name for side in sides]
        raise UsageError(f"`pairs`: no {role} is called {name!r} (there are: {names})", unknown=name, known=known)
    return matching[0]
