"""Where the numbers of one migration come from: what its clock proof rests on, what is weak in it, what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.conflict import is_excluded
from otelmig.clock.drift import TIERS, least_drift
from otelmig.migration.constraint import Basis
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelmig.clock.bounds import ClockBounds
    from otelmig.clock.proof import ClockProof
    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["BindingConstraint", "Explanation", "Offset", "explain"]

_WORTH_IT: Final = 0.9
"""Advice that leaves more than this of the width is not given."""
_COARSE: Final = 0.25
"""A share of the width from which on the resolution of the stamps is worth a word."""


class Offset(Struct, frozen=True, kw_only=True):
    """What is proved of the offset at one instant of the source; ns, destination minus source."""

    name: str
    """Which instant it is."""
    at_ns: int
    lo_ns: int | None
    hi_ns: int | None
    lower: Constraint | None
    """The constraint that the lower bound rests on."""
    upper: Constraint | None


class BindingConstraint(Struct, frozen=True, kw_only=True):
    """A constraint that bounds the offset somewhere, tighter than all others."""

    constraint: Constraint
    since_start_ns: int
    """Source time since the first line of the attempt."""
    slack_ns: int | None
    """The most that can have passed between its two lines, by the opposite bound there; None if that is open."""


class Explanation(Struct, frozen=True, kw_only=True):
    """What a person needs to judge, and to improve, the proof of one migration's clock offset."""

    least_drift_ppb: int | None
    """The smallest drift at which nothing contradicts; None if none does."""
    offsets: tuple[Offset, ...]
    """At the start, the pause and the end, as far as these were logged."""
    binding: tuple[BindingConstraint, ...]
    """In order of source time."""
    contradicting: tuple[Constraint, ...]
    """Those that exclude another one, in order of source time."""
    bases: dict[Basis, int]
    """How many constraints there are of each kind."""
    drift_ns: int
    """How much of the interval's width at the end is there because the clocks may have drifted since."""
    rounding_ns: int
    """How much is the resolution of stamps."""
    message_ns: int
    """How much is the time that messages, and what the hosts did between line and message, took."""
    advice: tuple[str, ...]
    """What would make the interval narrower."""


def explain(migration: Migration, hypervisor: Hypervisor) -> Explanation | None:
    """Explain a migration of which both sides are known; None for one that has no second clock."""
    source, destination, proof, placement = (
        migration.source,
        migration.destination,
        migration.proof,
        migration.placement,
    )
    if source is None or destination is None or proof is None or placement is None:
        return None
    least = least_drift(proof.constraints)
    bounds = placement.bounds
    start_ns = source.first.ns
    drift_ns, rounding_ns, message_ns = (0, 0, 0) if bounds is None else _width(bounds, placement.at_ns)
    return Explanation(
        least_drift_ppb=None if least is None else least.drift_ppb,
        offsets=() if bounds is None else tuple(_offsets(source, bounds, placement.at_ns)),
        binding=tuple(_binding(bounds, start_ns)) if bounds is not None else (),
        contradicting=_contradicting(proof),
        bases=_count(proof.constraints),
        drift_ns=drift_ns,
        rounding_ns=rounding_ns,
        message_ns=message_ns,
        advice=(
            *hypervisor.clock_advice(source, destination),
            *_advice(migration, bounds, placement.at_ns, rounding_ns),
        ),
    )


def _count(constraints: Iterable[Constraint]) -> dict[Basis, int]:
    counts = dict.fromkeys(Basis, 0)
    for constraint in constraints:
        counts[constraint.basis] += 1
    return {basis: count for basis, count in counts.items() if count}


def _contradicting(proof: ClockProof) -> tuple[Constraint, ...]:
    excluded = [constraint for constraint in proof.constraints if is_excluded(constraint, proof.bounds)]
    return tuple(sorted(excluded, key=lambda constraint: constraint.at_ns))


def _offsets(source: Side, bounds: ClockBounds, end_ns: int) -> Iterator[Offset]:
    begun, paused = source.sent.connecting, source.sent.pause.sign
    instants = [("start", begun.ns)] if begun is not None else []
    instants += [("pause", paused.ns)] if paused is not None else []
    for name, at in (*instants, ("end", end_ns)):
        lower, upper = bounds.binding(at)
        yield Offset(name=name, at_ns=at, lo_ns=bounds.lo_ns(at), hi_ns=bounds.hi_ns(at), lower=lower, upper=upper)


def _binding(bounds: ClockBounds, start_ns: int) -> Iterator[BindingConstraint]:
    for constraint in sorted((*bounds.lowers, *bounds.uppers), key=lambda one: (one.at_ns, one.upper)):
        opposite = bounds.lo_ns(constraint.at_ns) if constraint.upper else bounds.hi_ns(constraint.at_ns)
        slack = None if opposite is None else abs(constraint.bound_ns - opposite)
        yield BindingConstraint(constraint=constraint, since_start_ns=constraint.at_ns - start_ns, slack_ns=slack)


def _width(bounds: ClockBounds, at_ns: int) -> tuple[int, int, int]:
    """Return what the interval's width at ``at_ns`` is made of: drift, rounding, messages; all 0 if a side is open."""
    lower, upper = bounds.binding(at_ns)
    lo, hi = bounds.lo_ns(at_ns), bounds.hi_ns(at_ns)
    if lower is None or upper is None or lo is None or hi is None:
        return 0, 0, 0
    between = upper.bound_ns - lower.bound_ns
    drift = hi - lo - between
    rounding = lower.rounding_ns + upper.rounding_ns
    return drift, rounding, between - rounding


def _advice(migration: Migration, bounds: ClockBounds | None, at_ns: int, rounding_ns: int) -> Iterator[str]:
    proof = migration.proof
    if proof is None or bounds is None:
        return
    width = _span(bounds, at_ns)
    if width is None:
        return
    for tier in ("steady", "conservative"):
        steadier = clock_bounds(proof.constraints, drift_ppb=TIERS[tier])
        narrower = _span(steadier, at_ns)
        if steadier.contradiction is None and narrower is not None and narrower < _WORTH_IT * width:
            widths = f"{narrower / MILLISECOND_NS:.3g} ms wide instead of {width / MILLISECOND_NS:.3g} ms"
            yield f"`ClockOptions.drift_ppb` {tier}, if it is known that neither clock was being slewed: {widths}"
            break
    if rounding_ns > _COARSE * width:
        yield f"finer timestamps: {rounding_ns / MILLISECOND_NS:.3g} ms of the width is their resolution"
    wall = all(side.vmm.domain is ClockDomain.REALTIME for side in migration.sides)
    if wall and not any(constraint.basis is Basis.PROBE for constraint in proof.constraints):
        yield (
            "timed exchanges between the hosts just before and after the migration (`ClockOptions.measured`): as "
            "narrow as their shortest round trip"
        )


def _span(bounds: ClockBounds, at_ns: int) -> int | None:
    lo, hi = bounds.lo_ns(at_ns), bounds.hi_ns(at_ns)
    return None if lo is None or hi is None else hi - lo
