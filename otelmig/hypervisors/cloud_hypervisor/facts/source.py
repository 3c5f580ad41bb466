"""What an attempt's lines amount to on the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.facts.downtime import (
    before_downtime,
    downtime,
    downtime_parts,
    pause,
    snapshot,
)
from otelmig.hypervisors.cloud_hypervisor.facts.fate import ended_by_fate, fate, fate_text
from otelmig.hypervisors.cloud_hypervisor.facts.instant import at, killed, run_window
from otelmig.hypervisors.cloud_hypervisor.facts.memory import memory_copy
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import since
from otelmig.migration.facts import ErrorType, Failure, SourceFacts, Terms
from otelmig.migration.side import Mode, Result
from otelmig.migration.url import MigrationUrl

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

__all__ = ["source_facts"]

_WITH_OFFLOAD_DAEMON: Final = since("v53.0")
_ANSWERED: Final = (
    Kind.START_ACKNOWLEDGED,
    Kind.PROTOCOL_AGREED,
    Kind.CPUID_GENERATED,
    Kind.ITERATION_SENT,
    Kind.ITERATION_ANNOUNCED,
    Kind.DIRTY_ROUND,
    Kind.VM_PAUSING,
    Kind.COMPLETED,
    Kind.SEND_FINISHED,
    Kind.PEER_REPORTED_ERROR,
)
"""Lines that follow Start's acknowledgement."""


_STOPPED: Final = (
    Kind.VM_PAUSING,
    Kind.DEVICE_PAUSING,
    Kind.VM_PAUSED,
    Kind.SNAPSHOTTING,
    Kind.SNAPSHOTTED,
    Kind.FINAL_DELTA_SENT,
    Kind.VM_RESUMING,
    Kind.VM_RESUMED,
    Kind.DEVICE_RESUMING,
    Kind.RESUMED_AFTER_FAILURE,
    Kind.COMPLETED,
)
"""Lines that show that the guest was stopped by the migration."""
_STOPPED_BEFORE: Final = (Kind.SNAPSHOTTING, Kind.SNAPSHOTTED, Kind.FINAL_DELTA_SENT, Kind.COMPLETED)
"""Those that a migration prints of a guest that was paused before, too."""
_BEFORE_PAUSE: Final = frozenset({ErrorType.CONFIG_REJECTED, ErrorType.CONVERGENCE_TIMEOUT})
"""Errors that a migration meets while its guest runs."""
_IN_PAUSE: Final = frozenset(
    {
        ErrorType.PAUSE_FAILED,
        ErrorType.SNAPSHOT_FAILED,
        ErrorType.RESTORE_FAILED,
        ErrorType.RESUME_FAILED,
        ErrorType.COMPLETE_FAILED,
        ErrorType.POSTCOPY_FAILED,
    }
)
"""Errors that it meets while the guest stands still, or as it stops it."""
_OF_PAUSED: Final = frozenset({ErrorType.PAUSE_FAILED, ErrorType.RESUME_FAILED})
"""Those of them after which a guest that was paused before may run."""
_OLD_CONNECT: Final = "MigrateSend(Error connecting to "


def source_facts(attempt: AttemptLines) -> SourceFacts:
    """Return the facts of an attempt on its source."""
    first = attempt.first
    return SourceFacts(
        begun=at(first(Kind.SEND_STARTED, Kind.SEND_ANNOUNCED, Kind.SEND_REQUESTED)),
        end=_end(attempt).instant,
        terms=_terms(attempt),
        connecting=at(first(Kind.CONNECTING, Kind.SEND_STARTED, Kind.SEND_ANNOUNCED)),
        last_connecting=at(attempt.last(Kind.CONNECTING)),
        handshake=at(first(Kind.CPUID_GENERATED, Kind.PROTOCOL_AGREED)),
        answered=_was_answered(attempt),
        memory=memory_copy(attempt),
        before_downtime=before_downtime(attempt),
        pause=pause(attempt),
        snapshot=snapshot(attempt),
        downtime=downtime(attempt),
        downtime_parts=downtime_parts(attempt),
        logging_ns=attempt.logging_ns,
        handed_over=at(first(Kind.COMPLETED, Kind.SEND_FINISHED)),
        perhaps_stored=_perhaps_stored(attempt),
        drained=at(first(Kind.POSTCOPY_DRAINED, Kind.POSTCOPY_FINISHED)),
        finished=at(first(Kind.SEND_FINISHED)),
        failure=_failure(attempt),
        resumed=at(attempt.resumed),
        resume_failed=at(first(Kind.RESUME_FAILED)),
        run=run_window(attempt),
        ran_before=attempt.ran_before is True,
        never_paused=_never_paused(attempt),
        killed=killed(attempt),
        fate=fate(attempt),
    )


def _perhaps_stored(attempt: AttemptLines) -> bool:
    """Return whether the other side may be ``offload_daemon``, which takes a local migration as a snapshot."""
    return attempt.mode is Mode.LOCAL and attempt.releases.meet(_WITH_OFFLOAD_DAEMON)


