"""Where each kind of instant that the protocol orders is found in the lines of an attempt.

An instant is found in the lines of its own side, but what counts may depend on the other side, so every finder takes
the source's lines and the destination's. It returns the instants of its kind in order: some occur several times
(memory iterations), and one that is missing among others is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.causality.handshake import AFTER_CONFIG, endpoint_of, snapshot_cpuid
from otelmig.hypervisors.cloud_hypervisor.causality.memory_match import counted_commands
from otelmig.hypervisors.cloud_hypervisor.causality.memory_requests import (
    final_acknowledged,
    final_written,
    requests_of,
)
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.migration.constraint import Basis, Endpoint
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

    Finder = Callable[[AttemptLines, AttemptLines], Sequence[Endpoint | None]]

__all__ = [
    "answer_read",
    "command",
    "complete_written_after",
    "fault_connect",
    "final_memory",
    "final_memory_acknowledged",
    "final_memory_written",
    "first_of",
    "iterations_acknowledged",
    "iterations_written",
    "last_answered",
    "last_before_drop",
    "last_command",
    "memory_received",
    "paused",
    "peer_failure",
    "peer_lost",
    "received",
    "refusal_read",
    "resumed",
    "resumed_by_any",
    "snapshot_done",
    "state_acknowledged",
    "state_written_after",
    "stops_the_guest",
]


def _source_time(observation: Observation | None, plus_ns: int) -> Endpoint | None:
    """Return the instant ``plus_ns`` after ``observation``."""
    if observation is None:
        return None
    return Endpoint(
        lo_ns=observation.stamp.lo_ns + plus_ns,
        hi_ns=observation.stamp.hi_ns + plus_ns,
        evidence=observation,
        basis=Basis.DERIVED,
    )


def memory_received(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the receipts of Memory that can be told apart."""
    return tuple(Endpoint.of(observation) for observation in counted_commands(source, destination))


