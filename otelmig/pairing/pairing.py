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
from otelmig.dataclass import dataclass
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.pairing.agreement import (
    may_be_on_both,
    outcomes_differ,
    same_endpoint,
    same_vm,
    was_answered,
)
from otelmig.pairing.candidate import (
    AGREE_NS,
    SAME_PROCESS,
    Candidate,
    Mismatch,
    compare,
    have_wall_clocks,
    in_spite_of_clocks,
)
from otelmig.pairing.matching import Edge, unique_matching
from otelmig.pairing.migration import Migration, unpaired
from otelmig.pairing.naming import ambiguous, meant_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.side import Side

__all__ = ["Pairing", "pair_sides"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The outcome of comparing every source with every destination."""

    migrations: tuple[Migration, ...]
    notes: tuple[str, ...]
    """What a person must be told: pairs that were possible but not certain, sides that fit nobody."""


def pair_sides(
    sides: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    chosen: Sequence[tuple[str, str]],
    clock: ClockOptions | None = None,
) -> Pairing:
    """Match ``sides``; ``chosen`` are pairs of names that the user asserts.

    An asserted pair whose clocks contradict each other is taken, with its conflict.

    Raises:
        UsageError: a name in ``chosen`` is unknown, or the two sides exclude each other.
    """
    clock = clock or ClockOptions()
    sources = [side for side in sides if side.role is Role.SOURCE]
    destinations = [side for side in sides if side.role is Role.DESTINATION]
    forced = dict(_forced(chosen, sources, destinations))
    verdicts = dict(_verdicts(sources, destinations, hypervisors, clock))
    for i, j in forced.items():
        verdicts[i, j] = _asserted(sources[i], destinations[j], hypervisors, clock)
    candidates = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, Candidate)}
    refusals = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, Mismatch)}
    possible_edges = {
        edge for edge in candidates if not any((i == edge[0]) != (j == edge[1]) for i, j in forced.items())
    }
    # a guest on both hosts is what is left once nothing else can be: who has another partner takes that one
    on_both = {
        edge
        for edge in possible_edges
        if forced.get(edge[0]) != edge[1] and outcomes_differ(sources[edge[0]], destinations[edge[1]])
    }
    accepted, ambiguous = unique_matching(
        possible_edges - on_both,
        tuple({edge for edge, candidate in candidates.items() if candidate.prefers[k]} for k in range(2)),
    )
    settled = set(accepted.items()) | ambiguous
    on_both = {(i, j) for i, j in on_both if not any(i == edge[0] or j == edge[1] for edge in settled)}
    more, undecided = unique_matching(on_both, ())
    accepted |= more
    ambiguous |= undecided
    settled |= on_both
    rows, columns = {i for i, _ in settled}, {j for _, j in settled}
    left = [edge for edge, why in refusals.items() if why.by_clocks and edge[0] not in rows and edge[1] not in columns]
    stepped = _stepped((sources, destinations), left, hypervisors, clock)
    candidates |= stepped
    accepted |= unique_matching(set(stepped), ())[0]
    migrations = []
    for (i, j), candidate in sorted(candidates.items()):
        if accepted.get(i) == j:
            migrations.append(candidate.migration(clock, asserted=i in forced))
    notes: list[str] = []
    for position, (own, others, taken) in enumerate(
        ((sources, destinations, set(accepted)), (destinations, sources, set(accepted.values())))
    ):
        possible, refused = _by_side(ambiguous, position), _by_side(refusals, position)
        for k, side in enumerate(own):
            if k in taken:
                continue
            whys = {other: refusals[_edge(k, other, position)].reason for other in refused.get(k, ())}
            reasons = _alone(side, others, [others[other].name for other in possible.get(k, ())], whys)
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


def _edge(own: int, other: int, position: int) -> Edge:
    return (own, other) if position == 0 else (other, own)


_NAMED: Final = 8
"""At most this many rejected or ambiguous partners are named in a note."""


def _verdicts(
    sources: Sequence[Side],
    destinations: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    clock: ClockOptions,
) -> Iterable[tuple[Edge, Candidate | Mismatch]]:
    """Compare every source with every destination, the nearest in time first; who fits many has no one partner."""
    for i, source in enumerate(sources):
        fits = 0
        for j in sorted(range(len(destinations)), key=lambda k: _apart(source, destinations[k])):
            if fits >= _MANY:
                break
            verdict = compare(source, destinations[j], hypervisors, clock)
            fits += isinstance(verdict, Candidate)
            yield (i, j), verdict


_MANY: Final = 32
"""A source is compared no further after this many candidates: it cannot have a unique partner any more."""


def _apart(source: Side, destination: Side) -> int:
    """Return how far two sides lie apart by their wall clocks, in ns; 0 where they have none."""
    if not have_wall_clocks(source, destination):
        return 0
    return abs(source.observations[0].stamp.ns - destination.observations[-1].stamp.ns)


def _alone(side: Side, others: Sequence[Side], possible: Sequence[str], refused: Mapping[int, str]) -> tuple[str, ...]:
    """Return why ``side`` has no partner, as far as there is something to say."""
    if possible:
        return (f"several partners are possible: {', '.join(possible)}; name one with `pairs`",)
    if side.role is Role.SOURCE and not was_answered(side):
        return ()
    return tuple(f"{others[k].name}: {why}" for k, why in sorted(refused.items()) if why != SAME_PROCESS)


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
