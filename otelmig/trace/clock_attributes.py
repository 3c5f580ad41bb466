"""What is known of the two clocks, as attributes: the offset, its proof, what contradicts it, what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.clock.proof import ClockStatus
from otelmig.migration.constraint import Basis
from otelmig.trace.aligned_sides import seconds

if TYPE_CHECKING:
    from otelmig.clock.conflict import Conflict, OffsetStep
    from otelmig.clock.epoch import Epoch
    from otelmig.clock.placement import Placement
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.constraint import Constraint
    from otelmig.trace.aligned_sides import AlignedSides
    from otelmig.trace.span import AttributeValue

__all__ = ["clock_attributes"]


def clock_attributes(
    aligned: AlignedSides, placement: Placement, proof: ClockProof, epoch: Epoch
) -> dict[str, AttributeValue]:
    """For ``receive``: what is known at the end of the downtime, what it assumes, and the lines that it rests on."""
    domains = {side.vmm.domain for side in (aligned.source, aligned.destination) if side is not None}
    found: dict[str, AttributeValue] = {
        "otelmig.clock.status": str(placement.status),
        "otelmig.clock.domain": str(next(iter(domains))) if len(domains) == 1 else "mixed",
        "otelmig.clock.shift": str(epoch.ns - placement.applied_ns),
        "otelmig.clock.constraints": len(proof.constraints),
    }
    if placement.lo_ns is not None or placement.hi_ns is not None:
        found["otelmig.clock.offset.estimate"] = seconds(placement.estimate_ns)
        found |= _bounds(placement)
    if placement.status is ClockStatus.UNSYNCED:
        return found
    found["otelmig.clock.drift.assumed"] = proof.bounds.drift_ppb / 1e9
    if proof.required_ppb is not None:
        found["otelmig.clock.drift.required"] = proof.required_ppb / 1e9
    if proof.conflict is not None:
        found |= _conflict(proof.conflict)
    if proof.settings and "otelmig.clock.evidence.step" not in found:
        setting = proof.settings[0]
        lines = (str(setting.first.where), str(setting.second.where))
        on_source = aligned.source is not None and setting.first in aligned.source.observations
        found |= _step_attributes(lines, *setting.offset_growth(on_source=on_source))
    return found


def _bounds(placement: Placement) -> dict[str, AttributeValue]:
    if placement.bounds is None:
        return {}
    lower, upper = placement.bounds.binding(placement.at_ns)
    found: dict[str, AttributeValue] = {"otelmig.clock.basis": _basis(lower, upper)}
    if placement.lo_ns is not None and lower is not None:
        found["otelmig.clock.offset.min"] = seconds(placement.lo_ns)
        found["otelmig.clock.evidence.min"] = _named(lower)
    if placement.hi_ns is not None and upper is not None:
        found["otelmig.clock.offset.max"] = seconds(placement.hi_ns)
        found["otelmig.clock.evidence.max"] = _named(upper)
    return found


def _basis(*bounds: Constraint | None) -> str:
    """What the tightest bounds rest on: proofs, unless a time service's own claim is one of them."""
    believed = any(bound is not None and bound.basis is Basis.PRIOR for bound in bounds)
    return "believed" if believed else "proved"


def _conflict(conflict: Conflict) -> dict[str, AttributeValue]:
    worst = conflict.worst
    found: dict[str, AttributeValue] = {
        "otelmig.clock.conflict.duration": seconds(conflict.widening_ns),
        "otelmig.clock.conflict.excess": seconds(worst.excess_ns),
        "otelmig.clock.conflict.constraints": conflict.contradicting,
        "otelmig.clock.evidence.conflict": (_named(worst.upper), _named(worst.lower)),
    }
    return found if conflict.step is None else found | _step(conflict.step)


def _step(step: OffsetStep) -> dict[str, AttributeValue]:
    lines = (str(step.last_before.first.where), str(step.first_after.second.where))
    return _step_attributes(lines, step.lo_ns, step.hi_ns)


def _step_attributes(lines: tuple[str, str], lo_ns: int | None, hi_ns: int | None) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {"otelmig.clock.evidence.step": lines}
    if lo_ns is not None:
        found["otelmig.clock.step.min"] = seconds(lo_ns)
    if hi_ns is not None:
        found["otelmig.clock.step.max"] = seconds(hi_ns)
    if lo_ns is not None and hi_ns is not None:
        found["otelmig.clock.step.duration"] = seconds((lo_ns + hi_ns) // 2)
    return found


def _named(constraint: Constraint) -> str:
    """The two lines that a constraint rests on, and its rule."""
    return f"{constraint.lines} ({constraint.rule})"
