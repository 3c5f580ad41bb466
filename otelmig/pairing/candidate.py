"""Two sides compared: the candidate for a migration that they are, or why they are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.drift import SLEWED_PPB
from otelmig.clock.placement import place
from otelmig.clock.proof import ClockStatus, prove_between
from otelmig.pairing.agreement import (
    PairingBasis,
    contradiction,
    doubt_of,
    ends_before_the_state,
    indications,
    same_endpoint,
    same_vm,
)
from otelmig.pairing.migration import Migration
from otelmig.pairing.naming import domain_of
from otelmig.pairing.traits.addresses import connects_to
from otelmig.pairing.traits.presence import (
    AGREE_NS,
    IN_TURN_NS,
    TOLERANCE_NS,
    have_wall_clocks,
    presence_of,
    were_at_one_time,
    zero_ns,
)
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side

__all__ = [
    "SAME_PROCESS",
    "Candidate",
    "Mismatch",
    "compare",
    "compare_clocks",
    "exclusion",
    "in_spite_of_clocks",
]

SAME_PROCESS: Final = "the same process"


class Candidate(Struct, frozen=True, kw_only=True):
    """Two sides that may be one migration."""

    source: Side
    destination: Side
    constraints: Sequence[Constraint]
    reasons: tuple[str, ...]
    disagreement_ns: int | None = None
    """By how much the hosts' clocks disagree at least, if this is one migration; None if they do not tell."""

    @property
    def clocks_agree(self) -> bool:
        """Whether both sides say what time it was, as synchronised hosts would."""
        return self.agree_within(AGREE_NS)

    def agree_within(self, most_ns: int) -> bool:
        """Return whether both sides say what time it was, and the hosts' clocks may differ by no more than that."""
        return self.disagreement_ns is not None and self.disagreement_ns <= most_ns

    @property
    def is_timely(self) -> bool:
        """Whether both may have been migrating at one time, as far as they say when.

        Where only the tolerance makes them overlap, their clocks must agree as synchronised ones do.
        """
        if self.disagreement_ns is None or self.clocks_agree:
            return True
        return self.disagreement_ns <= TOLERANCE_NS and were_at_one_time(self.source, self.destination)

    @property
    def is_at_one_time(self) -> bool:
        """Whether both were migrating at one time, by what they say when, so that clocks which hold do not exclude it.

        Of a VM that both name that is any time longer than what well-kept clocks differ by. Of others one must have
        spent half of its time beside the other: migrations that follow each other do not, unless a clock is off by half
        of the shorter one.
        """
        one, other = presence_of(self.source), presence_of(self.destination)
        if one is None or other is None:
            return True
        return one.is_mostly_within(other) or (self.is_one_vm and one.meets(other, within_ns=-IN_TURN_NS))

    @property
    def follow_each_other(self) -> bool:
        """Whether both have wall clocks, and one was hardly migrating when the other was, if these are well kept."""
        return (
            have_wall_clocks(self.source, self.destination)
            and not self.is_at_one_time
            and not self.agree_within(IN_TURN_NS)
        )

    @property
    def is_one_vm(self) -> bool:
        """Whether both print the configuration of the same VM."""
        return same_vm(self.source, self.destination) is True

    @property
    def is_one_domain(self) -> bool:
        """Whether libvirt called the VM of both by one name, at one time."""
        domains = {domain_of(side.vmm) for side in (self.source, self.destination)}
        return None not in domains and len(domains) == 1 and were_at_one_time(self.source, self.destination)

    @property
    def names_the_host(self) -> bool:
        """Whether the source is known to have connected to the destination's host."""
        return connects_to(self.source, self.destination) is True

    def migration(self, clock: ClockOptions, *, asserted: bool) -> Migration:
        """Return the migration that these two are, with all that is known of their clocks."""
        measured = clock.measured if have_wall_clocks(self.source, self.destination) else ()
        proof = prove_between(self.source, self.destination, (*self.constraints, *measured), drift_ppb=clock.drift_ppb)
        placement = place(self.source, self.destination, proof, clock.mode)
        basis = self._basis(asserted=asserted)
        doubt = doubt_of(
            basis,
            same_endpoint(self.source, self.destination),
            at_one_time=were_at_one_time(self.source, self.destination),
        )
        mixed = self.source.vmm.domain is not self.destination.vmm.domain
        if mixed and doubt is not None and not asserted and placement.status is ClockStatus.BOUNDED:
            placement = replace(placement, status=ClockStatus.ASSUMED)
        return Migration(
            source=self.source,
            destination=self.destination,
            proof=proof,
            placement=placement,
            reasons=(*(("named by the caller",) if asserted else ()), *self.reasons),
            basis=basis,
            doubt=doubt,
        )

    def _basis(self, *, asserted: bool) -> PairingBasis:
        """Return the strongest evidence; a pair that only the caller asserts says so, whatever else is alike."""
        if same_vm(self.source, self.destination) is True:
            return PairingBasis.IDENTITY
        if asserted:
            return PairingBasis.ASSERTED
        if same_endpoint(self.source, self.destination) is not None:
            return PairingBasis.ENDPOINT
        return PairingBasis.CLOCKS if self.clocks_agree else PairingBasis.ASSUMED


