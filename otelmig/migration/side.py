"""One VMM's part in one migration attempt, as source or as destination, whichever hypervisor it is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.migration.facts import DestinationFacts, SourceFacts
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.facts import Instant, VmConfig
    from otelmig.migration.incident import Incident
    from otelmig.migration.observation import Observation
    from otelmig.migration.vmm import Vmm

__all__ = ["Mode", "Result", "Role", "Side", "SideState"]


class Role(StrEnum):
    """On which side of a migration a VMM stands."""

    SOURCE = "source"
    DESTINATION = "destination"


class Result(StrEnum):
    """How an attempt ended, as far as one side's evidence goes."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    CANCELLATION = "cancellation"
    """Somebody asked the source to stop."""
    UNKNOWN = "unknown"
    """The evidence stops: a truncated log, a killed process."""


class Mode(StrEnum):
    """How the guest's memory travels."""

    PRECOPY = "precopy"
    POSTCOPY = "postcopy"
    LOCAL = "local"


class SideState(StrEnum):
    """Whether more can come of an attempt, as far as its own log tells."""

    OPEN = "open"
    """Its last word has not been read."""
    ASK_PARTNER = "ask_partner"
    """Its log has no last word: it is over once its partner is, its process is gone, or it has been quiet for long."""
    OVER = "over"
    """Its last word was read; within moments more may follow, unless the side is final."""


_NOTHING_SENT: Final = SourceFacts()
_NOTHING_RECEIVED: Final = DestinationFacts()


class Side(Struct, frozen=True, kw_only=True):
    """One side of one attempt: which process it was, what it says, and the lines that this rests on."""

    role: Role
    vmm: Vmm
    attempt: int
    """Counts this process's attempts of this role, from 1."""
    result: Result
    mode: Mode
    paused_before: bool
    """Whether the guest was paused when the migration began: the operator's pause, not the migration's."""
    identity: bytes
    """A digest of the attempt's first printed records: the same for every copy of its log."""
    observations: tuple[Observation, ...]
    """The lines that belong to it, in the order in which they were logged; never empty."""
    sent: SourceFacts = _NOTHING_SENT
    """What it says as the source; empty on a destination."""
    received: DestinationFacts = _NOTHING_RECEIVED
    """What it says as the destination; empty on a source."""
    incidents: tuple[Incident, ...] = ()
    """What went on besides, in the order in which it was logged."""
    vm: VmConfig | None = None
    """The configuration that this process printed for this VM, if its log reaches back to it."""
    state: SideState = SideState.OVER
    final: bool = True
    """Whether its process is over, so that no later line of its log can change it."""
    goes_on: bool = False
    """Whether its process is known to have done something else afterwards: its log does not just end with it."""
    lines_lost: int = 0
    """Lines of its log that are known to be missing from it."""
    record: object = None
    """What its hypervisor's package keeps of it for its own rules; nobody else looks inside."""

    @property
    def name(self) -> str:
        """What a person calls it: its log's name, with the attempt's number where there are several."""
        return self.vmm.name if self.attempt == 1 else f"{self.vmm.name}@{self.attempt}"

    @property
    def first(self) -> Instant:
        """Its first line."""
        return self.observations[0].instant

    @property
    def last(self) -> Instant:
        """Its last line."""
        return self.observations[-1].instant

    def going_back(self) -> Iterator[tuple[int, Observation, Observation]]:
        """Yield pairs of lines of one thread of which the second is stamped earlier, after the difference in ns."""
        times = [observation.stamp.ns for observation in self.observations]
        if times == sorted(times):
            return
        last: dict[str, Observation] = {}
        for observation in self.observations:
            before = last.get(observation.thread)
            last[observation.thread] = observation
            if before is None or not observation.thread:
                continue
            back_ns = before.stamp.lo_ns - (observation.since or observation.stamp).hi_ns
            if back_ns > 0:
                yield back_ns, before, observation

    def stays_back(self, before: Observation, observation: Observation) -> bool:
        """Return whether the line after ``observation`` is stamped earlier than ``before``, as ``observation`` is."""
        at = next(at for at, other in enumerate(self.observations) if other is observation)
        return at + 1 < len(self.observations) and self.observations[at + 1].stamp.hi_ns < before.stamp.lo_ns
