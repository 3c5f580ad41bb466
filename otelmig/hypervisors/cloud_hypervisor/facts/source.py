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
        answered=first(*_ANSWERED) is not None,
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
        killed=killed(attempt),
    )


def _perhaps_stored(attempt: AttemptLines) -> bool:
    """Return whether the other side may be ``offload_daemon``, which takes a local migration as a snapshot."""
    return attempt.mode is Mode.LOCAL and attempt.releases.meet(_WITH_OFFLOAD_DAEMON)


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
    latest = max((end for end in ends if end is not None), key=lambda seen: seen.stamp.ns, default=None)
    return latest or attempt.failure or last


def _failure(attempt: AttemptLines) -> Failure | None:
    """Return the earliest sign of the failure, and what the source's own lines say of its cause.

    What the destination reported over the connection says more than what the source made of it.
    """
    sign = attempt.failure
    if sign is None:
        return None
    text = attempt.first(Kind.SEND_FAILED, Kind.PEER_REPORTED_ERROR)
    timed_out = attempt.first(Kind.TIMED_OUT) is not None
    words = [
        seen.word("error_type")
        for kind in (Kind.PEER_REPORTED_ERROR, Kind.SEND_FAILED)
        if (seen := attempt.first(kind)) is not None
    ]
    known = next((word for word in words if word not in (None, ErrorType.OTHER)), ErrorType.OTHER)
    return Failure(
        at=sign.instant,
        error_type=ErrorType.CONVERGENCE_TIMEOUT if timed_out else ErrorType(known or ErrorType.OTHER),
        text=None if text is None else text.word("error"),
        timed_out=timed_out,
    )
