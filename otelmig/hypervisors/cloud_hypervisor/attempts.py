"""Observations of one process -> its migration attempts: a VMM may send and receive several times in its life."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempt import Attempt
from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import BEFORE, BEGINS, BESIDES, ROLES
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, DEVICES_FIRST
from otelmig.migration.side import Role, SideState
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation

__all__ = ["Attempts", "attempts_in"]

_MOST_UNCLAIMED: Final = 256
"""At most so many lines before the first that shows an attempt are taken for its own."""
_OF_BOOT: Final = frozenset({Kind.VM_CONFIG, Kind.CPUID_GENERATED})
"""What a process also prints when it boots its guest."""
_BOOTS: Final = frozenset({"VmCreate", "VmBoot"})
_STANDS: Final = frozenset({Kind.VM_PAUSED, Kind.PAUSED_STATE_RECEIVED})
"""Lines by which the guest is paused."""
_RUNS: Final = frozenset({Kind.PROCESS_STARTED, Kind.VM_RESUMED, Kind.RESUMED_AFTER_FAILURE})
"""Lines by which it runs; after a process's start it does unless a line says that it was stopped, or never ran."""
_MAY_STAND: Final = frozenset({Kind.VM_PAUSING, Kind.DEVICE_PAUSING})
"""Lines after which it may be paused: what says that it is may be lost."""
_MAY_RUN: Final = frozenset({Kind.VM_RESUMING, Kind.DEVICE_RESUMING, Kind.VM_REBOOTING})
_MAY_BE_EITHER: Final = frozenset({Kind.RESTORING, Kind.RESTORED, Kind.GUEST_SHUT_DOWN, Kind.VCPU_FAILED})
_CALLS: Final[dict[str, frozenset[str]]] = {
    "VmCreate": _RUNS,
    "VmBoot": _RUNS,
    "VmPause": _MAY_STAND,
    "VmResume": _MAY_RUN,
    "VmReboot": _MAY_RUN,
    "VmRestore": _MAY_BE_EITHER,
}
"""What is known of the guest after an API call, as after lines of these kinds; until v49 no other line says more."""
_SIGNS: Final[dict[str, frozenset[str]]] = {
    kind: signs for signs in (_STANDS, _RUNS, _MAY_STAND, _MAY_RUN, _MAY_BE_EITHER) for kind in signs
}
_OF_THE_GUEST: Final = frozenset({Kind.API_REQUEST, Kind.VM_CONFIG, Kind.VCPUS_STARTED, *_SIGNS})
_BEFORE_ITS_PAUSE: Final = frozenset({Kind.ITERATION_SENT, Kind.DIRTY_ROUND, Kind.PRECOPY_CONVERGED})
"""Lines that a source prints before the migration pauses its guest."""
# looked at for every line: as attributes of their enumerations they take eight times as long to look up
_VM_CONFIG: Final = Kind.VM_CONFIG
_API_REQUEST: Final = Kind.API_REQUEST
_VCPUS_STARTED: Final = Kind.VCPUS_STARTED
_DEVICE_RESUMING: Final = Kind.DEVICE_RESUMING
_PROCESS_STARTED: Final = Kind.PROCESS_STARTED
_BEFORE_ACKNOWLEDGEMENT: Final[dict[str, Kind]] = {
    Kind.SEND_ANNOUNCED: Kind.CONNECTING,
    Kind.ACCEPTED: Kind.COMMAND_RECEIVED,
}
"""What stands between the two meanings of an event: after the first of them, before the second."""


