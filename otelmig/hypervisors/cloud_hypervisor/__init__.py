"""Cloud Hypervisor: its log forms, messages, events, and what must happen before what.

``log_format`` (line forms) -> ``records`` -> ``messages`` and ``events`` (the tables, looked up in ``lexicon``) ->
``log`` and ``streams`` (one process's story) -> ``processes``; ``happens_before`` relates the two sides of a migration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.attempts import assemble
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import constraints_between
from otelmig.hypervisors.cloud_hypervisor.reading.processes import is_beside_logs, is_one_sided, read_processes
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_for
from otelmig.hypervisors.cloud_hypervisor.releases import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Note, UnparsedLine, Vmm

__all__ = ["CloudHypervisor"]


class CloudHypervisor:
    """The :class:`~otelmig.hypervisors.Hypervisor` of Cloud Hypervisor, v36.0 to HEAD."""

    system = SYSTEM

    def recognises(self, log: InputLog, options: LogOptions) -> bool:
        """Whether ``log`` holds a log record, an event or migration statistics of Cloud Hypervisor."""
        return is_beside_logs(log) or reader_for(log, options) is not None

    def processes(self, inputs: Sequence[InputLog], options: LogOptions) -> Iterable[Vmm | UnparsedLine | Note]:
        """The processes that wrote ``inputs``; each event stream joins the log of its process."""
        return read_processes(inputs, options)

    def attempts(self, process: Vmm) -> Iterable[Side]:
        """The migration attempts of ``process``, in their order."""
        return assemble(process)

    def one_sided(self, inputs: Sequence[InputLog], options: LogOptions) -> bool:
        """Whether ``inputs`` hold sources only, or destinations only."""
        return is_one_sided(inputs, options)

    def diagnose(self, log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
        """What ``log`` is and tells, and which flags of Cloud Hypervisor would tell more."""
        from otelmig.hypervisors.cloud_hypervisor.diagnosis.diagnosis import diagnose  # noqa: PLC0415 - one command needs it

        return diagnose(log, sides, options)

    def constraints(self, source: Side, destination: Side) -> Sequence[Constraint]:
        """What must have happened before what, if these two sides are one migration."""
        return constraints_between(source, destination)

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        """Which flags would add to what can be proved of these two sides' clocks."""
        from otelmig.hypervisors.cloud_hypervisor.causality.advice import clock_advice  # noqa: PLC0415 - see above

        return clock_advice(source, destination)
