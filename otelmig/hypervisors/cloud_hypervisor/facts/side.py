"""An attempt -> the side that leaves this package: its facts, its identity, and the lines that they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.facts.destination import destination_facts
from otelmig.hypervisors.cloud_hypervisor.facts.incidents import incidents
from otelmig.hypervisors.cloud_hypervisor.facts.source import source_facts
from otelmig.migration.facts import DestinationFacts, SourceFacts, VmConfig
from otelmig.migration.identity import digest_of
from otelmig.migration.side import Role, Side

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import SideState
    from otelmig.migration.vmm import Vmm

__all__ = ["side_of"]

_IDENTIFYING: Final = 3
"""At most this many records of an attempt are its identity."""


def side_of(attempt: AttemptLines, vmm: Vmm, number: int, *, state: SideState, final: bool, lines_lost: int) -> Side:
    """Return what ``attempt``, the ``number``-th of its role in the process ``vmm``, says."""
    on_source = attempt.role is Role.SOURCE
    return Side(
        role=attempt.role,
        vmm=vmm,
        attempt=number,
        result=attempt.result,
        mode=attempt.mode,
        paused_before=attempt.paused_before,
        identity=_identity(attempt, number),
        observations=attempt.observations,
        sent=source_facts(attempt) if on_source else SourceFacts(),
        received=DestinationFacts() if on_source else destination_facts(attempt),
        incidents=incidents(attempt),
        vm=_vm_config(attempt.config),
        state=state,
        final=final,
        lines_lost=lines_lost,
        goes_on=attempt.goes_on,
        record=attempt,
    )


def _identity(attempt: AttemptLines, number: int) -> bytes:
    """Return a digest of the first identifying records as printed; without any, the first stamps have to do."""
    # the journal strips lines
    texts = [observation.text.rstrip() for observation in attempt.observations if observation.text]
    if not texts:  # the log begins in the middle of the attempt
        texts = [
            f"{attempt.role} {observation.kind} {observation.stamp.text}"
            for observation in attempt.observations[:_IDENTIFYING]
        ]
    return digest_of("attempt", *texts[:_IDENTIFYING], str(number))


def _vm_config(observation: Observation | None) -> VmConfig | None:
    if observation is None:
        return None
    return VmConfig(
        id=observation.word("vm_id"),
        memory_bytes=observation.number("memory_bytes"),
        vcpus=observation.number("vcpus"),
        identity=observation.word("identity"),
    )