class Mismatch(Struct, frozen=True, kw_only=True):
    """Why two sides are not one migration."""

    reason: str
    by_clocks: bool = False
    """Whether only their clocks exclude it."""


def compare(
    source: Side,
    destination: Side,
    hypervisors: Mapping[str, Hypervisor],
    clock: ClockOptions,
    *,
    asserted: bool = False,
) -> Candidate | Mismatch:
    """Return the candidate that these two are, or in a few words why they cannot be one migration.

    What is possible but not supported excludes only a pair that neither the caller (``asserted``) names, nor the VM,
    nor an endpoint that both used at one time.
    """
    reason = exclusion(source, destination, hypervisors, asserted=asserted)
    return compare_clocks(source, destination, hypervisors, clock) if reason is None else Mismatch(reason=reason)


def compare_clocks(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions
) -> Candidate | Mismatch:
    """Return the candidate that two sides are that nothing else excludes, or why their clocks do."""
    drift_ppb = max(clock.drift_ppb, SLEWED_PPB)
    constraints = hypervisors[source.vmm.system].constraints(source, destination, drift_ppb)
    agreed = indications(source, destination)
    if not constraints:
        wall = have_wall_clocks(source, destination)
        return Mismatch(reason="no line of one must come before a line of the other", by_clocks=wall)
    bounds = clock_bounds(constraints, drift_ppb=drift_ppb)
    if bounds.contradiction is not None:
        worst = bounds.contradiction
        reason = (
            f"no clock offset fits: {worst.upper.lines} and {worst.lower.lines} exclude each other by "
            f"{worst.excess_ns / MILLISECOND_NS:.1f} ms"
        )
        return Mismatch(reason=reason, by_clocks=True)
    at = source.observations[-1].stamp.ns
    return Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(f"{len(constraints)} constraints agree on one clock offset", *agreed),
        disagreement_ns=_disagreement_ns(source, destination, bounds.lo_ns(at), bounds.hi_ns(at)),
    )


def exclusion(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], *, asserted: bool = False
) -> str | None:
    """Return what excludes the pair, whatever their clocks say; None if nothing does."""
    if source.vmm.key == destination.vmm.key:
        return SAME_PROCESS
    if source.vmm.system != destination.vmm.system:
        return "another hypervisor"
    reason = contradiction(source, destination)
    if reason is not None:
        return reason
    named = asserted or same_vm(source, destination)
    if not named and connects_to(source, destination) is False:
        return "the destination listens on another host"
    named = named or _shared_endpoint(source, destination)
    if not named and ends_before_the_state(source, destination):
        return "the destination's log ends before the state arrived"
    incompatible = hypervisors[source.vmm.system].incompatibility(source, destination)
    if incompatible is None:
        return None
    return incompatible.reason if incompatible.impossible or not named else None


def _shared_endpoint(source: Side, destination: Side) -> bool:
    """Return whether both used one endpoint at one time."""
    return same_endpoint(source, destination) is not None and were_at_one_time(source, destination)


def in_spite_of_clocks(
    source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor], clock: ClockOptions
) -> Candidate:
    """Return the candidate that two sides are whose clocks contradict each other."""
    drift_ppb = max(clock.drift_ppb, SLEWED_PPB)
    constraints = hypervisors[source.vmm.system].constraints(source, destination, drift_ppb)
    return Candidate(
        source=source,
        destination=destination,
        constraints=constraints,
        reasons=(
            "their clocks contradict each other" if constraints else "nothing orders their lines",
            *indications(source, destination),
        ),
    )


def _disagreement_ns(source: Side, destination: Side, lo_ns: int | None, hi_ns: int | None) -> int | None:
    """Return by how much the hosts' clocks disagree at least, if the offset lies between ``lo_ns`` and ``hi_ns``."""
    one, other = zero_ns(source), zero_ns(destination)
    if one is None or other is None or lo_ns is None or hi_ns is None:
        return None
    return max(lo_ns - (one - other), (one - other) - hi_ns, 0)
