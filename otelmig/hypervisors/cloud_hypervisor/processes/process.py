"""One VMM process, with everything that was read of it: its log, and what was given beside the log."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempts import attempts_in
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import may_be_after_head
from otelmig.hypervisors.hypervisor import EndedProcess
from otelmig.migration.vmm import fingerprint
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt import Attempt
    from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import EventProcess
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.hypervisors.cloud_hypervisor.releases import Releases
    from otelmig.inputs import Stream
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Vmm

__all__ = ["Process"]

_AT_START: Final = 8
"""What a process says of its start stands among so many lines."""


class Process(Struct, frozen=True, kw_only=True):
    """One process, and all that it did as far as it was read."""

    vmm: Vmm
    stem: str
    """The stem of its log, or of what stands for the log."""
    observations: Sequence[Observation]
    """In the order in which they were logged; all stamps are on this process's clock."""
    releases: Releases
    """The releases that print all of this: it is one of them."""
    log: LogProcess | None = None
    """Its log alone; None for what was given beside logs and fits none."""
    events: EventProcess | None = None
    """Its event stream."""

    @property
    def is_gone(self) -> bool:
        """Whether it said that it ends, or was seen to: nothing comes of it any more."""
        return (self.log is not None and self.log.is_gone) or (self.events is not None and self.events.is_gone)

    @property
    def is_joined(self) -> bool:
        """Whether something was read of it besides its log."""
        return self.log is None or len(self.vmm.inputs) > 1

    def joined(self, stream: Stream, observations: Iterable[Observation]) -> Process:
        """Return the process with ``stream`` among its inputs, and ``observations`` in the place of its own."""
        vmm = replace(self.vmm, inputs=(*self.vmm.inputs, stream.key))
        return replace(self, vmm=vmm, observations=tuple(observations))

    def with_events(self, events: EventProcess, observations: Iterable[Observation]) -> Process:
        """Return the process with its event stream, and ``observations`` in the place of its own."""
        key = events.stream.key
        vmm = replace(self.vmm, inputs=(*self.vmm.inputs, key), event_stream=key)
        return replace(self, vmm=vmm, observations=tuple(observations), events=events)

    def doubting(self, *doubts: str) -> Process:
        """Return the process with what its inputs do not agree on."""
        return replace(self, vmm=replace(self.vmm, doubts=(*self.vmm.doubts, *doubts))) if doubts else self

    def ended(self) -> EndedProcess:
        """Return what is to be said of the process as a whole."""
        return EndedProcess(
            vmm=self.vmm,
            began=self.observations[0].stamp,
            fingerprint=fingerprint(self.observations),
            evidence=len(self.observations),
        )

    def attempts(self) -> list[Attempt]:
        """Return its migration attempts, in order, by everything that was read of it."""
        if self.log is not None and not self.is_joined:
            return self.log.attempts.begun
        attempts = attempts_in(self.observations)
        first = self.log or self.events
        own = {} if first is None else {(begun.role, begun.number): begun for begun in first.attempts.begun}
        for attempt in attempts:
            in_log = own.get((attempt.role, attempt.number))
            if in_log is not None:
                if self.log is not None:
                    attempt.state, attempt.lines_lost = in_log.state, in_log.lines_lost
                attempt.latest_zero_ns = in_log.latest_zero_ns
        return attempts

    def side(self, attempt: Attempt, *, final: bool) -> Side:
        """Return one of its attempts as a side."""
        corrected = self.log.corrected if self.log is not None and not self.is_joined else None
        vmm = self.vmm
        first = self.log or self.events
        if first is not None and vmm.latest_zero_ns == first.latest_zero_ns is not None:
            vmm = replace(vmm, latest_zero_ns=attempt.latest_zero_ns or vmm.latest_zero_ns)
        return attempt.side(
            vmm, releases=self.releases, final=final, after_head=self._may_be_after_head(), corrected=corrected
        )

    def _may_be_after_head(self) -> bool:
        """Return whether it may be of a later version than the last release.

        One says twice that it starts. Of a log that lacks its version, the second time may be lost as well.
        """
        if not may_be_after_head(self.releases, self.vmm.version):
            return False
        begun = {observation.kind for observation in islice(self.observations, _AT_START)}
        lacking = self.log is not None and self.vmm.version is None
        return lacking or Kind.PROCESS_STARTED not in begun or Kind.PROCESS_READY in begun