class _Guest(Struct):
    """What the process last said of the guest it holds.

    An operator's pause or resume leaves two lines or more: where one of them is lost, the others leave it open.
    """

    runs: bool | None = None
    """None if no line says that it runs, or that it is paused."""
    restored: bool = False
    """Whether it is one that was stored, or comes from elsewhere: it waits to be resumed."""
    config: Observation | None = None

    def follow(self, observation: Observation, current: Attempt | None, releases: Releases) -> None:
        """Take what a line says of a process of any of ``releases`` in the middle of ``current``, or after it."""
        kind = observation.kind
        if kind is _VM_CONFIG:
            self.config = observation
            received = current is not None and current.role is Role.DESTINATION and not current.ended
            self._become(_MAY_BE_EITHER if self.restored or received else _RUNS)
        elif kind is _API_REQUEST:
            call = observation.word("call")
            self.restored = call == "VmRestore" or (self.restored and call not in _BOOTS)
            self._become(_CALLS.get(call or ""))
        elif kind is _VCPUS_STARTED:
            self._become(_MAY_BE_EITHER if observation.flag("paused") else _RUNS)
        elif kind is _DEVICE_RESUMING and not releases.meet(DEVICES_FIRST):
            self._become(_RUNS)
        else:
            self._become(_SIGNS[kind])

    def _become(self, signs: frozenset[str] | None) -> None:
        if signs is None:
            return
        if signs is _RUNS or signs is _STANDS:
            self.runs = signs is _RUNS
        elif signs is _MAY_BE_EITHER or self.runs is (signs is _MAY_STAND):
            self.runs = None


