"""Observations of one process -> its migration attempts, and how each ended.

A VMM may send and receive several times in its life; what happens between two attempts (the operator pauses,
resumes, shuts down) belongs to none of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt import Attempt, dirty_rounds_of
from otelmig.hypervisors.cloud_hypervisor.facts.side import side_of
from otelmig.migration.facts import ErrorType
from otelmig.migration.observation import Command, Kind, Observation
from otelmig.migration.side import Mode, Result, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Vmm

__all__ = ["assemble"]

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
_DEATH: Final = frozenset({Kind.PROCESS_KILLED, Kind.GUEST_PANICKED})
_AFTER_CLOSING: Final = _PREFAULT | _DEATH
_AFTER_RECEIVE: Final = _RECEIVE_ENDED | _AFTER_CLOSING
_ENDINGS: Final = _FAILED | _COMPLETED | _RECEIVE_ENDED
_RECEIVED: Final = (Kind.RECEIVE_FINISHED, Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED)
_NOT_RECEIVED: Final = (Kind.CPU_INCOMPATIBLE, Kind.RECEIVE_ABORTED, Kind.RECEIVE_FAILED, Kind.PEER_LOST)
_DRAINED: Final = (Kind.SEND_FINISHED, Kind.POSTCOPY_DRAINED, Kind.POSTCOPY_FINISHED)
_POSTCOPY: Final = (Kind.POSTCOPY_SERVING, Kind.PREFAULT_STARTED)
_OF_NO_ATTEMPT: Final = frozenset({Kind.PROCESS_STARTED, Kind.PROCESS_EXITED, Kind.API_REQUEST})


def assemble(process: Vmm) -> Iterator[Side]:
    """Yield the attempts of ``process`` in their order; a destination that nobody connected to is none."""
    counts: Counter[Role] = Counter()
    for draft in _drafts(process):
        if draft.is_attempt:
            counts[draft.role] += 1
            yield draft.side(process, counts[draft.role])


def _drafts(process: Vmm) -> Iterator[_Draft]:
    """What ``process`` began, each with the lines that belong to it."""
    draft: _Draft | None = None
    guest = _Guest()
    for seen in process.observations:
        kind = seen.kind
        role = _ROLES.get(kind)
        if role is not None and _begins(kind, role, draft):
            if draft is not None:
                yield draft
            draft = _Draft(role=role, paused_before=guest.paused, config=guest.config)
        if draft is not None:
            draft.add(seen)
        if kind in _OF_THE_GUEST:
            guest.follow(seen)
    if draft is not None:
        yield draft


def _begins(kind: str, role: Role, draft: _Draft | None) -> bool:
    """Whether a line of ``kind``, which belongs to ``role``, begins another attempt than ``draft``."""
    if draft is None:
        return True
    order = _BEGINS[role]
    if draft.role is not role:
        return kind in order or draft.ended
    if kind not in order:
        return False
    return not draft.by_kind.keys() <= {*order[: order.index(kind)], Kind.TLS_ESTABLISHED, Kind.VM_CONFIG}


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


@dataclass(slots=True, kw_only=True)
class _Draft:
    """An attempt while its lines come in."""

    role: Role
    paused_before: bool
    config: Observation | None
    observations: list[Observation] = field(default_factory=list)
    by_kind: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    ending: bool = False
    """Something that may be its end was taken: not everything belongs to it any more."""
    closed: bool = False
    """An API call was served after the end: what follows is the operator's."""

    @property
    def ended(self) -> bool:
        if self.role is Role.SOURCE:
            return self._has(_FAILED | _COMPLETED)
        return self.closed or self._has(_RECEIVE_ENDED)

    @property
    def is_attempt(self) -> bool:
        """A request that was turned down, and a destination that only listens, are no attempts."""
        begins = _BEGINS[self.role]
        return not self.by_kind.keys() <= set(begins[:1] if self.role is Role.SOURCE else begins[:3])

    def add(self, seen: Observation) -> None:
        """Take ``seen`` if it belongs to this attempt."""
        kind = seen.kind
        if kind in _OF_NO_ATTEMPT:
            if kind is Kind.API_REQUEST:
                self.closed = self.closed or self.ended or self.role is Role.DESTINATION
            return
        if (self.ending or self.closed) and not self._takes(kind):
            return
        if kind in _ENDINGS:
            self.ending = True
        self.observations.append(seen)
        self.by_kind[kind].append(seen)

    def _has(self, kinds: Iterable[Kind]) -> bool:
        return not self.by_kind.keys().isdisjoint(kinds)

    def _takes(self, kind: str) -> bool:
        """Whether a line of ``kind`` belongs to this attempt after something that may be its end."""
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

    def side(self, process: Vmm, attempt: int) -> Side:
        """The attempt as it stands, and what it amounts to."""
        mode = self._mode()
        lines = Attempt(
            role=self.role,
            observations=tuple(self.observations),
            by_kind={kind: tuple(items) for kind, items in self.by_kind.items()},
            result=self._source_result(mode) if self.role is Role.SOURCE else self._destination_result(),
            mode=mode,
            paused_before=self.paused_before,
            dirty_rounds=dirty_rounds_of(self.observations) if Kind.DIRTY_ROUND in self.by_kind else (),
            vcpus_resume_first=process.vcpus_resume_first,
            config=self.by_kind[Kind.VM_CONFIG][-1] if Kind.VM_CONFIG in self.by_kind else self.config,
        )
        return side_of(lines, process, attempt)

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
