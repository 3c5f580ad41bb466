"""Cloud Hypervisor: its log forms, messages, events, and what must happen before what.

``log_format`` (line forms) -> ``reading.records`` -> ``messages`` and ``events`` (the tables, looked up in
``reading.message_index``) -> ``reading.log`` and ``beside`` (one stream each) -> ``attempts`` -> ``processes`` (streams
joined) -> ``facts`` -> sides; ``reader`` feeds them all, ``causality`` relates the two sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.causality.clock_fit import length_ns, no_offset_fits
from otelmig.hypervisors.cloud_hypervisor.causality.compatibility import incompatibility
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import constraints_between
from otelmig.hypervisors.cloud_hypervisor.log_format import DEFAULT_BEGIN, compile_log_format
from otelmig.hypervisors.cloud_hypervisor.reader import CloudHypervisorReader, is_beside_logs
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted, written_by
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_for
from otelmig.hypervisors.cloud_hypervisor.releases import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.hypervisors.hypervisor import Incompatibility, Reader
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import Head, InputLog, LineFilter
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Role, Side

__all__ = ["CloudHypervisor"]


class CloudHypervisor:
    """The :class:`~otelmig.hypervisors.Hypervisor` of Cloud Hypervisor, v36.0 to HEAD."""

    system = SYSTEM
    line_begin = DEFAULT_BEGIN

    def recognises(self, head: Head, options: LogOptions) -> bool:
        """Return whether a stream that begins like this holds log records, events or statistics of Cloud Hypervisor.

        Raises:
            InputError: it speaks of migrations in lines whose form is not known, or that print no time.
            UsageError: one of the given log formats is none.
        """
        return is_beside_logs(head.data) or reader_for(head, options, None) is not None

    def line_filter(self, head: Head, options: LogOptions, role: Role | None = None) -> LineFilter | None:
        """Return which lines of a log that begins like this say anything; None for what is no log."""
        records = None if is_beside_logs(head.data) else reader_for(head, options, None)
        if records is None:
            return None
        return wanted(records.literals, None if role is None else written_by(role))

    def reader(self, options: LogOptions) -> Reader:
        """Return a reader for the lines of any number of logs, event streams, statistics and crash reports.

        Raises:
            UsageError: a given ``--log-format`` is none that Cloud Hypervisor would take, whether or not it is needed.
        """
        for text in options.log_formats:
            compile_log_format(text)
        return CloudHypervisorReader(options=options)

    def diagnose(self, log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
        """Return what ``log`` is and tells, and which flags of Cloud Hypervisor would tell more."""
        from otelmig.hypervisors.cloud_hypervisor.diagnosis.diagnosis import diagnose  # noqa: PLC0415 - one command needs it

        return diagnose(log, sides, options)

    def constraints(self, source: Side, destination: Side, drift_ppb: int) -> Sequence[Constraint]:
        """Return what must have happened before what, if these two sides are one migration."""
        return constraints_between(source, destination, drift_ppb)

    def no_offset_fits(self, source: Side, destination: Side, drift_ppb: int) -> bool:
        """Return whether the clocks of these two surely exclude each other, told fast."""
        return no_offset_fits(source, destination, drift_ppb)

    def length_ns(self, side: Side) -> int | None:
        """Return what a destination surely took, or the most that a source's partner can have taken."""
        return length_ns(side)

    def incompatibility(self, source: Side, destination: Side) -> Incompatibility | None:
        """Return why these two, by their releases and what they use, do not speak to each other; None if they may."""
        return incompatibility(source, destination)

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        """Return which flags would add to what can be proved of these two sides' clocks."""
        from otelmig.hypervisors.cloud_hypervisor.causality.advice import clock_advice  # noqa: PLC0415 - see above

        return clock_advice(source, destination)