def iterations_written(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return, for each request for memory, the last line before it was written; no line says so of the first."""
    return tuple(endpoint_of(request.written_after) for request in requests_of(source).requests if not request.is_final)


def iterations_acknowledged(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return, for each memory iteration, the first line after it was acknowledged."""
    return tuple(
        endpoint_of(request.acknowledged_before) for request in requests_of(source).requests if not request.is_final
    )


def final_memory(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the receipt of the transfer that was made with the guest paused, if none of the others is missing."""
    commands, written = counted_commands(source, destination), requests_of(source)
    if len(commands) != written.most:
        return (None,)
    return tuple(
        Endpoint.of(observation)
        for observation, request in zip(commands, written.requests, strict=True)
        if request.is_final
    ) or (None,)


def final_memory_written(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last line before the transfer that was made with the guest paused."""
    return (endpoint_of(final_written(source)),)


def final_memory_acknowledged(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the first line after the transfer that was made with the guest paused was acknowledged."""
    return (endpoint_of(final_acknowledged(source)),)


def paused(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return a line before State is written, where no line of either says when it was written, or when it came."""
    arrived = destination.command(Command.STATE) or destination.first(*_WITH_STATE)
    if arrived is not None and snapshot_done(source, destination)[0] is not None:
        return (None,)
    return (endpoint_of(source.first(Kind.SNAPSHOTTED, *_BEFORE_STATE)),)


_WITH_STATE: Final = (Kind.ACCEPT_STOPPED, Kind.VM_CONFIG, Kind.RESTORING)
_BEFORE_STATE: Final = (Kind.SNAPSHOTTING, Kind.FINAL_DELTA_SENT, Kind.VM_PAUSED, Kind.VM_PAUSING)


def snapshot_done(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last line before State is written: a dirty table, ``snapshotted``, or the snapshot's CPUID."""
    done = source.first(Kind.SNAPSHOTTED)
    if done is None:
        return (endpoint_of(snapshot_cpuid(source)),)
    later = next(source.following(done), None)
    if later is not None and later.kind is Kind.DIRTY_TABLE:
        return (Endpoint.of(later),)
    return (Endpoint.of(done),)


def _breakdown(source: AttemptLines, name: str) -> int | None:
    line = source.first(Kind.DOWNTIME_BREAKDOWN)
    return None if line is None else line.number(name)


def _before_snapshot(source: AttemptLines) -> Observation | None:
    """Return a line printed before the snapshot's own clock started."""
    return source.first(Kind.FINAL_DELTA_SENT, Kind.VM_PAUSED)


def state_written_after(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return a time before which State was not written: the snapshot's printed (truncated) time after it began."""
    snapshot = _breakdown(source, "snapshot_ns")
    if snapshot is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot),)


def complete_written_after(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return a time before which Complete was not written: after snapshot and send, by their printed times."""
    snapshot, send = _breakdown(source, "snapshot_ns"), _breakdown(source, "send_ns")
    if snapshot is None or send is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot + send),)


def state_acknowledged(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return a time by which State was acknowledged: Complete's printed (truncated) time before the end.

    Only this late end is proved: the completion line is stamped some time after the acknowledgement (5 ms were
    seen on a busy host), so no line says how early Complete can have been written.
    """
    complete = _breakdown(source, "complete_ns")
    if complete is None:
        return (None,)
    return (_source_time(source.first(Kind.COMPLETED), -complete),)


def fault_connect(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the second connect of postcopy: the connection that carries page faults."""
    connects = source.all(Kind.CONNECTING)
    return (Endpoint.of(connects[1]),) if source.mode is Mode.POSTCOPY and len(connects) > 1 else (None,)


def last_before_drop(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's last line before it closed the connection or died: its thread's last one before that.

    Where no line says that it failed, that line may be missing, so what is printed after a failure is none of these.
    """
    failure = source.failure
    if source.result is Result.SUCCESS or not source.observations:
        return (None,)
    last = None
    for observation in source.observations:
        if observation is failure or (failure is None and observation.kind not in _WHILE_CONNECTED):
            break
        if failure is None or (observation.thread == failure.thread and observation.kind is not Kind.SEND_FAILED):
            last = observation
    return (endpoint_of(last),)


_WHILE_CONNECTED: Final = frozenset(
    {
        Kind.SEND_REQUESTED,
        Kind.SEND_STARTED,
        Kind.SEND_ANNOUNCED,
        Kind.CONNECTING,
        Kind.TLS_ESTABLISHED,
        Kind.START_ACKNOWLEDGED,
        Kind.PROTOCOL_AGREED,
        Kind.CPUID_GENERATED,
        *AFTER_CONFIG,
        Kind.SNAPSHOTTED,
    }
)
"""What a source prints before its end of the connection is closed, if nothing but its log's end says that it was."""


def refusal_read(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's failure, which follows the refusal that it read."""
    return (endpoint_of(source.failure),)


def answer_read(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's failure, where its text says that the destination answered so, to Config or State."""
    types = {observation.word("error_type") for kind in _REPORTED for observation in source.all(kind)}
    return (endpoint_of(source.failure),) if types & _ANSWERS else (None,)


_REPORTED: Final = (Kind.SEND_FAILED, Kind.PEER_REPORTED_ERROR)
_ANSWERS: Final = frozenset({ErrorType.CONFIG_REJECTED, ErrorType.RESTORE_FAILED})


def peer_failure(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's failure, where its text says that the destination's end of the connection went away."""
    failed = source.first(Kind.SEND_FAILED)
    by_peer = failed is not None and failed.word("error_type") == ErrorType.SOCKET_ERROR
    return (endpoint_of(source.failure),) if by_peer else (None,)


def last_command(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last request whose header the destination read."""
    commands = destination.all(Kind.COMMAND_RECEIVED)
    return (Endpoint.of(commands[-1]),) if commands else (None,)


def last_answered(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last request whose header the destination read, but for Abandon: that is sent after an answer."""
    commands = [
        observation
        for observation in destination.all(Kind.COMMAND_RECEIVED)
        if observation.word("command") != Command.ABANDON
    ]
    return (Endpoint.of(commands[-1]),) if commands else (None,)


def first_of(*kinds: Kind) -> Finder:
    """Return a finder of the first observation of the first of ``kinds`` that the source has."""
    return lambda source, _: (endpoint_of(source.first(*kinds)),)


def received(*kinds: Kind) -> Finder:
    """Return a finder of the first observation of the first of ``kinds`` that the destination has."""
    return lambda _, destination: (endpoint_of(destination.first(*kinds)),)


def resumed(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return where the destination resumed the guest; None if the source did not pause it: the operator resumed it."""
    return resumed_by_any(destination) if stops_the_guest(source) else (None,)


def resumed_by_any(destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return where the destination's guest was resumed, whoever did."""
    return (endpoint_of(destination.first(Kind.VM_RESUMED, Kind.VM_RESUMING)),)


def stops_the_guest(source: AttemptLines) -> bool:
    """Return whether it is the migration that paused the guest."""
    return not source.paused_before and source.first(Kind.VM_PAUSING, Kind.VM_PAUSED, Kind.DEVICE_PAUSING) is not None


def command(name: Command) -> Finder:
    """Return a finder of the first receipt of the request ``name``."""
    return lambda _, destination: (endpoint_of(destination.command(name)),)


def peer_lost(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return where the destination found the connection closed; None where it may have closed it itself."""
    if destination.first(Kind.RECEIVE_ABORTED, Kind.RECEIVE_FAILED) is not None:
        return (None,)
    return (endpoint_of(destination.first(Kind.PEER_LOST)),)
