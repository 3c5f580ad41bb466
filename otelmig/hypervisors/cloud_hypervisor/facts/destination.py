"""What an attempt's lines amount to on the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.facts.fate import fate, fate_text
from otelmig.hypervisors.cloud_hypervisor.facts.instant import at, device_instants, killed, printed, ran_by, run_window
from otelmig.hypervisors.cloud_hypervisor.failures import is_peer_gone
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.migration.facts import (
    DestinationFacts,
    ErrorType,
    Prefault,
    Refusal,
    Request,
    RequestKind,
    Restore,
    Resume,
)
from otelmig.migration.side import Result
from otelmig.migration.url import MigrationUrl

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

__all__ = ["destination_facts"]

_REQUESTS: Final = {
    str(Command.START): RequestKind.START,
    str(Command.CONFIG): RequestKind.CONFIG,
    str(Command.MEMORY): RequestKind.MEMORY,
    str(Command.STATE): RequestKind.STATE,
    str(Command.COMPLETE): RequestKind.COMPLETE,
}
_ENDS: Final = (
    Kind.RECEIVE_FINISHED,
    Kind.RECEIVE_FAILED,
    Kind.PEER_LOST,
    Kind.RECEIVE_ABORTED,
    Kind.CALL_TO_RECEIVE_FAILED,
)
"""Lines that say that receiving is over, the most telling first."""
_BEFORE_ACCEPT: Final = frozenset({Kind.RECEIVE_REQUESTED, Kind.RECEIVE_STARTED, Kind.RECEIVE_READY})


def destination_facts(attempt: AttemptLines) -> DestinationFacts:
    """Return the facts of an attempt on its destination."""
    first = attempt.first
    started, asked = first(Kind.RECEIVE_STARTED), first(Kind.RECEIVE_REQUESTED)
    mode = None if asked is None else asked.word("mode")
    answer = _failed_call(attempt)
    lost = answer if answer is not None and is_peer_gone(answer.word("error") or "") else None
    return DestinationFacts(
        begun=_begun(attempt).instant,
        end=at(_end(attempt)),
        url=None if started is None else MigrationUrl.of(started.word("url")),
        requested_postcopy=None if mode is None else mode == "postcopy",
        requests=tuple(
            Request(kind=_REQUESTS.get(observation.word("command") or "", RequestKind.OTHER), at=observation.instant)
            for observation in attempt.all(Kind.COMMAND_RECEIVED)
        ),
        restore=_restore(attempt),
        resume=_resume(attempt),
        run=run_window(attempt),
        ran_by=at(ran_by(attempt)),
        finished=at(first(Kind.RECEIVE_FINISHED)),
        left_paused=at(first(Kind.PAUSED_STATE_RECEIVED)),
        took_over=at(first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED)),
        runs=at(first(Kind.VM_RESUMED, Kind.RESUME_TIMED, Kind.DEVICE_RESUMING, Kind.RECEIVE_FINISHED)),
        prefault=_prefault(attempt),
        refusal=_refusal(attempt),
        peer_lost=at(first(Kind.PEER_LOST) or lost),
        peer_lost_text=None if lost is None else lost.word("error"),
        peer_gone=at(_peer_gone(attempt) or lost),
        killed=killed(attempt),
        fate=fate(attempt),
    )


def _begun(attempt: AttemptLines) -> Observation:
    """Return accepted; else the first request; else the CPUID line of Config; else whatever is there."""
    sign = attempt.first(Kind.ACCEPTED) or attempt.command(Command.START) or attempt.first(Kind.CPUID_GENERATED)
    if sign is not None:
        return sign
    later = [observation for observation in attempt.observations if observation.kind not in _BEFORE_ACCEPT]
    return (later or attempt.observations)[0]


def _end(attempt: AttemptLines) -> Observation | None:
    """Return where receiving ends: by the line that says so, else where the guest was started."""
    for kind in _ENDS:
        if (end := attempt.first(kind)) is not None:
            return end
    if attempt.result is not Result.SUCCESS:
        return None
    resumed = attempt.first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED)
    return resumed or attempt.last(Kind.DEVICE_RESUMING)


def _restore(attempt: AttemptLines) -> Restore:
    timed = attempt.first(Kind.STATE_RECEIVED)
    arrived = attempt.command(Command.STATE) or attempt.first(Kind.ACCEPT_STOPPED, Kind.VM_CONFIG, Kind.RESTORING)
    return Restore(
        arrived=at(arrived),
        config=at(attempt.first(Kind.VM_CONFIG)),
        restoring=at(attempt.first(Kind.RESTORING)),
        restored=at(attempt.first(Kind.RESTORED)),
        printed_at=at(timed),
        receive=printed(timed, "receive_ns"),
        restore=printed(timed, "restore_ns"),
        with_wait=printed(timed, "waiting_ns"),
    )


def _resume(attempt: AttemptLines) -> Resume:
    timed = attempt.first(Kind.RESUME_TIMED)
    return Resume(
        resuming=at(attempt.first(Kind.VM_RESUMING)),
        resumed=at(attempt.first(Kind.VM_RESUMED)),
        printed_at=at(timed),
        duration=printed(timed, "resume_ns"),
        devices=device_instants(attempt.all(Kind.DEVICE_RESUMING)),
    )


def _prefault(attempt: AttemptLines) -> Prefault | None:
    begin = attempt.first(Kind.PREFAULT_STARTED)
    if begin is None:
        return None
    done, abandoned = attempt.last(Kind.PREFAULT_DONE), attempt.first(Kind.PREFAULT_FAILED, Kind.UFFD_ENDED)
    told = attempt.shut_down
    if done is None and told is not None and (abandoned is None or told.stamp.ns <= abandoned.stamp.ns):
        return Prefault(begin=begin.instant, cut_off=told.instant)
    return Prefault(begin=begin.instant, done=at(done), abandoned=at(abandoned))


def _peer_gone(attempt: AttemptLines) -> Observation | None:
    """Return the first sign that the source has gone; what breaks after the destination was told to end is no sign."""
    sign = attempt.first(Kind.PEER_LOST, Kind.PREFAULT_ERROR, Kind.PREFAULT_FAILED)
    told = attempt.shut_down
    return None if sign is not None and told is not None and told.stamp.ns <= sign.stamp.ns else sign


def _failed_call(attempt: AttemptLines) -> Observation | None:
    """Return what the API answered to the call to receive, if nothing else says how receiving failed."""
    return attempt.first(Kind.CALL_TO_RECEIVE_FAILED) if attempt.result is Result.FAILURE else None


def _refusal(attempt: AttemptLines) -> Refusal | None:
    """Return why the destination turned the migration down: the root cause of what the source reports."""
    aborted = attempt.first(Kind.RECEIVE_ABORTED)
    if aborted is not None:
        text = f"{aborted.word('command')} failed: {aborted.word('error')}"
        return Refusal(at=aborted.instant, text=text, error_type=_error_type(aborted))
    mismatch = attempt.first(Kind.CPU_INCOMPATIBLE)
    if mismatch is None:
        return _death(attempt) or _refused_call(attempt)
    text = f"Config failed: incompatible CPUID entry: {mismatch.word('error')}"
    return Refusal(at=mismatch.instant, text=text, error_type=_error_type(mismatch), of_request=False)


def _refused_call(attempt: AttemptLines) -> Refusal | None:
    """Return why the call to receive failed, if that is more than that the source has gone."""
    answer = _failed_call(attempt)
    if answer is None:
        return None
    text, error_type = answer.word("error") or "", _error_type(answer)
    if is_peer_gone(text):
        return None
    known = ErrorType.RECEIVE_FAILED if error_type is ErrorType.OTHER else error_type
    return Refusal(at=answer.instant, text=text, error_type=known, of_request=False, did="failed")


def _death(attempt: AttemptLines) -> Refusal | None:
    """Return what killed the destination before it was known to have the guest."""
    observation = attempt.first(Kind.PROCESS_KILLED, Kind.PROCESS_FAILED)
    if observation is None or attempt.result is Result.SUCCESS:
        return None
    error_type = ErrorType.RECEIVE_FAILED
    if attempt.first(Kind.VM_RESUMING, Kind.DEVICE_RESUMING) is not None:
        error_type = ErrorType.RESUME_FAILED
    elif _restore(attempt).arrived is not None:
        error_type = ErrorType.RESTORE_FAILED
    return Refusal(
        at=observation.instant, text=fate_text(observation), error_type=error_type, of_request=False, did="died"
    )


def _error_type(observation: Observation) -> ErrorType:
    return ErrorType(observation.word("error_type") or ErrorType.OTHER)
