"""One migration attempt in Cloud Hypervisor's own words: what one process logged of it, ready for looking up."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import FAILED, POSTCOPY
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.releases import DEVICES_FIRST
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors.cloud_hypervisor.releases import Releases
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Result, Role, Side

__all__ = ["AttemptLines", "DirtyRound", "dirty_rounds_of", "lines_of", "mode_of"]


class AttemptLines(Struct, frozen=True, kw_only=True, dict=True):
    """One side of one attempt; ``observations`` are its own, in the order in which they were logged."""

    role: Role
    observations: tuple[Observation, ...]
    by_kind: Mapping[str, tuple[Observation, ...]]
    result: Result
    mode: Mode
    ran_before: bool | None
    """Whether the guest ran when the migration began, as far as the process says: a log may begin after an operator's
    pause."""
    dirty_rounds: tuple[DirtyRound, ...]
    """The numbered dirty rounds that had something to send (releases until v51)."""
    releases: Releases
    """The releases that print all that the process printed: it is one of them."""
    may_be_after_head: bool
    """Whether it may be of a version in which events mean something else than until HEAD, and no line says which."""
    shut_down: Observation | None
    """Where the process of a destination was told to end, or to end its VM."""
    goes_on: bool
    """Whether its process did something else afterwards: the log does not just end with it."""
    config: Observation | None
    """The configuration that this process printed for this VM, if its log reaches back to it."""

    @property
    def paused_before(self) -> bool:
        """Whether the guest was paused when the migration began: the operator's pause, not the migration's."""
        return self.ran_before is False

    @cached_property
    def lookups(self) -> dict[str, object]:
        """What was found in these lines, by whoever looked and under which name: the lines never change."""
        return {}

    def all(self, kind: str) -> tuple[Observation, ...]:
        """Return every observation of ``kind``."""
        return self.by_kind.get(kind, ())

    def first(self, *kinds: Kind) -> Observation | None:
        """Return the first observation of the first of ``kinds`` that was observed at all."""
        for kind in kinds:
            if kind in self.by_kind:
                return self.by_kind[kind][0]
        return None

    def last(self, *kinds: Kind) -> Observation | None:
        """Return the last observation of the first of ``kinds`` that was observed at all."""
        for kind in kinds:
            if kind in self.by_kind:
                return self.by_kind[kind][-1]
        return None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {id(observation): place for place, observation in enumerate(self.observations)}

    def following(self, observation: Observation) -> Iterator[Observation]:
        """Return what was logged after ``observation``, one of this side's observations."""
        return map(self.observations.__getitem__, range(self._places[id(observation)] + 1, len(self.observations)))

    def precedes(self, observation: Observation | None, other: Observation | None) -> bool:
        """Return whether both are there, and ``observation`` was stamped first; equal stamps: in the log's order."""
        if observation is None or other is None:
            return False
        one, two = observation.stamp.ns, other.stamp.ns
        return one < two or (one == two and self._places[id(observation)] < self._places[id(other)])

    def command(self, name: Command) -> Observation | None:
        """Return the first receipt of a command."""
        return next(
            (observation for observation in self.all(Kind.COMMAND_RECEIVED) if observation.word("command") == name),
            None,
        )

    def commands(self, name: Command) -> tuple[Observation, ...]:
        """Return each receipt of a command."""
        return self._commands.get(name, ())

    @cached_property
    def _commands(self) -> dict[str, tuple[Observation, ...]]:
        """Every receipt of each command."""
        by_name: dict[str, tuple[Observation, ...]] = {}
        for observation in self.all(Kind.COMMAND_RECEIVED):
            if (name := observation.word("command")) is not None:
                by_name[name] = (*by_name.get(name, ()), observation)
        return by_name

    @property
    def failure(self) -> Observation | None:
        """The earliest sign that the source gave up."""
        signs = [
            observation
            for kind in (
                Kind.PEER_REPORTED_ERROR,
                Kind.SEND_FAILURE_ANNOUNCED,
                Kind.SEND_FAILED,
                Kind.SEND_CANCELLED,
                Kind.TIMED_OUT,
            )
            if (observation := self.first(kind)) is not None
        ]
        return min(signs, key=lambda observation: observation.stamp.ns, default=None)

    @property
    def resumed(self) -> Observation | None:
        """Where a source says that its guest runs again: an event, else the last device of the resume (until v51)."""
        said = self.first(Kind.VM_RESUMED, Kind.RESUMED_AFTER_FAILURE)
        failure = self.failure
        if said is not None or failure is None or not self._stopped_guest or self.releases.meet(DEVICES_FIRST):
            return said
        last = None
        for observation in self.all(Kind.DEVICE_RESUMING):
            if observation.stamp.ns < failure.stamp.ns:
                continue
            if last is not None and observation.stamp.ns - last.stamp.ns > _ONE_RESUME_NS:
                break  # devices are resumed once more when the VM is shut down
            last = observation
        return last

    @property
    def _stopped_guest(self) -> bool:
        """Whether a line says that the migration paused the guest, or tried to."""
        failed = any(
            observation.word("error_type") == ErrorType.PAUSE_FAILED for observation in self.all(Kind.SEND_FAILED)
        )
        return failed or self.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING) is not None

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
        """How many memory iterations were acknowledged while the guest ran (or, on old releases, sent)."""
        numbers = [
            number
            for kind in (Kind.ITERATION_SENT, Kind.ITERATION_ANNOUNCED)
            for observation in self.all(kind)
            if (number := observation.number("iteration")) is not None
        ]
        final = self.first(Kind.FINAL_DELTA_SENT)
        if final is not None and (number := final.number("iteration")) is not None:
            numbers.append(number - 2)  # it counts from 1, and itself
        if numbers:
            return max(*numbers, -1) + 1
        rounds = self.all(Kind.DIRTY_ROUND)
        if not rounds:
            return 0
        last = self._last_round
        ended = last is not None and last.acknowledged and last.table is not None
        return (rounds[-1].number("round") or 0) + 1 + ended  # a round's number is that of the iteration before it

    @property
    def last_round_is_unknown(self) -> bool:
        """Whether the dirty table of the last round is missing: if it was empty, nothing was sent."""
        last = self._last_round
        return last is not None and last.acknowledged and last.table is None

    @property
    def _last_round(self) -> DirtyRound | None:
        """The last round that began, unless it is known to have had nothing to send."""
        last = self.dirty_rounds[-1] if self.dirty_rounds else None
        return last if last is not None and last.begin is self.all(Kind.DIRTY_ROUND)[-1] else None


