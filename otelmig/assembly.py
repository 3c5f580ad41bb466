"""Observations of one process -> its migration attempts, and how each ended.

A VMM may send and receive several times in its life; what happens between two attempts (the operator pauses,
resumes, shuts down) belongs to none of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.observation import Kind, Observation
from otelmig.side import Mode, Result, Role, Side, dirty_rounds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.process import Process

__all__ = ["assemble"]

_SOURCE_BEGINS: Final = (Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.SEND_ANNOUNCED)
_DESTINATION_BEGINS: Final = (Kind.RECEIVE_REQUESTED, Kind.RECEIVE_STARTED, Kind.RECEIVE_READY, Kind.ACCEPTED)
"""How an attempt begins, in order: a kind that cannot follow what is there already begins a new attempt."""

_SOURCE_BEGUN: Final = frozenset(
    {Kind.ITERATION_SENT, Kind.FINAL_DELTA_SENT, Kind.COMPLETED, Kind.DIRTY_ROUND, Kind.SEND_FAILED}
)
_DESTINATION_BEGUN: Final = frozenset({Kind.COMMAND_RECEIVED, Kind.STATE_RECEIVED, Kind.RESUME_TIMED})
"""What only an attempt does: a log that begins in its middle still shows it."""

_BEGINNINGS: Final = _SOURCE_BEGUN | _DESTINATION_BEGUN | {*_SOURCE_BEGINS, *_DESTINATION_BEGINS}
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
_AFTER_RECEIVE: Final = _RECEIVE_ENDED | _PREFAULT | _DEATH
_OF_NO_ATTEMPT: Final = frozenset({Kind.PROCESS_STARTED, Kind.PROCESS_EXITED, Kind.API_REQUEST})


def assemble(process: Process) -> Iterator[Side]:
    """Yield the attempts of ``process`` in their order; a destination that nobody connected to is none."""
    counts: dict[Role, int] = defaultdict(int)
    draft: _Draft | None = None
    guest = _Guest()
    for seen in (*process.observations, None):
        begins = None if seen is None else _role_begun(seen, draft)
        if draft is not None and (seen is None or begins is not None):
            if draft.is_attempt:
                counts[draft.role] += 1
                yield draft.side(process, counts[draft.role])
            draft = None
        if seen is None:
            break
        if begins is not None:
            draft = _Draft(role=begins, paused_before=guest.paused, config=guest.config)
        if draft is not None:
            draft.add(seen)
        if seen.kind in _OF_THE_GUEST:
            guest.follow(seen)


def _role_begun(seen: Observation, draft: _Draft | None) -> Role | None:
    """The role of the attempt that ``seen`` begins, if it begins one."""
    if seen.kind not in _BEGINNINGS:
        return None
    for role, begins, begun in (
        (Role.SOURCE, _SOURCE_BEGINS, _SOURCE_BEGUN),
        (Role.DESTINATION, _DESTINATION_BEGINS, _DESTINATION_BEGUN),
    ):
        if seen.kind in begins:
            if draft is None or draft.role is not role:
                return role
            allowed = {*begins[: begins.index(seen.kind)], Kind.TLS_ESTABLISHED, Kind.VM_CONFIG}
            return None if draft.kinds <= allowed else role
        if seen.kind in begun and (draft is None or (draft.role is not role and draft.ended)):
            return role
    return None


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
    kinds: set[Kind] = field(default_factory=set)
    closed: bool = False
    """An API call was served after the end: what follows is the operator's."""

    @property
    def ended(self) -> bool:
        if self.role is Role.SOURCE:
            return not self.kinds.isdisjoint(_FAILED | {Kind.COMPLETED, Kind.SEND_FINISHED})
        return self.closed or not self.kinds.isdisjoint(_RECEIVE_ENDED)

    @property
    def is_attempt(self) -> bool:
        """A request that was turned down, and a destination that only listens, are no attempts."""
        begins = _SOURCE_BEGINS[:1] if self.role is Role.SOURCE else _DESTINATION_BEGINS[:3]
        return not self.kinds <= set(begins)

    def add(self, seen: Observation) -> None:
        """Take ``seen`` if it belongs to this attempt."""
        if seen.kind is Kind.API_REQUEST:
            self.closed = self.closed or self.ended or self.role is Role.DESTINATION
        elif seen.kind not in _OF_NO_ATTEMPT and self._takes(seen.kind):
            if seen.kind is Kind.VM_CONFIG:
                self.config = seen
            self.observations.append(seen)
            self.kinds.add(seen.kind)

    def _takes(self, kind: Kind) -> bool:
        if self.role is Role.DESTINATION:
            if self.closed:
                return kind in _PREFAULT | _DEATH
            return not self.ended or kind in _AFTER_RECEIVE
        if not self.kinds.isdisjoint(_COMPLETED):
            return kind in _AFTER_COMPLETION
        if not self.kinds.isdisjoint(_FAILED):
            if self.closed or Kind.RESUMED_AFTER_FAILURE in self.kinds:
                return kind in _FAILED
            return kind in _AFTER_FAILURE and (kind is not Kind.DEVICE_RESUMING or self._was_paused)
        return True

    @property
    def _was_paused(self) -> bool:
        return not self.kinds.isdisjoint({Kind.VM_PAUSING, Kind.DEVICE_PAUSING})

    def side(self, process: Process, attempt: int) -> Side:
        """The finished story."""
        by_kind: dict[Kind, list[Observation]] = defaultdict(list)
        for seen in self.observations:
            by_kind[seen.kind].append(seen)
        return Side(
            role=self.role,
            process=process,
            attempt=attempt,
            observations=tuple(self.observations),
            by_kind={kind: tuple(items) for kind, items in by_kind.items()},
            result=self._result(),
            mode=self._mode(),
            paused_before=self.paused_before and self.role is Role.SOURCE,
            dirty_rounds=dirty_rounds_of(self.observations) if Kind.DIRTY_ROUND in self.kinds else (),
            config=self.config,
        )

    def _of(self, *kinds: Kind) -> Iterator[Observation]:
        """What was observed of ``kinds``; most attempts have nothing of most kinds."""
        if not self.kinds.isdisjoint(kinds):
            yield from (seen for seen in self.observations if seen.kind in kinds)

    def _commands(self) -> set[str | None]:
        return {seen.word("command") for seen in self._of(Kind.COMMAND_RECEIVED)}

    def _result(self) -> Result:
        if self.role is Role.SOURCE:
            return self._source_result()
        commands = self._commands()
        if "Abandon" in commands or self.kinds & {
            Kind.CPU_INCOMPATIBLE,
            Kind.RECEIVE_ABORTED,
            Kind.RECEIVE_FAILED,
            Kind.PEER_LOST,
        }:
            return Result.FAILURE
        done = {Kind.RECEIVE_FINISHED, Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED}
        if self.kinds & done or ("Complete" in commands and Kind.DEVICE_RESUMING in self.kinds):
            return Result.SUCCESS
        return Result.UNKNOWN

    def _source_result(self) -> Result:
        if Kind.SEND_CANCELLED in self.kinds:
            return Result.CANCELLATION
        if not self.kinds.isdisjoint(_FAILED):
            types = {seen.word("error_type") for seen in self._of(*_FAILED)}
            timed_out = "convergence_timeout" in types or Kind.TIMED_OUT in self.kinds
            return Result.TIMEOUT if timed_out else Result.FAILURE
        if self._mode() is Mode.POSTCOPY:  # complete only once the pages that were left behind are there
            done = {Kind.SEND_FINISHED, Kind.POSTCOPY_DRAINED, Kind.POSTCOPY_FINISHED}
            return Result.SUCCESS if self.kinds & done else Result.UNKNOWN
        return Result.SUCCESS if self.kinds & {Kind.COMPLETED, Kind.SEND_FINISHED} else Result.UNKNOWN

    def _mode(self) -> Mode:
        asked = list(self._of(Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.RECEIVE_REQUESTED))
        if any(seen.flag("local") for seen in asked) or "MemoryFd" in self._commands():
            return Mode.LOCAL
        if any(seen.word("mode") == "postcopy" for seen in asked) or self.kinds & {
            Kind.POSTCOPY_SERVING,
            Kind.PREFAULT_STARTED,
        }:
            return Mode.POSTCOPY
        return Mode.PRECOPY
