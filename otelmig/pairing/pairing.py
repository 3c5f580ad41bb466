"""Sides -> migrations: which source belongs to which destination, and why we think so.

Nothing on the wire or in the logs names a migration, so the two stories must tell. A pair is *feasible* if the
modes, ports, sizes and outcomes agree and one clock offset satisfies everything that must have happened before
something else. Pairs are accepted only where they are the one way to match what is there; otherwise the
candidates are named and the user decides (``pairs``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.drift import SLEWED_PPB
from otelmig.clock.options import ClockOptions
from otelmig.clock.placement import place
from otelmig.clock.proof import prove_between
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.pairing.agreement import (
    PairingBasis,
    contradiction,
    indications,
    same_endpoint,
    same_vm,
    was_answered,
)
from otelmig.pairing.matching import Edge, unique_matching

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelmig.clock.placement import Placement
    from otelmig.clock.proof import ClockProof
    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side

__all__ = ["Migration", "Pairing", "pair_sides", "unpaired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One attempt: a source, a destination, or both."""

    source: Side | None
    destination: Side | None
    proof: ClockProof | None
    """What is known of the offset of the destination's clock; None unless both sides are there."""
    placement: Placement | None
    """Where that puts the destination; None unless both sides are there."""
    reasons: tuple[str, ...] = ()
    """Why these two belong together, or why this one stands alone."""
    basis: PairingBasis | None = None
    """The strongest evidence for the pair; None unless both sides are there."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are there, source first."""
        return tuple(side for side in (self.source, self.destination) if side is not None)

    @property
    def reference(self) -> Side:
        """The side whose clock is the trace's timeline: the source, if it is there."""
        return self.sides[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The outcome of comparing every source with every destination."""

    migrations: tuple[Migration, ...]
    notes: tuple[str, ...]
    """What a person must be told: pairs that were possible but not certain, sides that fit nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """Two sides that may be one migration."""

    source: Side
    destination: Side
    constraints: Sequence[Constraint]
    reasons: tuple[str, ...]
    prefers: tuple[bool, ...] = (False, False)
    """Whether it is the same VM, and whether the two wall clocks agree as those of synchronised hosts do."""

    def migration(self, clock: ClockOptions, *, asserted: bool) -> Migration:
        """The migration that these two are, with all that is known of their clocks."""
        measured = clock.measured if _wall_clocks(self.source, self.destination) else ()
        proof = prove_between(self.source, self.destination, (*self.constraints, *measured), drift_ppb=clock.drift_ppb)
        return Migration(
            source=self.source,
            destination=self.destination,
            proof=proof,
            placement=place(self.source, self.destination, proof, clock.mode),
            reasons=(*(("named by the caller",) if asserted else ()), *self.reasons),
            basis=self._basis(asserted=asserted),
        )

    def _basis(self, *, asserted: bool) -> PairingBasis:
        """The strongest evidence; a pair that only the caller asserts says so, whatever else is alike."""
        if same_vm(self.source, self.destination) is True:
            return PairingBasis.IDENTITY
        if asserted:
            return PairingBasis.ASSERTED
        if same_endpoint(self.source, self.destination) is not None:
            return PairingBasis.ENDPOINT
        return PairingBasis.CLOCKS if self.prefers[1] else PairingBasis.ASSUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """Why two sides are not one migration."""

    reason: str
    by_clocks: bool = False
    """Whether only their clocks exclude it."""


def pair_sides(
    sides: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    chosen: Sequence[tuple[str, str]] = (),
    clock: ClockOptions | None = None,
) -> Pairing:
    """Match ``sides``; ``chosen`` are pairs of names that the user asserts.

    An asserted pair whose clocks contradict each other is taken, with its conflict.

    Raises:
        UsageError: a name in ``chosen`` is unknown, or the stories of the two exclude each other.
    """
    clock = clock or ClockOptions()
    sources = [side for side in sides if side.role is Role.SOURCE]
    destinations = [side for side in sides if side.role is Role.DESTINATION]
    forced = dict(_forced(chosen, sources, destinations))
    verdicts = dict(_verdicts(sources, destinations, hypervisors, clock))
    for i, j in forced.items():
        verdicts[i, j] = _asserted(sources[i], destinations[j], hypervisors, clock)
    candidates = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, _Candidate)}
    refusals = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, _Refusal)}
    accepted, ambiguous = unique_matching(
        {edge for edge in candidates if not any((i == edge[0]) != (j == edge[1]) for i, j in forced.items())},
        tuple({edge for edge, found in candidates.items() if found.prefers[k]} for k in range(2)),
    )
    settled = set(accepted.items()) | ambiguous
    rows, columns = {i for i, _ in settled}, {j for _, j in settled}
    left = [edge for edge, why in refusals.items() if why.by_clocks and edge[0] not in rows and edge[1] not in columns]
    stepped = _stepped((sources, destinations), left, hypervisors, clock)
    candidates |= stepped
    accepted |= unique_matching(set(stepped), ())[0]
    migrations = []
    for (i, j), found in sorted(candidates.items()):
        if accepted.get(i) == j:
            migrations.append(found.migration(clock, asserted=i in forced))
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


