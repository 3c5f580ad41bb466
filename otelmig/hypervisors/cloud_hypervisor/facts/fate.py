"""What the lines of an attempt say of its guest's fate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import COMPLETED, ENDS_PROCESS, FAILED, FATES, HAS_GUEST
from otelmig.hypervisors.cloud_hypervisor.facts.instant import killer
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.facts import Fate, GuestFate
from otelmig.migration.side import Result, Role
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.facts import Instant
    from otelmig.migration.observation import Observation

__all__ = ["ended_by_fate", "fate", "fate_text"]

_FATES: Final[dict[str, Fate]] = {
    Kind.GUEST_PANICKED: Fate.PANICKED,
    Kind.GUEST_RESET: Fate.RESET,
    Kind.VM_REBOOTING: Fate.RESET,
    Kind.GUEST_SHUT_DOWN: Fate.SHUT_DOWN,
    Kind.VCPU_FAILED: Fate.KILLED,
    Kind.PROCESS_FAILED: Fate.KILLED,
    Kind.PROCESS_KILLED: Fate.KILLED,
}
_OVERRULED: Final = {
    Fate.PANICKED: frozenset[Fate](),
    Fate.RESET: frozenset({Fate.PANICKED}),
    Fate.SHUT_DOWN: frozenset({Fate.PANICKED, Fate.RESET}),
    Fate.KILLED: frozenset({Fate.PANICKED, Fate.RESET}),
}
"""What each fate puts an end to: a guest that panicked may be reset, and then runs (a failing vCPU is no fate then)."""
_KILLS: Final = frozenset({Kind.PROCESS_FAILED, Kind.PROCESS_KILLED})
_ENDS_PROCESS: Final[dict[Fate, frozenset[Kind]]] = {
    Fate.PANICKED: _KILLS | {Kind.VCPU_FAILED},
    Fate.RESET: _KILLS,
    Fate.SHUT_DOWN: _KILLS,
    Fate.KILLED: _KILLS | {Kind.VCPU_FAILED},
}
"""What ends the process of a guest that has met a fate: a vCPU that fails does, unless it fails in a reset."""
_SOON_NS: Final = SECOND_NS
_SIGNS: Final = FATES | {Kind.PROCESS_KILLED}


def fate(attempt: AttemptLines) -> GuestFate | None:
    """Return what became of the guest while it was this attempt's; None if nothing did, or nothing says so."""
    signs = [observation for observation in attempt.observations if observation.kind in _SIGNS]
    if not signs:
        return None
    ran = _ran(attempt)
    if attempt.role is Role.DESTINATION and ran is None:
        return None
    if attempt.role is Role.SOURCE and attempt.first(*COMPLETED) is not None:
        return None
    latest = _FATES[signs[0].kind]
    deciding = signs[0]
    for observation in signs[1:]:
        following = _FATES[observation.kind]
        if latest in _OVERRULED[following] and observation.kind is not Kind.VCPU_FAILED:
            latest, deciding = following, observation
    if attempt.role is Role.DESTINATION and latest is Fate.KILLED and attempt.result is not Result.SUCCESS:
        return None  # it died while it resumed the guest, and may not have run it
    gone = any(observation.kind in _ENDS_PROCESS[latest] for observation in signs)
    gone = gone or (latest is Fate.PANICKED and _ends_soon(attempt, deciding))
    if ended_by_fate(attempt) and latest is Fate.RESET:
        latest, gone = Fate.KILLED, True
    texts = dict.fromkeys(fate_text(observation) for observation in (signs[0], deciding))
    return GuestFate(
        fate=latest,
        at=signs[0].instant,
        text="; ".join(texts),
        ran_since=ran,
        timed=signs[0].kind is not Kind.PROCESS_KILLED,
        vmm_gone=gone,
    )


def _ends_soon(attempt: AttemptLines, sign: Observation) -> bool:
    """Return whether the process ended within moments of a sign, too soon for an operator."""
    told = attempt.shut_down
    if told is None or told.word("call") != ENDS_PROCESS:
        return False
    return 0 <= told.stamp.ns - sign.stamp.ns <= _SOON_NS


def ended_by_fate(attempt: AttemptLines) -> bool:
    """Return whether what became of its guest is all that ended this source."""
    failed = attempt.role is Role.SOURCE and attempt.result is Result.FAILURE
    return failed and attempt.first(*FAILED) is None


def fate_text(observation: Observation) -> str:
    """Return a sign of a fate in the hypervisor's own words."""
    match observation.kind:
        case Kind.GUEST_PANICKED:
            return "the guest panicked"
        case Kind.VM_REBOOTING:
            return "event rebooting"
        case Kind.PROCESS_KILLED:
            return f"killed by {killer(observation)}"
        case _:
            error = observation.word("error")
            sign = observation.word("sign") or ""
            return sign if error is None else f"{sign}: {error}"


def _ran(attempt: AttemptLines) -> Instant | None:
    """Return since when the guest was said to run on this side, if it has not run there all the time."""
    if attempt.role is Role.DESTINATION:
        ran = attempt.first(*HAS_GUEST)
    else:
        ran = attempt.resumed if attempt.failure is not None else None
    return None if ran is None else ran.instant
