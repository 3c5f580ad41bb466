"""One VMM's story of one migration attempt, as source or as destination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from otelmig.migration.observation import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.migration.observation import Command, Observation
    from otelmig.migration.vmm import Vmm

__all__ = ["DirtyRound", "Mode", "Result", "Role", "Side", "SideState", "dirty_rounds_of"]


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
    """How far the story of a side has come, by its own log."""

    OPEN = "open"
    """It is under way."""
    ASK_PARTNER = "ask_partner"
    """Its log may have nothing more to say, and has no last word for it.

    It is over once its partner is, once its process is known to be gone, or after long silence.
    """
    OVER = "over"
    """The last word was read; within moments more may follow, unless the side is final."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of one attempt; ``observations`` are its own, in the order in which they were logged."""

    role: Role
    vmm: Vmm
    attempt: int
    """Counts this process's attempts of this role, from 1."""
    observations: tuple[Observation, ...]
    by_kind: Mapping[Kind, tuple[Observation, ...]]
    result: Result
    mode: Mode
    paused_before: bool
    """Whether the guest was paused when the migration began: the operator's pause, not the migration's."""
    dirty_rounds: tuple[DirtyRound, ...]
    """The numbered dirty rounds that had something to send (releases until v51)."""
    config: Observation | None
    """The configuration that this process printed for this VM, if its log reaches back to it."""
    state: SideState = SideState.OVER
    final: bool = True
    """Whether its process is over, so that no later line of its log can change it."""
    lines_lost: int = 0
    """Lines of its log that are known to be missing from its story."""

    @property
    def name(self) -> str:
        """How a person calls it: its log's name, with the attempt's number where there are several."""
        return self.vmm.name if self.attempt == 1 else f"{self.vmm.name}@{self.attempt}"

    def all(self, kind: Kind) -> tuple[Observation, ...]:
        """Every observation of ``kind``."""
        return self.by_kind.get(kind, ())

    def first(self, *kinds: Kind) -> Observation | None:
        """The first observation of the first of ``kinds`` that was observed at all."""
        for kind in kinds:
            if kind in self.by_kind:
                return self.by_kind[kind][0]
        return None

    def last(self, *kinds: Kind) -> Observation | None:
        """The last observation of the first of ``kinds`` that was observed at all."""
        for kind in kinds:
            if kind in self.by_kind:
                return self.by_kind[kind][-1]
        return None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {id(seen): place for place, seen in enumerate(self.observations)}

    def following(self, seen: Observation) -> Iterator[Observation]:
        """What was logged after ``seen``, one of this side's observations."""
        return map(self.observations.__getitem__, range(self._places[id(seen)] + 1, len(self.observations)))

    def going_back(self) -> Iterator[tuple[int, Observation, Observation]]:
        """Lines that follow each other on a thread, the second stamped earlier: by how many ns, and both."""
        times = [seen.stamp.ns for seen in self.observations]
        if times == sorted(times):
            return
        last: dict[str, Observation] = {}
        for seen in self.observations:
            before = last.get(seen.thread)
            last[seen.thread] = seen
            if before is None or not seen.thread:
                continue
            back_ns = before.stamp.lo_ns - (seen.since or seen.stamp).hi_ns
            if back_ns > 0:
                yield back_ns, before, seen

    def command(self, name: Command) -> Observation | None:
        """Its first receipt."""
        return next((seen for seen in self.all(Kind.COMMAND_RECEIVED) if seen.word("command") == name), None)

    def commands(self, name: Command) -> tuple[Observation, ...]:
        """Each receipt of it."""
        return tuple(seen for seen in self.all(Kind.COMMAND_RECEIVED) if seen.word("command") == name)

    @property
    def failure(self) -> Observation | None:
        """The earliest sign that the source gave up."""
        signs = [
            seen
            for kind in (
                Kind.PEER_REPORTED_ERROR,
                Kind.SEND_FAILURE_ANNOUNCED,
                Kind.SEND_FAILED,
                Kind.SEND_CANCELLED,
                Kind.TIMED_OUT,
            )
            if (seen := self.first(kind)) is not None
        ]
        return min(signs, key=lambda seen: seen.stamp.ns, default=None)

    @property
    def resumed(self) -> Observation | None:
        """Where a source says that its guest runs again: an event, else (until v49) the last device of the resume."""
        said = self.first(Kind.VM_RESUMED, Kind.RESUMED_AFTER_FAILURE)
        failure = self.failure
        if said is not None or failure is None:
            return said
        last = None
        for seen in self.all(Kind.DEVICE_RESUMING):
            if seen.stamp.ns < failure.stamp.ns:
                continue
            if last is not None and seen.stamp.ns - last.stamp.ns > _ONE_RESUME_NS:
                break  # devices are resumed once more when the VM is shut down
            last = seen
        return last

    @property
    def logging_ns(self) -> int:
        """How long writing dirty tables took between the pause and the end, on the thread that migrates."""
        begin, end = self.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING), self.first(Kind.COMPLETED)
        if begin is None or end is None:
            return 0
        return sum(
            max(table.stamp.ns - table.since.ns, 0)
            for table in self.all(Kind.DIRTY_TABLE)
            if table.since is not None
            and table.thread == end.thread
            and begin.stamp.ns <= table.since.ns <= end.stamp.ns
        )

    @property
    def connections(self) -> int:
        """How many connections carry memory: the requested number, else counted from the connects."""
        requested = self.first(Kind.SEND_REQUESTED)
        number = requested.number("connections") if requested else None
        if number is not None:
            return number
        connects = len(self.all(Kind.CONNECTING))
        return max(connects - 1, 1) if self.mode is Mode.PRECOPY else 1

    @property
    def iterations(self) -> int:
        """How many running memory passes were acknowledged (or, on old releases, sent)."""
        numbers = [
            number
            for kind in (Kind.ITERATION_SENT, Kind.ITERATION_ANNOUNCED)
            for seen in self.all(kind)
            if (number := seen.number("iteration")) is not None
        ]
        if numbers:
            return max(numbers) + 1
        final = self.first(Kind.FINAL_DELTA_SENT)
        if final is not None and (number := final.number("iteration")) is not None:
            return max(number - 1, 0)
        if not self.all(Kind.DIRTY_ROUND):
            return 0
        return 1 + sum(each.acknowledged for each in self.dirty_rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtyRound:
    """One numbered dirty round: read the dirty log, send what it lists, wait for the acknowledgement."""

    begin: Observation
    table: Observation | None
    end: Observation | None
    """What was logged next after the acknowledgement, or the failure, or None where the log ends."""

    @property
    def empty(self) -> bool:
        """Whether the dirty table is there and lists nothing: then nothing was sent."""
        return self.table is not None and not self.table.number("ranges")

    @property
    def acknowledged(self) -> bool:
        """Whether what follows proves that the pass was acknowledged."""
        return self.end is not None and self.end.kind not in (Kind.SEND_FAILED, Kind.PEER_REPORTED_ERROR)


def dirty_rounds_of(observations: Iterable[Observation]) -> tuple[DirtyRound, ...]:
    """The numbered dirty rounds among ``observations`` that had something to send."""
    found = []
    begin: Observation | None = None
    table: Observation | None = None
    for seen in observations:
        if begin is not None and seen.kind in _AFTER_ROUND:
            found.append(DirtyRound(begin=begin, table=table, end=seen))
            begin = table = None
        if seen.kind is Kind.DIRTY_ROUND:
            begin = seen
        elif seen.kind is Kind.DIRTY_TABLE:
            table = seen
    if begin is not None:
        found.append(DirtyRound(begin=begin, table=table, end=None))
    return tuple(each for each in found if not each.empty)


_ONE_RESUME_NS = 10**9
"""Devices that are resumed together are so within this time of each other."""
_AFTER_ROUND = frozenset(
    {
        Kind.DIRTY_ROUND,
        Kind.VM_PAUSING,
        Kind.DEVICE_PAUSING,
        Kind.SEND_FAILED,
        Kind.PEER_REPORTED_ERROR,
        Kind.COMPLETED,
        Kind.CPUID_GENERATED,
    }
)