class DirtyRound(Struct, frozen=True, kw_only=True):
    """One numbered dirty round: read the dirty log, send what it lists, wait for the acknowledgement."""

    begin: Observation
    table: Observation | None
    end: Observation | None
    """What was logged next after the acknowledgement, or the failure, or None where the log ends."""

    @property
    def empty(self) -> bool:
        """Whether the dirty table is there and lists nothing: then nothing was sent."""
        return self.table is not None and self.table.number("ranges") == 0

    @property
    def acknowledged(self) -> bool:
        """Whether what follows proves that the memory iteration was acknowledged."""
        return self.end is not None and self.end.kind not in (Kind.SEND_FAILED, Kind.PEER_REPORTED_ERROR)


def dirty_rounds_of(observations: Iterable[Observation]) -> tuple[DirtyRound, ...]:
    """Return the numbered dirty rounds among ``observations`` that had something to send."""
    rounds = []
    begin: Observation | None = None
    table: Observation | None = None
    for observation in observations:
        if begin is not None and observation.kind in _AFTER_ROUND:
            rounds.append(DirtyRound(begin=begin, table=table, end=observation))
            begin = table = None
        if observation.kind is Kind.DIRTY_ROUND:
            begin = observation
        elif observation.kind is Kind.DIRTY_TABLE:
            table = observation
    if begin is not None:
        rounds.append(DirtyRound(begin=begin, table=table, end=None))
    return tuple(dirty_round for dirty_round in rounds if not dirty_round.empty)


_ONE_RESUME_NS = SECOND_NS
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


def mode_of(by_kind: Mapping[str, Sequence[Observation]]) -> Mode:
    """Return how the guest's memory travels, by the lines of an attempt: precopy, unless one says otherwise."""

    def observed(*kinds: Kind) -> list[Observation]:
        return [observation for kind in kinds for observation in by_kind.get(kind, ())]

    asked = observed(Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.RECEIVE_REQUESTED)
    commands = {observation.word("command") for observation in observed(Kind.COMMAND_RECEIVED)}
    if Command.MEMORY_FD in commands or any(observation.flag("local") for observation in asked):
        return Mode.LOCAL
    if any(observation.word("mode") == "postcopy" for observation in asked) or not by_kind.keys().isdisjoint(POSTCOPY):
        return Mode.POSTCOPY
    if any(observation.word("error_type") == ErrorType.POSTCOPY_FAILED for observation in observed(*FAILED)):
        return Mode.POSTCOPY
    # a source that connects before it pauses its guest, and again after that, is then asked for pages
    connects, paused = observed(Kind.CONNECTING), observed(Kind.VM_PAUSED)
    if not connects or not paused:
        return Mode.PRECOPY
    begin, pause, end = connects[0].stamp, paused[0].stamp, connects[-1].stamp
    return Mode.POSTCOPY if begin.hi_ns < pause.lo_ns and pause.hi_ns < end.lo_ns else Mode.PRECOPY


def lines_of(side: Side) -> AttemptLines:
    """Return the attempt that ``side`` was made of."""
    if not isinstance(side.record, AttemptLines):
        raise TypeError(f"{side.name} is no side of Cloud Hypervisor")
    return side.record