def _asserted(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions
) -> _Candidate:
    """The pair that the user named, whatever their clocks say."""
    verdict = _compare(source, destination, hypervisors, clock)
    if isinstance(verdict, _Candidate):
        return verdict
    if not verdict.by_clocks:
        raise UsageError(f"`pairs` {source.name}={destination.name}: {verdict.reason}")
    return _in_spite_of_clocks(source, destination, hypervisors)


def _in_spite_of_clocks(source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor]) -> _Candidate:
    constraints = hypervisors[source.vmm.system].constraints(source, destination)
    return _Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(
            "their clocks contradict each other" if constraints else "nothing orders their lines",
            *indications(source, destination),
        ),
    )


def _stepped(
    sides: tuple[Sequence[Side], Sequence[Side]],
    edges: Iterable[Edge],
    hypervisors: Mapping[str, Hypervisor],
    clock: ClockOptions,
) -> dict[Edge, _Candidate]:
    """The ``edges`` that one step of a wall clock reconciles, and that enough else speaks for."""
    found = {}
    for i, j in edges:
        source, destination = sides[0][i], sides[1][j]
        same = same_vm(source, destination) is True
        if not same and (not _wall_clocks(source, destination) or same_endpoint(source, destination) is None):
            continue
        candidate = _in_spite_of_clocks(source, destination, hypervisors)
        proof = prove_between(source, destination, candidate.constraints, drift_ppb=clock.drift_ppb)
        step = None if proof.conflict is None else proof.conflict.step
        if step is not None and (same or step.least_ns <= _AGREE_NS):
            found[i, j] = candidate
    return found


def _by_side(edges: Iterable[Edge], position: int) -> dict[int, list[int]]:
    """For each side at one end of ``edges`` those at the other end, the first few of them in order."""
    found: dict[int, list[int]] = defaultdict(list)
    for edge in sorted(edges):
        if len(found[edge[position]]) < _NAMED:
            found[edge[position]].append(edge[1 - position])
    return found


def _edge(own: int, other: int, position: int) -> Edge:
    return (own, other) if position == 0 else (other, own)


_NAMED: Final = 8
"""So many of the sides that are not, or not surely, a partner are named."""


def _verdicts(
    sources: Sequence[Side],
    destinations: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    clock: ClockOptions,
) -> Iterable[tuple[Edge, _Candidate | _Refusal]]:
    """Compare every source with every destination, the nearest in time first; who fits many has no one partner."""
    for i, source in enumerate(sources):
        fits = 0
        for j in sorted(range(len(destinations)), key=lambda k: _apart(source, destinations[k])):
            if fits >= _MANY:
                break
            verdict = _compare(source, destinations[j], hypervisors, clock)
            fits += isinstance(verdict, _Candidate)
            yield (i, j), verdict


