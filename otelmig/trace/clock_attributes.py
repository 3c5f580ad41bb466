"""What is known of the two clocks, as attributes: the offset, its proof, what contradicts it, what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.clock.proof import ClockStatus
from otelmig.migration.constraint import Basis
from otelmig.trace import attributes as names
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.units import PPB

if TYPE_CHECKING:
    from otelmig.clock.conflict import Conflict, OffsetStep
    from otelmig.clock.epoch import Epoch
    from otelmig.clock.placement import Placement
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.constraint import Constraint
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.span import AttributeValue

__all__ = ["clock_attributes"]


def clock_attributes(
    aligned: AlignedSides, placement: Placement, proof: ClockProof, epoch: Epoch
) -> dict[str, AttributeValue]:
    """Return for ``receive`` what is known at the end of the downtime, what it assumes, and the lines it rests on."""
    domains = {side.vmm.domain for side in (aligned.source, aligned.destination) if side is not None}
    attributes: dict[str, AttributeValue] = {
        names.OTELMIG_CLOCK_STATUS: str(placement.status),
        names.OTELMIG_CLOCK_DOMAIN: str(next(iter(domains))) if len(domains) == 1 else names.MIXED_CLOCKS,
        names.OTELMIG_CLOCK_SHIFT: str(epoch.ns - placement.applied_ns),
        names.OTELMIG_CLOCK_CONSTRAINT_COUNT: len(proof.constraints),
    }
    if placement.lo_ns is not None or placement.hi_ns is not None:
        attributes[names.OTELMIG_CLOCK_OFFSET_ESTIMATE] = seconds(placement.estimate_ns)
        attributes |= _bounds(placement)
    if placement.status is ClockStatus.UNSYNCED:
        return attributes
    attributes[names.OTELMIG_CLOCK_DRIFT_ASSUMED] = proof.bounds.drift_ppb / PPB
    if proof.required_ppb is not None:
        attributes[names.OTELMIG_CLOCK_DRIFT_REQUIRED] = proof.required_ppb / PPB
    if proof.conflict is not None:
        attributes |= _conflict(proof.conflict)
    if proof.steps and names.OTELMIG_CLOCK_EVIDENCE_STEPS not in attributes:
        step = proof.steps[0]
        lines = (str(step.first.where), str(step.second.where))
        attributes |= _step_attributes(lines, *step.offset_growth_ns)
    return attributes


def _bounds(placement: Placement) -> dict[str, AttributeValue]:
    if placement.bounds is None:
        return {}
    lower, upper = placement.bounds.binding(placement.at_ns)
    attributes: dict[str, AttributeValue] = {names.OTELMIG_CLOCK_BASIS: _basis(lower, upper)}
    if placement.lo_ns is not None and lower is not None:
        attributes[names.OTELMIG_CLOCK_OFFSET_MIN] = seconds(placement.lo_ns)
        attributes[names.OTELMIG_CLOCK_EVIDENCE_MIN] = _named(lower)
    if placement.hi_ns is not None and upper is not None:
        attributes[names.OTELMIG_CLOCK_OFFSET_MAX] = seconds(placement.hi_ns)
        attributes[names.OTELMIG_CLOCK_EVIDENCE_MAX] = _named(upper)
    return attributes


def _basis(*bounds: Constraint | None) -> str:
    """Return what the tightest bounds rest on: proofs, unless a time service's own claim is one of them."""
    believed = any(bound is not None and bound.basis is Basis.PRIOR for bound in bounds)
    return names.ClockBasis.BELIEVED if believed else names.ClockBasis.PROVED


def _conflict(conflict: Conflict) -> dict[str, AttributeValue]:
    worst = conflict.worst
    attributes: dict[str, AttributeValue] = {
        names.OTELMIG_CLOCK_CONFLICT_DURATION: seconds(conflict.widening_ns),
        names.OTELMIG_CLOCK_CONFLICT_EXCESS: seconds(worst.excess_ns),
        names.OTELMIG_CLOCK_CONFLICT_CONSTRAINT_COUNT: conflict.contradicting,
        names.OTELMIG_CLOCK_EVIDENCE_CONFLICTS: (_named(worst.upper), _named(worst.lower)),
    }
    return attributes if conflict.step is None else attributes | _step(conflict.step)


def _step(step: OffsetStep) -> dict[str, AttributeValue]:
    lines = (str(step.last_before.first.where), str(step.first_after.second.where))
    return _step_attributes(lines, step.lo_ns, step.hi_ns)


def _step_attributes(lines: tuple[str, str], lo_ns: int | None, hi_ns: int | None) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {names.OTELMIG_CLOCK_EVIDENCE_STEPS: lines}
    if lo_ns is not None:
        attributes[names.OTELMIG_CLOCK_STEP_MIN] = seconds(lo_ns)
    if hi_ns is not None:
        attributes[names.OTELMIG_CLOCK_STEP_MAX] = seconds(hi_ns)
    if lo_ns is not None and hi_ns is not None:
        attributes[names.OTELMIG_CLOCK_STEP_DURATION] = seconds((lo_ns + hi_ns) // 2)
    return attributes


def _named(constraint: Constraint) -> str:
    """Return the two lines that a constraint rests on, and its rule."""
    return f"{constraint.lines} ({constraint.rule})"
