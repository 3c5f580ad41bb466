"""One package per hypervisor, and the registry of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Note, UnparsedLine, Vmm

__all__ = ["Hypervisor", "hypervisors"]


class Hypervisor(Protocol):
    """What a hypervisor package offers: it reads its own logs and knows what must happen before what."""

    system: str
    """As ``vm.migration.system.name`` names it."""

    def recognises(self, log: InputLog, options: LogOptions) -> bool:
        """Whether this hypervisor wrote ``log``."""

    def processes(self, inputs: Sequence[InputLog], options: LogOptions) -> Iterable[Vmm | UnparsedLine | Note]:
        """The processes whose logs and event streams ``inputs`` are, and the lines that were not understood."""

    def attempts(self, process: Vmm) -> Iterable[Side]:
        """The migration attempts of ``process``, in their order."""

    def one_sided(self, inputs: Sequence[InputLog], options: LogOptions) -> bool:
        """Whether ``inputs`` hold sources only, or destinations only: then nobody has a partner among them."""

    def diagnose(self, log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
        """What ``log`` is and tells, given the attempts found in it, and which flags would tell more."""

    def constraints(self, source: Side, destination: Side) -> Sequence[Constraint]:
        """What causality says about the offset between the two sides' clocks, if they are one migration."""

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        """Sentences: which of its flags would add to what can be proved of these two sides' clocks."""


def hypervisors() -> tuple[Hypervisor, ...]:
    """All hypervisors that otelmig reads, in the order in which they are asked about a file."""
    from otelmig.hypervisors.cloud_hypervisor import CloudHypervisor  # noqa: PLC0415 - its tables load on use

    return (CloudHypervisor(),)