_MANY: Final = 32
"""Whoever has so many possible partners is paired with none of them by what follows: no more are looked for."""


def _apart(source: Side, destination: Side) -> int:
    """How far two sides lie apart by their wall clocks; 0 where they have none."""
    if not _wall_clocks(source, destination):
        return 0
    return abs(source.observations[0].stamp.ns - destination.observations[-1].stamp.ns)


def unpaired(side: Side, reasons: tuple[str, ...] = ()) -> Migration:
    """A side that stands alone, and why."""
    source, destination = (side, None) if side.role is Role.SOURCE else (None, side)
    return Migration(source=source, destination=destination, proof=None, placement=None, reasons=reasons)


def _alone(side: Side, others: Sequence[Side], possible: Sequence[str], refused: Mapping[int, str]) -> tuple[str, ...]:
    """Why ``side`` has no partner, as far as there is something to say."""
    if possible:
        return (f"several partners are possible: {', '.join(possible)}; name one with `pairs`",)
    if side.role is Role.SOURCE and not was_answered(side):
        return ()
    return tuple(f"{others[k].name}: {why}" for k, why in sorted(refused.items()) if why != _SAME_PROCESS)


_SAME_PROCESS: Final = "the same process"


def _compare(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions
) -> _Candidate | _Refusal:
    """The candidate that these two are, or in a few words why they cannot be one migration."""
    if source.vmm.key == destination.vmm.key:
        return _Refusal(reason=_SAME_PROCESS)
    if source.vmm.system != destination.vmm.system:
        return _Refusal(reason="another hypervisor")
    reason = contradiction(source, destination)
    if reason is not None:
        return _Refusal(reason=reason)
    constraints = hypervisors[source.vmm.system].constraints(source, destination)
    agreed = indications(source, destination)
    same = same_vm(source, destination) is True
    if not constraints:
        wall = _wall_clocks(source, destination)
        return _Refusal(reason="no line of one must come before a line of the other", by_clocks=wall)
    bounds = clock_bounds(constraints, drift_ppb=max(clock.drift_ppb, SLEWED_PPB))
    if bounds.contradiction is not None:
        worst = bounds.contradiction
        reason = (
            f"no clock offset fits: {worst.upper.lines} and {worst.lower.lines} exclude each other by "
            f"{worst.excess_ns / 1e6:.1f} ms"
        )
        return _Refusal(reason=reason, by_clocks=True)
    at = source.observations[-1].stamp.ns
    lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
    near = lo is not None and hi is not None and lo <= _AGREE_NS and hi >= -_AGREE_NS
    return _Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(f"{len(constraints)} constraints agree on one clock offset", *agreed),
        prefers=(same, near and _wall_clocks(source, destination)),
    )


def _wall_clocks(source: Side, destination: Side) -> bool:
    return source.vmm.domain is destination.vmm.domain is ClockDomain.REALTIME


_AGREE_NS: Final = 10**9
"""Wall clocks that are kept by NTP differ by less; only used to choose between pairs that are all possible."""


def _forced(
    chosen: Iterable[tuple[str, str]], sources: Sequence[Side], destinations: Sequence[Side]
) -> Iterable[tuple[int, int]]:
    for source_name, destination_name in chosen:
        yield _named(source_name, sources, "source"), _named(destination_name, destinations, "destination")


def _named(name: str, sides: Sequence[Side], role: str) -> int:
    found = [index for index, side in enumerate(sides) if side.name == name]
    if len(found) != 1:
        names = ", ".join(side.name for side in sides) or "none"
        known = [side.name for side in sides]
        raise UsageError(f"`pairs`: no {role} is called {name!r} (there are: {names})", unknown=name, known=known)
    return found[0]
