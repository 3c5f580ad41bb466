"""Observations of one migration attempt -> how far it has come, how it ended, and the side that it is.

What happens between two attempts (the operator pauses, resumes, shuts down) belongs to none of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import (
    AFTER_CLOSING,
    AFTER_COMPLETION,
    AFTER_FAILURE,
    AFTER_RECEIVE,
    BEFORE_FATE,
    BESIDES,
    COMPLETED,
    DRAINED,
    ENDINGS,
    FAILED,
    FATES,
    HAS_GUEST,
    NO_ATTEMPT,
    NOT_RECEIVED,
    OF_NO_ATTEMPT,
    PREFAULT_ENDED,
    RECEIVE_ENDED,
    RECEIVED,
    TAKEN_BACK,
)
from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines, dirty_rounds_of, mode_of
from otelmig.hypervisors.cloud_hypervisor.events import FIRST_AFTER_HEAD
from otelmig.hypervisors.cloud_hypervisor.facts.side import side_of
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode, Result, Role, SideState
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Vmm

__all__ = ["Attempt"]

# looked at for every line: as attributes of their enumerations they take eight times as long to look up
_CALL_FAILED: Final = Kind.CALL_TO_RECEIVE_FAILED
_OVER: Final = SideState.OVER
_SENT: Final = FAILED | COMPLETED
_ENDS_PROCESS: Final = frozenset({Kind.PROCESS_KILLED, Kind.PROCESS_FAILED})
_APART: Final = OF_NO_ATTEMPT | BESIDES | {Kind.CALL_TO_RECEIVE_FAILED}
"""Kinds that are asked by themselves whether they belong to an attempt."""
_PAUSED_ALREADY: Final = "InvalidStateTransition(Paused, Paused)"
_WORKER: Final = "migration-worker"
"""The thread of a migration from v53.0 on; until v52 the one that serves the API migrates."""
_WATCHED_NS: Final = 60 * SECOND_NS
"""What becomes of the guest within this time after it ran is told with the migration."""
_SHUTTING_DOWN: Final = frozenset({"VmDelete", "VmPowerButton", "VmReboot", "VmShutdown", "VmmShutdown"})
"""Calls after which a VM, or its process, ends, and its connections with it."""


class Attempt(Struct, kw_only=True):
    """An attempt while its lines come in."""

    role: Role
    number: int
    """Counts the process's attempts of this role, from 1."""
    ran_before: bool | None
    config: Observation | None
    observations: list[Observation] = field(default_factory=list)
    by_kind: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    state: SideState = SideState.OPEN
    lines_lost: int = 0
    """Lines that are known to be missing since it began, or just before."""
    known: bool = False
    """Whether it was found to be an attempt."""
    ending: bool = False
    """Something that may be its end was taken: not everything belongs to it any more."""
    goes_on: bool = False
    """Its process did something else afterwards: the log does not just end with it."""
    closed: bool = False
    """An API call was served after the end: what follows is the operator's."""
    fated: bool = False
    """Something became of the guest that the destination had: what follows is another boot, or none."""
    shut_down: Observation | None = None
    """Where the process of a destination was told to end, or to end its VM."""
    last_word: LastWord | None = None
    """The last of the last words that were read."""
    latest_zero_ns: int | None = None  # of the process's clock (Unix epoch), by lines up to the last word alone

    @property
    def ended(self) -> bool:
        """Whether something was read that may be its end."""
        if self.role is Role.SOURCE:
            return self._has(_SENT)
        return self.closed or self._has(RECEIVE_ENDED)

    @property
    def is_attempt(self) -> bool:
        """Whether it is an attempt: a request that was turned down, or a destination that only listens, is none."""
        return not self.by_kind.keys() <= NO_ATTEMPT[self.role]

    def add(self, observation: Observation, word: LastWord | None, releases: Releases) -> bool:
        """Take ``observation`` if it is this attempt's; return whether the state changed, or this is a last word."""
        kind = observation.kind
        if kind in _APART:
            self.goes_on = self.goes_on or kind in OF_NO_ATTEMPT
            if not self._takes_apart(observation):
                return False
        elif (self.ending or self.closed or self.fated) and not self._takes(kind):
            return False
        if kind in ENDINGS:
            self.ending = True
        self.observations.append(observation)
        self.by_kind[kind].append(observation)
        changed = self.state is _OVER and kind in BESIDES
        if not self.known and self.is_attempt:
            self.known = changed = True
        if word is not None and word.role is self.role and word.releases.meet(releases):
            self.last_word = word
            changed = True
        if self.last_word is not None or kind in _ENDS_PROCESS:
            state = self._state_after(kind)
            changed = changed or state is not self.state
            self.state = state
        return changed and self.known

    def _state_after(self, kind: str) -> SideState:
        """Return how far the attempt has come with a line of ``kind``."""
        if kind in _ENDS_PROCESS or self.last_word is None:
            return SideState.OVER
        # postcopy: the guest runs, and its memory is still being fetched
        fetching = Kind.PREFAULT_STARTED in self.by_kind and not self._has(PREFAULT_ENDED)
        return SideState.OPEN if fetching else self.last_word.state

    def amend(self, observation: Observation, whole: Observation) -> None:
        """Put ``whole`` in the place of ``observation``, if that is a line of this attempt."""
        for items in (self.observations, self.by_kind.get(observation.kind, [])):
            at = next((at for at in reversed(range(len(items))) if items[at] is observation), None)
            if at is not None:
                items[at] = whole

    def become(self, other: Attempt) -> None:
        """Take everything from ``other``, but for what is known of its lines besides what they say."""
        for name in self.__struct_fields__:
            if name not in ("lines_lost", "latest_zero_ns"):
                setattr(self, name, getattr(other, name))

    def _has(self, kinds: Iterable[Kind]) -> bool:
        return not self.by_kind.keys().isdisjoint(kinds)

    def _takes_apart(self, observation: Observation) -> bool:
        """Return whether a line beside an attempt belongs to this one."""
        if observation.kind is Kind.API_REQUEST:
            self.closed = self.closed or self.ended or self.role is Role.DESTINATION
            if self.shut_down is None and observation.word("call") in _SHUTTING_DOWN:
                self.shut_down = observation
        if observation.kind is _CALL_FAILED:  # once the attempt has ended it says no more than what ended it
            return self.role is Role.DESTINATION and not self.ended
        return observation.kind in BESIDES and self._concerns_guest(observation)

    def _concerns_guest(self, observation: Observation) -> bool:
        """Return whether what went on besides is about this attempt's guest, and soon enough after it ran."""
        if self.closed:
            return False
        if self.role is Role.SOURCE:
            if self._has(COMPLETED):
                return False
            since = self._of(Kind.VM_RESUMED, Kind.RESUMED_AFTER_FAILURE, *FAILED) if self._has(FAILED) else []
        else:
            since = self._of(*HAS_GUEST)
            if not since and self.ended:
                return False
            # a fate that comes later than the window is not told, but ends the attempt's lines, too
            self.fated = self.fated or (bool(since) and observation.kind in FATES)
        return not since or observation.stamp.lo_ns - since[0].stamp.hi_ns <= _WATCHED_NS

    def _takes(self, kind: str) -> bool:
        """Return whether a line of ``kind`` belongs to this attempt after something that may be its end."""
        if self.role is Role.DESTINATION:
            if self.closed:
                return kind in AFTER_CLOSING
            if self.fated:
                return kind in AFTER_RECEIVE or (kind in BEFORE_FATE and Kind.VM_RESUMED not in self.by_kind)
            return not self.ended or kind in AFTER_RECEIVE
        if self._has(COMPLETED):
            return kind in AFTER_COMPLETION or (kind in TAKEN_BACK and self._has(FAILED))
        if self._has(FAILED):
            if self.closed or Kind.RESUMED_AFTER_FAILURE in self.by_kind:
                return kind in FAILED
            return kind in AFTER_FAILURE
        return True

    def side(
        self,
        vmm: Vmm,
        *,
        releases: Releases,
        final: bool,
        after_head: bool = False,
        corrected: Callable[[Observation], Observation] | None = None,
    ) -> Side:
        """Return what is known of the attempt by now, as a side of ``vmm``, which may be any of ``releases``.

        ``after_head`` says that it may also be of a later version.
        ``corrected`` reads the observations once more, with what only the rest of the log has told.
        """
        if corrected is not None:
            return self._corrected(corrected).side(vmm, releases=releases, final=final, after_head=after_head)
        mode = mode_of(self.by_kind)
        starting = any(
            FIRST_AFTER_HEAD in observation.text for observation in self._of(Kind.SEND_ANNOUNCED, Kind.ACCEPTED)
        )
        lines = AttemptLines(
            role=self.role,
            observations=tuple(self.observations),
            by_kind={kind: tuple(items) for kind, items in self.by_kind.items()},
            result=self._source_result(mode) if self.role is Role.SOURCE else self._destination_result(),
            mode=mode,
            ran_before=False if self._found_paused() else self.ran_before,
            dirty_rounds=dirty_rounds_of(self.observations) if Kind.DIRTY_ROUND in self.by_kind else (),
            releases=releases,
            may_be_after_head=after_head and not starting,
            shut_down=self.shut_down,
            goes_on=self.goes_on,
            config=self.by_kind[Kind.VM_CONFIG][-1] if Kind.VM_CONFIG in self.by_kind else self.config,
        )
        return side_of(lines, vmm, self.number, state=self.state, final=final, lines_lost=self.lines_lost)

    def _corrected(self, corrected: Callable[[Observation], Observation]) -> Attempt:
        config = None if self.config is None else corrected(self.config)
        observations = [corrected(observation) for observation in self.observations]
        by_kind: dict[str, list[Observation]] = defaultdict(list)
        for observation in observations:
            by_kind[observation.kind].append(observation)
        return replace(self, config=config, observations=observations, by_kind=by_kind)

    def _of(self, *kinds: Kind) -> list[Observation]:
        return [observation for kind in kinds for observation in self.by_kind.get(kind, ())]

    def _commands(self) -> set[str | None]:
        return {observation.word("command") for observation in self._of(Kind.COMMAND_RECEIVED)}

    def _source_result(self, mode: Mode) -> Result:
        if self._has(FAILED):
            if Kind.SEND_CANCELLED in self.by_kind:
                return Result.CANCELLATION
            types = {observation.word("error_type") for observation in self._of(*FAILED)}
            timed_out = ErrorType.CONVERGENCE_TIMEOUT in types or Kind.TIMED_OUT in self.by_kind
            return Result.TIMEOUT if timed_out else Result.FAILURE
        # postcopy is complete only once the pages that were left behind are there
        done = DRAINED if mode is Mode.POSTCOPY else COMPLETED
        if self._has(done):  # of one that merely says that it finished, the mode is not known
            return Result.SUCCESS if self.by_kind.keys() - BESIDES != {Kind.SEND_FINISHED} else Result.UNKNOWN
        return Result.FAILURE if self._ended_by_fate() else Result.UNKNOWN

    def _destination_result(self) -> Result:
        commands = self._commands()
        if Command.ABANDON in commands or self._has(NOT_RECEIVED):
            return Result.FAILURE
        if self._has(RECEIVED) or (Command.COMPLETE in commands and Kind.DEVICE_RESUMING in self.by_kind):
            return Result.UNKNOWN if self._pages_lacking() else Result.SUCCESS
        if Command.COMPLETE in commands or self._has((Kind.VM_RESUMING, Kind.DEVICE_RESUMING)):
            return Result.UNKNOWN  # it was about to run the guest, and may have done so
        return Result.FAILURE if self._has((_CALL_FAILED, *_ENDS_PROCESS)) else Result.UNKNOWN

    def _pages_lacking(self) -> bool:
        """Return whether a destination gave up fetching pages, and not because it was told to end."""
        lost, told = self._of(Kind.PREFAULT_FAILED, Kind.UFFD_ENDED), self.shut_down
        first = min((observation.stamp.ns for observation in lost), default=None)
        return first is not None and mode_of(self.by_kind) is Mode.POSTCOPY and (told is None or told.stamp.ns > first)

    def _ended_by_fate(self) -> bool:
        """Return whether a source that has no other end ended with its guest: from v53.0 on, unless that is put off."""
        if self._has(COMPLETED):
            return False
        if Kind.PROCESS_FAILED in self.by_kind:
            return True
        fates = (Kind.GUEST_RESET, Kind.GUEST_SHUT_DOWN, Kind.VCPU_FAILED)
        if Kind.LIFECYCLE_POSTPONED in self.by_kind or not self._has(fates):
            return False
        return any(observation.thread == _WORKER for observation in self.observations)

    def _found_paused(self) -> bool:
        """Return whether a source failed because its guest was paused already (until v51)."""
        return any(_PAUSED_ALREADY in (observation.word("error") or "") for observation in self._of(Kind.SEND_FAILED))