def _never_paused(attempt: AttemptLines) -> bool:
    """Return whether the migration failed before it stopped the guest, in a log that would say if it had."""
    stopped = [kind for kind in _STOPPED if not attempt.paused_before or kind not in _STOPPED_BEFORE]
    if attempt.failure is None or attempt.first(*stopped) is not None:
        return False
    in_pause = _OF_PAUSED if attempt.paused_before else _IN_PAUSE
    if any(observation.word("error_type") in in_pause for observation in attempt.all(Kind.SEND_FAILED)):
        return False  # then the lines of the pause are lost, or those of the resume
    if attempt.first(Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.SEND_ANNOUNCED) is not None:
        return True
    failed = attempt.first(Kind.SEND_FAILED)
    if failed is None:
        return False
    # from v53.0 on, which words errors without parentheses, a postcopy connects once more with its guest paused
    return failed.word("error_type") in _BEFORE_PAUSE or (failed.word("error") or "").startswith(_OLD_CONNECT)


def _was_answered(attempt: AttemptLines) -> bool:
    """Return whether any line can only follow Start's acknowledgement: a second connect, a failure of what follows."""
    if attempt.first(*_ANSWERED) is not None or len(attempt.all(Kind.CONNECTING)) > 1:
        return True
    failure = _failure(attempt)
    return failure is not None and failure.error_type in _FAILED_LATER


_FAILED_LATER: Final = frozenset(ErrorType) - {
    ErrorType.CONNECTION_FAILED,
    ErrorType.TLS_ERROR,
    ErrorType.SEND_FAILED,
    ErrorType.OTHER,
}
"""What goes wrong only with somebody at the other end."""


def _terms(attempt: AttemptLines) -> Terms:
    started, protocol = attempt.first(Kind.SEND_STARTED), attempt.first(Kind.PROTOCOL_AGREED)
    terms = Terms(connections=attempt.connections, protocol=None if protocol is None else protocol.number("protocol"))
    if started is None:
        return terms
    return Terms(
        url=MigrationUrl.of(started.word("url")),
        tls=started.flag("tls"),
        downtime_target_ns=started.number("target_ns"),
        timeout_ns=started.number("timeout_ns"),
        timeout_strategy=started.word("strategy"),
        connections=terms.connections,
        protocol=terms.protocol,
    )


def _end(attempt: AttemptLines) -> Observation:
    """Return the last line of the attempt that is about the migration itself."""
    last = attempt.observations[-1]
    if attempt.result is Result.UNKNOWN:
        return last
    if attempt.result is Result.SUCCESS and attempt.first(Kind.COMPLETED, Kind.SEND_FINISHED) is not None:
        released = attempt.first(Kind.SEND_FINISHED, Kind.POSTCOPY_FINISHED, Kind.POSTCOPY_DRAINED)
        return released or attempt.first(Kind.COMPLETED) or last
    ends = [
        *(
            attempt.last(kind)
            for kind in (
                Kind.RESUMED_AFTER_FAILURE,
                Kind.VM_RESUMED,
                Kind.SEND_FAILED,
                Kind.SEND_FAILURE_ANNOUNCED,
                Kind.SEND_CANCELLED,
                Kind.SEND_FINISHED,
            )
        ),
        attempt.resumed,
    ]
    latest = max((end for end in ends if end is not None), key=lambda observation: observation.stamp.ns, default=None)
    return latest or attempt.failure or last


def _failure(attempt: AttemptLines) -> Failure | None:
    """Return the earliest sign of the failure, and what the source's own lines say of its cause.

    What the destination reported over the connection says more than what the source made of it.
    """
    sign = attempt.failure
    if sign is None:
        return _end_of_process(attempt) if ended_by_fate(attempt) else None
    text = attempt.first(Kind.SEND_FAILED, Kind.PEER_REPORTED_ERROR)
    timed_out = attempt.first(Kind.TIMED_OUT) is not None
    words = [
        observation.word("error_type")
        for kind in (Kind.PEER_REPORTED_ERROR, Kind.SEND_FAILED)
        if (observation := attempt.first(kind)) is not None
    ]
    known = next((word for word in words if word not in (None, ErrorType.OTHER)), ErrorType.OTHER)
    return Failure(
        at=sign.instant,
        error_type=ErrorType.CONVERGENCE_TIMEOUT if timed_out else ErrorType(known or ErrorType.OTHER),
        text=None if text is None else text.word("error"),
        timed_out=timed_out,
    )


def _end_of_process(attempt: AttemptLines) -> Failure:
    """Return the failure of a source whose process did not survive what its guest did, or failed by itself."""
    reset, shut_down = attempt.first(Kind.GUEST_RESET, Kind.VM_REBOOTING), attempt.first(Kind.GUEST_SHUT_DOWN)
    failed = attempt.last(Kind.PROCESS_FAILED, Kind.VCPU_FAILED)
    said = reset or shut_down
    end = failed or said or attempt.observations[-1]
    texts = [] if said is None else [f"{fate_text(said)} ({said.where})"]
    if failed is not None:
        texts.append(fate_text(failed))
    if reset is not None:
        what, kind = "the guest was reset while it migrated, which ended its VMM", ErrorType.GUEST_RESET
    elif shut_down is not None:
        what, kind = "the guest shut down while it migrated, which ended its VMM", ErrorType.GUEST_SHUT_DOWN
    else:
        what, kind = "the source's process ended by itself", ErrorType.OTHER
    return Failure(at=end.instant, error_type=kind, text=f"{what}: {'; '.join(texts)}")