class Attempts(Struct):
    """The migration attempts of one process while its observations come in."""

    begun: list[Attempt] = field(default_factory=list)
    """Everything that began as an attempt does and is one, or may become one, in order."""
    changed: list[Attempt] = field(default_factory=list)
    """Attempts whose state changed, or whose last word was read, since whoever emits them cleared this."""
    _guest: _Guest = field(default_factory=_Guest)
    _unclaimed: deque[Observation] | None = field(default_factory=lambda: deque(maxlen=_MOST_UNCLAIMED))
    """What a process did before its first attempt; None once somebody asked it for something, or it has one."""
    _counts: Counter[Role] = field(default_factory=Counter)
    _before_hole: Where | None = None
    """The last line before the last lines that are known to be missing."""

    @property
    def current(self) -> Attempt | None:
        """The attempt that the next line may belong to."""
        return self.begun[-1] if self.begun else None

    def received(self, observation: Observation, word: LastWord | None, latest_zero_ns: int | None) -> None:
        """Tell the attempt that ``observation`` is the latest line of when its process's clock can have read zero.

        That is known by all lines so far. What is read after the last word has no say: the attempt may have been told
        of by then.
        """
        attempt = None if latest_zero_ns is None else self.current
        if (
            attempt is None
            or not attempt.observations
            or attempt.observations[-1] is not observation
            or observation.kind in BESIDES
        ):
            return
        if word is not None or attempt.last_word is None or attempt.latest_zero_ns is None:
            attempt.latest_zero_ns = latest_zero_ns

    def take(self, observation: Observation, word: LastWord | None = None, releases: Releases = ALL) -> None:
        """Take what the process did next.

        ``word`` says whose last word it is, if it is one of the ``releases`` that the process may be of.
        """
        kind = observation.kind
        if kind is _VCPUS_STARTED:  # belongs to a boot, or stands between lines of a restore that say as much
            self._guest.follow(observation, self.current, releases)
            return
        role = ROLES.get(kind)
        current = self.begun[-1] if self.begun else None
        if role is not None and _begins(kind, role, current):
            if current is not None and _acknowledges(kind, role, current):
                observation = replace(observation, kind=Kind.START_ACKNOWLEDGED)
            else:
                current = self._begin(role, current, kind)
        if current is not None and current.add(observation, word, releases):
            self.changed.append(current)
        elif self._unclaimed is not None:
            self._unclaimed.append(observation)
            if kind is _PROCESS_STARTED or observation.word("call") in _BOOTS:
                self._unclaimed.clear()
            elif kind is _API_REQUEST:
                self._unclaimed = None
        if kind in _OF_THE_GUEST:
            self._guest.follow(observation, current, releases)
        if self._before_hole is not None and observation.where == self._before_hole:
            self._guest.runs = None

    def _begin(self, role: Role, current: Attempt | None, kind: str) -> Attempt:
        """Begin an attempt with a line of ``kind``.

        If that is from its middle, the log begins there, or lines are lost: nobody asked the process for anything, and
        what it did before is the attempt's. Only a pause before a line that a source prints while its guest runs is
        the operator's.
        """
        if current is not None:
            self._leave(current)
        before = () if kind in BEGINS[role] else (self._unclaimed or ())
        runs = None if before and kind not in _BEFORE_ITS_PAUSE else self._guest.runs
        attempt = Attempt(role=role, number=self._counts[role] + 1, ran_before=runs, config=self._guest.config)
        self.begun.append(attempt)
        self._unclaimed = None
        strange: frozenset[str] = frozenset() if role is Role.DESTINATION else _OF_BOOT
        if kind in _BEFORE_ITS_PAUSE:
            strange |= _OF_THE_GUEST
        for observation in before:
            if observation.kind not in strange:
                attempt.add(observation, None, ALL)
        return attempt

    def amend(self, observation: Observation, whole: Observation) -> None:
        """Put ``whole`` in the place of ``observation``, one of the last observations, whose record went on."""
        for attempt in self.begun[-2:]:
            attempt.amend(observation, whole)

    def after_hole(self, last: Observation) -> None:
        """Note that lines are missing after ``last``: they may have said that the guest was paused, or resumed."""
        self._before_hole, self._guest.runs = last.where, None

    def repeat(self, observations: Iterable[Observation], words: Iterable[LastWord | None], releases: Releases) -> None:
        """Take everything again, since the order of the last observations changed; attempts stay the same objects."""
        again = Attempts(_before_hole=self._before_hole)
        for observation, word in zip(observations, words, strict=True):
            again.take(observation, word, releases)
        before = {(attempt.role, attempt.number): attempt for attempt in self.begun}
        for at, attempt in enumerate(again.begun):
            own = before.get((attempt.role, attempt.number))
            if own is None:
                own = attempt
                changed = attempt.known
            else:
                changed = attempt.known and attempt.observations != own.observations
                own.become(attempt)
            again.begun[at] = own
            if changed:
                self.changed.append(own)
        self.begun, self._guest, self._counts = again.begun, again._guest, again._counts

    def end(self) -> list[Attempt]:
        """Return all attempts: nothing more will come."""
        if self.begun and not self.begun[-1].is_attempt:
            self.begun.pop()
        for attempt in self.begun:
            attempt.state = SideState.OVER
        self.changed.clear()
        return self.begun

    def _leave(self, attempt: Attempt) -> None:
        """Close ``attempt``, since another one begins: no line of the process can belong to it any more."""
        if not attempt.is_attempt:
            self.begun.pop()
            return
        attempt.goes_on = True
        self._counts[attempt.role] += 1
        if attempt.state is not SideState.OVER:
            attempt.state = SideState.OVER
            self.changed.append(attempt)


def attempts_in(observations: Iterable[Observation]) -> list[Attempt]:
    """Return the attempts of a process that did all this; a destination that nobody connected to is none."""
    attempts = Attempts()
    for observation in observations:
        attempts.take(observation)
    return attempts.end()


def _begins(kind: str, role: Role, attempt: Attempt | None) -> bool:
    """Return whether a line of ``kind``, which belongs to ``role``, begins another attempt than ``attempt``."""
    if attempt is None:
        return True
    before = BEFORE.get(kind)
    if attempt.role is not role:
        return before is not None or attempt.ended
    return before is not None and not attempt.by_kind.keys() <= before


def _acknowledges(kind: str, role: Role, attempt: Attempt) -> bool:
    """Return whether an event that begins an attempt until HEAD acknowledges the start of this one.

    After HEAD another event comes first; where that is missing, what came before this one tells.
    """
    before = _BEFORE_ACKNOWLEDGEMENT.get(kind)
    return before in attempt.by_kind and attempt.role is role and not attempt.ended
