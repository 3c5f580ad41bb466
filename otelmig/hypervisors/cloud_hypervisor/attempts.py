"""Observations of one process -> its migration attempts, how far each has come, and how it ended.

A VMM may send and receive several times in its life; what happens between two attempts (the operator pauses,
resumes, shuts down) belongs to none of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines, dirty_rounds_of
from otelmig.hypervisors.cloud_hypervisor.facts.side import side_of
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.releases import ALL
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode, Result, Role, SideState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Vmm

__all__ = ["Attempt", "Attempts", "attempts_in"]

_BEGINS: Final = {
    Role.SOURCE: (Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.SEND_ANNOUNCED),
    Role.DESTINATION: (Kind.RECEIVE_REQUESTED, Kind.RECEIVE_STARTED, Kind.RECEIVE_READY, Kind.ACCEPTED),
}
"""How an attempt begins, in order: a kind that cannot follow what is there already begins a new attempt."""

_BEGUN: Final = {
    Role.SOURCE: (Kind.ITERATION_SENT, Kind.FINAL_DELTA_SENT, Kind.COMPLETED, Kind.DIRTY_ROUND, Kind.SEND_FAILED),
    Role.DESTINATION: (Kind.COMMAND_RECEIVED, Kind.STATE_RECEIVED, Kind.RESUME_TIMED),
}
"""What only an attempt does: a log that begins in its middle still shows it."""

_ROLES: Final[dict[str, Role]] = {kind: role for role in Role for kind in (*_BEGINS[role], *_BEGUN[role])}
_FAILED: Final = frozenset(
    {Kind.SEND_FAILED, Kind.SEND_FAILURE_ANNOUNCED, Kind.SEND_CANCELLED, Kind.PEER_REPORTED_ERROR}
)
_COMPLETED: Final = frozenset({Kind.COMPLETED, Kind.SEND_FINISHED})
_AFTER_COMPLETION: Final = _FAILED | {
    Kind.DOWNTIME_BREAKDOWN,
    Kind.SEND_FINISHED,
    Kind.POSTCOPY_SERVING,
    Kind.POSTCOPY_DRAINED,
    Kind.POSTCOPY_FINISHED,
    Kind.PROCESS_KILLED,
}
_AFTER_FAILURE: Final = _FAILED | {
    Kind.VM_RESUMING,
    Kind.DEVICE_RESUMING,
    Kind.VM_RESUMED,
    Kind.RESUMED_AFTER_FAILURE,
    Kind.RESUME_FAILED,
    Kind.TIMED_OUT,
    Kind.PROCESS_KILLED,
}
_RECEIVE_ENDED: Final = frozenset({Kind.RECEIVE_FINISHED, Kind.RECEIVE_FAILED, Kind.RECEIVE_ABORTED, Kind.PEER_LOST})
_PREFAULT: Final = frozenset({Kind.PREFAULT_STARTED, Kind.PREFAULT_DONE, Kind.PREFAULT_ERROR, Kind.PREFAULT_FAILED})
_PREFAULT_ENDED: Final = frozenset({Kind.PREFAULT_DONE, Kind.PREFAULT_FAILED})
_DEATH: Final = frozenset({Kind.PROCESS_KILLED, Kind.GUEST_PANICKED})
_AFTER_CLOSING: Final = _PREFAULT | _DEATH
_AFTER_RECEIVE: Final = _RECEIVE_ENDED | _AFTER_CLOSING
_ENDINGS: Final = _FAILED | _COMPLETED | _RECEIVE_ENDED
_RECEIVED: Final = (Kind.RECEIVE_FINISHED, Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED)
_NOT_RECEIVED: Final = (Kind.CPU_INCOMPATIBLE, Kind.RECEIVE_ABORTED, Kind.RECEIVE_FAILED, Kind.PEER_LOST)
_DRAINED: Final = (Kind.SEND_FINISHED, Kind.POSTCOPY_DRAINED, Kind.POSTCOPY_FINISHED)
_POSTCOPY: Final = (Kind.POSTCOPY_SERVING, Kind.PREFAULT_STARTED)
_KILLED: Final = Kind.PROCESS_KILLED
"""Looked at for every line: as an attribute of its enumeration it takes four times as long to look up."""
_OF_NO_ATTEMPT: Final = frozenset({Kind.PROCESS_STARTED, Kind.PROCESS_EXITED, Kind.API_REQUEST})


_OF_THE_GUEST: Final = frozenset({Kind.VM_PAUSED, Kind.PAUSED_STATE_RECEIVED, Kind.VM_RESUMED, Kind.VM_CONFIG})


@dataclass(slots=True)
class _Guest:
    """What the process last said of the guest it holds."""

    paused: bool = False
    config: Observation | None = None

    def follow(self, seen: Observation) -> None:
        match seen.kind:
            case Kind.VM_PAUSED | Kind.PAUSED_STATE_RECEIVED:
                self.paused = True
            case Kind.VM_RESUMED:
                self.paused = False
            case Kind.VM_CONFIG:
                self.config = seen
            case _:
                pass


@dataclass(slots=True)
class Attempts:
    """The migration attempts of one process while its observations come in."""

    begun: list[Attempt] = field(default_factory=list)
    """Everything that began as an attempt does and is one, or may become one, in order."""
    changed: list[Attempt] = field(default_factory=list)
    """Attempts whose state changed, or whose last word was read, since whoever emits them cleared this."""
    _guest: _Guest = field(default_factory=_Guest)
    _counts: Counter[Role] = field(default_factory=Counter)

    @property
    def current(self) -> Attempt | None:
        """The attempt that the next line may belong to."""
        return self.begun[-1] if self.begun else None

    def take(self, seen: Observation, word: LastWord | None = None, releases: Releases = ALL) -> None:
        """Take what the process did next.

        ``word`` says whose last word it is, if it is one of the ``releases`` that the process may be of.
        """
        kind = seen.kind
        role = _ROLES.get(kind)
        current = self.begun[-1] if self.begun else None
        if role is not None and _begins(kind, role, current):
            if current is not None:
                self._leave(current)
            current = Attempt(
                role=role,
                number=self._counts[role] + 1,
                paused_before=self._guest.paused,
                config=self._guest.config,
            )
            self.begun.append(current)
        if current is not None and current.add(seen, word, releases):
            self.changed.append(current)
        if kind in _OF_THE_GUEST:
            self._guest.follow(seen)

    def amend(self, seen: Observation, whole: Observation) -> None:
        """Put ``whole`` in the place of ``seen``, the last observation, whose record went on."""
        if self.begun:
            self.begun[-1].amend(seen, whole)

    def end(self) -> list[Attempt]:
        """Return all attempts: nothing more will come."""
        if self.begun and not self.begun[-1].is_attempt:
            self.begun.pop()
        for attempt in self.begun:
            attempt.state = SideState.OVER
        self.changed.clear()
        return self.begun

    def _leave(self, attempt: Attempt) -> None:
        """Another attempt begins: no line of the process can belong to ``attempt`` any more."""
        if not attempt.is_attempt:
            self.begun.pop()
            return
        self._counts[attempt.role] += 1
        if attempt.state is not SideState.OVER:
            attempt.state = SideState.OVER
            self.changed.append(attempt)


def attempts_in(observations: Iterable[Observation]) -> list[Attempt]:
    """Return the attempts of a process that did all this; a destination that nobody connected to is none."""
    attempts = Attempts()
    for seen in observations:
        attempts.take(seen)
    return attempts.end()


def _begins(kind: str, role: Role, attempt: Attempt | None) -> bool:
    """Return whether a line of ``kind``, which belongs to ``role``, begins another attempt than ``attempt``."""
    if attempt is None:
        return True
    order = _BEGINS[role]
    if attempt.role is not role:
        return kind in order or attempt.ended
    if kind not in order:
        return False
    return not attempt.by_kind.keys() <= {*order[: order.index(kind)], Kind.TLS_ESTABLISHED, Kind.VM_CONFIG}


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An attempt while its lines come in."""

    role: Role
    number: int
    """Counts the process's attempts of this role, from 1."""
    paused_before: bool
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
    closed: bool = False
    """An API call was served after the end: what follows is the operator's."""
    last_word: LastWord | None = None
    """The last of the last words that were read."""

    @property
    def ended(self) -> bool:
        """Whether something was read that may be its end."""
        if self.role is Role.SOURCE:
            return self._has(_FAILED | _COMPLETED)
        return self.closed or self._has(_RECEIVE_ENDED)

    @property
    def is_attempt(self) -> bool:
        """A request that was turned down, and a destination that only listens, are no attempts."""
        begins = _BEGINS[self.role]
        return not self.by_kind.keys() <= set(begins[:1] if self.role is Role.SOURCE else begins[:3])

    def add(self, seen: Observation, word: LastWord | None, releases: Releases) -> bool:
        """Take ``seen`` if it belongs to this attempt; return whether the state changed, or this is a last word."""
        kind = seen.kind
        if kind in _OF_NO_ATTEMPT:
            if kind is Kind.API_REQUEST:
                self.closed = self.closed or self.ended or self.role is Role.DESTINATION
            return False
        if (self.ending or self.closed) and not self._takes(kind):
            return False
        if kind in _ENDINGS:
            self.ending = True
        self.observations.append(seen)
        self.by_kind[kind].append(seen)
        changed = False
        if not self.known and self.is_attempt:
            self.known = changed = True
        if word is not None and word.role is self.role and word.releases.meet(releases):
            self.last_word = word
            changed = True
        if self.last_word is not None or kind is _KILLED:
            state = self._state_after(kind)
            changed = changed or state is not self.state
            self.state = state
        return changed and self.known

    def _state_after(self, kind: str) -> SideState:
        """Return how far the attempt has come with a line of ``kind``."""
        if kind is _KILLED or self.last_word is None:
            return SideState.OVER
        # postcopy: the guest runs, and its memory is still being fetched
        fetching = Kind.PREFAULT_STARTED in self.by_kind and not self._has(_PREFAULT_ENDED)
        return SideState.OPEN if fetching else self.last_word.state

    def amend(self, seen: Observation, whole: Observation) -> None:
        """Put ``whole`` in the place of ``seen``, if that is the last line of this attempt."""
        if self.observations and self.observations[-1] is seen:
            self.observations[-1] = whole
            self.by_kind[seen.kind][-1] = whole

    def _has(self, kinds: Iterable[Kind]) -> bool:
        return not self.by_kind.keys().isdisjoint(kinds)

    def _takes(self, kind: str) -> bool:
        """Return whether a line of ``kind`` belongs to this attempt after something that may be its end."""
        if self.role is Role.DESTINATION:
            if self.closed:
                return kind in _AFTER_CLOSING
            return not self.ended or kind in _AFTER_RECEIVE
        if self._has(_COMPLETED):
            return kind in _AFTER_COMPLETION
        if self._has(_FAILED):
            if self.closed or Kind.RESUMED_AFTER_FAILURE in self.by_kind:
                return kind in _FAILED
            was_paused = self._has((Kind.VM_PAUSING, Kind.DEVICE_PAUSING))
            return kind in _AFTER_FAILURE and (kind is not Kind.DEVICE_RESUMING or was_paused)
        return True

    def side(
        self,
        vmm: Vmm,
        *,
        vcpus_resume_first: bool,
        final: bool,
        corrected: Callable[[Observation], Observation] | None = None,
    ) -> Side:
        """Return what is known of the attempt by now, as a side of ``vmm``.

        ``corrected`` reads the observations once more, with what only the rest of the log has told.
        """
        if corrected is not None:
            return self._corrected(corrected).side(vmm, vcpus_resume_first=vcpus_resume_first, final=final)
        mode = self._mode()
        lines = AttemptLines(
            role=self.role,
            observations=tuple(self.observations),
            by_kind={kind: tuple(items) for kind, items in self.by_kind.items()},
            result=self._source_result(mode) if self.role is Role.SOURCE else self._destination_result(),
            mode=mode,
            paused_before=self.paused_before,
            dirty_rounds=dirty_rounds_of(self.observations) if Kind.DIRTY_ROUND in self.by_kind else (),
            vcpus_resume_first=vcpus_resume_first,
            config=self.by_kind[Kind.VM_CONFIG][-1] if Kind.VM_CONFIG in self.by_kind else self.config,
        )
        return side_of(lines, vmm, self.number, state=self.state, final=final, lines_lost=self.lines_lost)

    def _corrected(self, corrected: Callable[[Observation], Observation]) -> Attempt:
        config = None if self.config is None else corrected(self.config)
        observations = [corrected(seen) for seen in self.observations]
        by_kind: dict[str, list[Observation]] = defaultdict(list)
        for seen in observations:
            by_kind[seen.kind].append(seen)
        return replace(self, config=config, observations=observations, by_kind=by_kind)

    def _of(self, *kinds: Kind) -> list[Observation]:
        return [seen for kind in kinds for seen in self.by_kind.get(kind, ())]

    def _commands(self) -> set[str | None]:
        return {seen.word("command") for seen in self._of(Kind.COMMAND_RECEIVED)}

    def _source_result(self, mode: Mode) -> Result:
        if Kind.SEND_CANCELLED in self.by_kind:
            return Result.CANCELLATION
        if self._has(_FAILED):
            types = {seen.word("error_type") for seen in self._of(*_FAILED)}
            timed_out = ErrorType.CONVERGENCE_TIMEOUT in types or Kind.TIMED_OUT in self.by_kind
            return Result.TIMEOUT if timed_out else Result.FAILURE
        # postcopy is complete only once the pages that were left behind are there
        done = _DRAINED if mode is Mode.POSTCOPY else _COMPLETED
        return Result.SUCCESS if self._has(done) else Result.UNKNOWN

    def _destination_result(self) -> Result:
        commands = self._commands()
        if Command.ABANDON in commands or self._has(_NOT_RECEIVED):
            return Result.FAILURE
        if self._has(_RECEIVED) or (Command.COMPLETE in commands and Kind.DEVICE_RESUMING in self.by_kind):
            return Result.SUCCESS
        return Result.UNKNOWN

    def _mode(self) -> Mode:
        asked = self._of(Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.RECEIVE_REQUESTED)
        if any(seen.flag("local") for seen in asked) or Command.MEMORY_FD in self._commands():
            return Mode.LOCAL
        by_word = any(seen.word("mode") == "postcopy" for seen in asked)
        return Mode.POSTCOPY if by_word or self._has(_POSTCOPY) else Mode.PRECOPY
