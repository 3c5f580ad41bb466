"""Two sides compared: the candidate for a migration that they are, or why they are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.drift import SLEWED_PPB
from otelmig.clock.placement import place
from otelmig.clock.proof import prove_between
from otelmig.migration.stamp import ClockDomain
from otelmig.pairing.agreement import PairingBasis, contradiction, indications, same_endpoint, same_vm
from otelmig.pairing.migration import Migration
from otelmig.units import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side

__all__ = ["AGREE_NS", "SAME_PROCESS", "Candidate", "Mismatch", "compare", "have_wall_clocks", "in_spite_of_clocks"]

SAME_PROCESS: Final = "the same process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Two sides that may be one migration."""

    source: Side
    destination: Side
    constraints: Sequence[Constraint]
    reasons: tuple[str, ...]
    prefers: tuple[bool, ...] = (False, False)
    """Whether it is the same VM, and whether the two wall clocks agree as those of synchronised hosts do."""

    def migration(self, clock: ClockOptions, *, asserted: bool) -> Migration:
        """Return the migration that these two are, with all that is known of their clocks."""
        measured = clock.measured if have_wall_clocks(self.source, self.destination) else ()
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
        """Return the strongest evidence; a pair that only the caller asserts says so, whatever else is alike."""
        if same_vm(self.source, self.destination) is True:
            return PairingBasis.IDENTITY
        if asserted:
            return PairingBasis.ASSERTED
        if same_endpoint(self.source, self.destination) is not None:
            return PairingBasis.ENDPOINT
        return PairingBasis.CLOCKS if self.prefers[1] else PairingBasis.ASSUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Why two sides are not one migration."""

    reason: str
    by_clocks: bool = False
    """Whether only their clocks exclude it."""


def compare(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions
) -> Candidate | Mismatch:
    """Return the candidate that these two are, or in a few words why they cannot be one migration."""
    if source.vmm.key == destination.vmm.key:
        return Mismatch(reason=SAME_PROCESS)
    if source.vmm.system != destination.vmm.system:
        return Mismatch(reason="another hypervisor")
    reason = contradiction(source, destination)
    if reason is not None:
        return Mismatch(reason=reason)
    constraints = hypervisors[source.vmm.system].constraints(source, destination)
    agreed = indications(source, destination)
    same = same_vm(source, destination) is True
    if not constraints:
        wall = have_wall_clocks(source, destination)
        return Mismatch(reason="no line of one must come before a line of the other", by_clocks=wall)
    bounds = clock_bounds(constraints, drift_ppb=max(clock.drift_ppb, SLEWED_PPB))
    if bounds.contradiction is not None:
        worst = bounds.contradiction
        reason = (
            f"no clock offset fits: {worst.upper.lines} and {worst.lower.lines} exclude each other by "
            f"{worst.excess_ns / MILLISECOND_NS:.1f} ms"
        )
        return Mismatch(reason=reason, by_clocks=True)
    at = source.observations[-1].stamp.ns
    lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
    near = lo is not None and hi is not None and lo <= AGREE_NS and hi >= -AGREE_NS
    return Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(f"{len(constraints)} constraints agree on one clock offset", *agreed),
        prefers=(same, near and have_wall_clocks(source, destination)),
    )


def in_spite_of_clocks(source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor]) -> Candidate:
    """Return the candidate that two sides are whose clocks contradict each other."""
    constraints = hypervisors[source.vmm.system].constraints(source, destination)
    return Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(
            "their clocks contradict each other" if constraints else "nothing orders their lines",
            *indications(source, destination),
        ),
    )


def have_wall_clocks(source: Side, destination: Side) -> bool:
    """Return whether both sides have wall clocks."""
    return source.vmm.domain is destination.vmm.domain is ClockDomain.REALTIME


AGREE_NS: Final = SECOND_NS
"""Wall clocks that are kept by NTP differ by less; only used to choose between pairs that are all possible."""
