"""Instants of a migration that the protocol orders, and which releases print them at which verbosity.

An instant is found in the lines of its own side, but what counts may depend on the other side, so every finder takes
both. Some kinds of instants occur several times (memory iterations); one that is missing among others is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, Releases, since, until
from otelmig.migration.constraint import Basis, Endpoint
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

    Finder = Callable[[AttemptLines, AttemptLines], Sequence[Endpoint | None]]

__all__ = ["DESTINATION", "SOURCE", "Instant", "LogFlags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFlags:
    """What it takes for an instant to be printed: ``verbosity`` times ``-v``, or else the event monitor."""

    verbosity: int = 0
    event_monitor: bool = False

    def __or__(self, other: LogFlags) -> LogFlags:
        """What it takes for both."""
        return LogFlags(
            verbosity=max(self.verbosity, other.verbosity), event_monitor=self.event_monitor or other.event_monitor
        )

    def __str__(self) -> str:
        flags = ["-" + "v" * self.verbosity] if self.verbosity else []
        return ", ".join([*flags, "--event-monitor"] if self.event_monitor else flags) or "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A kind of instant on one side."""

    key: str
    """Its name in the ids of rules."""
    find: Finder
    """The instants of this kind in their order, given the source and the destination."""
    printed: tuple[tuple[Releases, LogFlags], ...]
    """Which releases print it, and what that takes."""

    def need(self, release: int) -> LogFlags | None:
        """Return what it takes in a release (an index into ``RELEASES``); None if it does not print it."""
        return next((need for releases, need in self.printed if releases.first <= release <= releases.last), None)


_ALWAYS: Final = LogFlags()
_V: Final = LogFlags(verbosity=1)
_VV: Final = LogFlags(verbosity=2)
_VVV: Final = LogFlags(verbosity=3)
_MONITOR: Final = LogFlags(event_monitor=True)
_INFO: Final = ((ALL, _V),)
_EVENT: Final = ((until("v49.0"), _MONITOR), (since("v50.0"), _V))
_TIMED: Final = ((since("v52.0"), _VV),)
_COMMAND: Final = ((until("v49.0"), _V), (until("v52.0", first="v50.0"), _VVV), (since("v53.0"), _VV))


def _endpoint(seen: Observation | None) -> Endpoint | None:
    return None if seen is None else Endpoint.of(seen)


def _source_time(seen: Observation | None, plus_ns: int) -> Endpoint | None:
    """Return the instant ``plus_ns`` after ``seen``."""
    if seen is None:
        return None
    return Endpoint(lo_ns=seen.stamp.lo_ns + plus_ns, hi_ns=seen.stamp.hi_ns + plus_ns, seen=seen, basis=Basis.DERIVED)


def _acknowledged_start(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's first line after Start was acknowledged."""
    lines = [seen for kind in _AFTER_START if (seen := source.first(kind))]
    if not lines:  # no CPUID is generated on other architectures, and events carry none
        lines = [seen for seen in (_after_pass(source, 0), source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING)) if seen]
    return (_endpoint(min(lines, key=lambda seen: seen.stamp.ns, default=None)),)


_AFTER_START: Final = (Kind.PROTOCOL_AGREED, Kind.CPUID_GENERATED, Kind.START_ACKNOWLEDGED)


def _acknowledged_config(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's first line after Config was acknowledged: a further connect, an iteration, or the pause."""
    if source.mode is Mode.PRECOPY:
        connects = source.all(Kind.CONNECTING)
        if source.connections > 1 and len(connects) > 1:
            return (Endpoint.of(connects[1]),)
        return (_endpoint(_after_pass(source, 0)),)
    return (_endpoint(source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING, Kind.SNAPSHOTTING)),)


def _after_pass(source: AttemptLines, index: int) -> Observation | None:
    """Return the first line after memory iteration ``index`` was acknowledged."""
    for kind in (Kind.ITERATION_SENT, Kind.ITERATION_ANNOUNCED):
        for seen in source.all(kind):
            if seen.number("iteration") == index:
                return seen
    if index == 0:
        return source.first(Kind.DIRTY_ROUND)
    rounds = source.dirty_rounds
    if index <= len(rounds) and rounds[index - 1].acknowledged:
        return rounds[index - 1].end
    return None


def _before_pass(source: AttemptLines, index: int) -> Observation | None:
    """Return the last line before iteration ``index`` (1 on) is written: its dirty table, else the iteration before."""
    rounds = source.dirty_rounds
    if rounds:
        if index > len(rounds):
            return None
        return rounds[index - 1].table or rounds[index - 1].begin
    previous = _after_pass(source, index - 1)
    if previous is None or _after_pass(source, index) is None:
        return None
    last = previous
    for seen in source.following(previous):
        if seen.kind not in (Kind.DIRTY_TABLE, Kind.ITERATION_ANNOUNCED):
            break
        last = seen
    return last


def _memory_commands(source: AttemptLines, destination: AttemptLines) -> Sequence[Observation]:
    """Return the receipts of Memory that can be counted: none if other connections carry memory, or counts disagree."""
    if source.connections > 1 or source.mode is not Mode.PRECOPY:
        return ()
    received = destination.commands(Command.MEMORY)
    if source.all(Kind.DIRTY_ROUND) and source.result is Result.SUCCESS:
        running = source.iterations
        final = _table_after_pause(source)
        expected = running + (1 if final is None or final.number("ranges") else 0)
        return received if len(received) == expected else received[:1]
    return received


def _table_after_pause(source: AttemptLines) -> Observation | None:
    """Return the dirty table that was read once the guest was paused, before the snapshot."""
    paused = False
    for seen in source.observations:
        if seen.kind in (Kind.VM_PAUSED, Kind.DEVICE_PAUSING):
            paused = True
        elif seen.kind is Kind.DIRTY_TABLE and paused:
            return seen
        elif seen.kind is Kind.SNAPSHOTTING:
            return None
    return None


def _memory_received(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    return tuple(Endpoint.of(seen) for seen in _memory_commands(source, destination))


def _passes(source: AttemptLines, destination: AttemptLines) -> range:
    """Return the memory iterations that can be told apart on both sides, whatever number the source's log claims."""
    return range(min(source.iterations, len(_memory_commands(source, destination))))


def _passes_acknowledged(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    return tuple(_endpoint(_after_pass(source, index)) for index in _passes(source, destination))


def _passes_written(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    return (None, *(_endpoint(_before_pass(source, index)) for index in _passes(source, destination)[1:]))


def _final_memory(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the receipt of the transfer that was made with the guest paused, if there was one."""
    commands = _memory_commands(source, destination)
    index = source.iterations
    final = source.first(Kind.FINAL_DELTA_SENT)
    if final is not None:
        sent = bool(final.number("size_bytes"))
    else:
        table = _table_after_pause(source)
        sent = bool(source.all(Kind.DIRTY_ROUND)) and table is not None and bool(table.number("ranges"))
    return (Endpoint.of(commands[index]),) if sent and index < len(commands) else (None,)


def _final_memory_written(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    return (_endpoint(_table_after_pause(source) or source.first(Kind.VM_PAUSED)),)


def _final_memory_acknowledged(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    return (_endpoint(source.first(Kind.FINAL_DELTA_SENT, Kind.SNAPSHOTTING) or _snapshot_cpuid(source)),)


def _snapshot_cpuid(source: AttemptLines) -> Observation | None:
    """Return the CPUID line that is printed inside the snapshot."""
    lines = source.all(Kind.CPUID_GENERATED)
    return lines[1] if len(lines) > 1 else None


def _snapshot_done(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last line before State is written: a dirty table, ``snapshotted``, or the snapshot's CPUID."""
    done = source.first(Kind.SNAPSHOTTED)
    if done is None:
        return (_endpoint(_snapshot_cpuid(source)),)
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


def _state_written_after(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """State was written no earlier than the snapshot's printed (truncated) time after it began."""
    snapshot = _breakdown(source, "snapshot_ns")
    if snapshot is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot),)


def _complete_written_after(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Complete was written no earlier than snapshot and send took, by their printed times."""
    snapshot, send = _breakdown(source, "snapshot_ns"), _breakdown(source, "send_ns")
    if snapshot is None or send is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot + send),)


def _state_acknowledged(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """State was acknowledged before Complete's printed (truncated) time before the end.

    Only this late end is proved: the completion line is stamped some time after the acknowledgement (5 ms were
    seen on a busy host), so no line says how early Complete can have been written.
    """
    complete = _breakdown(source, "complete_ns")
    if complete is None:
        return (None,)
    return (_source_time(source.first(Kind.COMPLETED), -complete),)


def _fault_connect(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    connects = source.all(Kind.CONNECTING)
    return (Endpoint.of(connects[1]),) if source.mode is Mode.POSTCOPY and len(connects) > 1 else (None,)


def _last_before_drop(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's last line before it closed the connection or died: its thread's last one before that."""
    failure = source.failure
    if source.result is Result.SUCCESS or not source.observations:
        return (None,)
    if failure is None:
        return (Endpoint.of(source.observations[-1]),)
    last = None
    for seen in source.observations:
        if seen is failure:
            break
        if seen.thread == failure.thread and seen.kind is not Kind.SEND_FAILED:
            last = seen
    return (_endpoint(last),)


def _refusal_read(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    return (_endpoint(source.failure),)


def _peer_failure(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's failure, where its text says that the destination's end of the connection went away."""
    failed = source.first(Kind.SEND_FAILED)
    by_peer = failed is not None and failed.word("error_type") == ErrorType.SOCKET_ERROR
    return (_endpoint(source.failure),) if by_peer else (None,)


def _last_command(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    commands = destination.all(Kind.COMMAND_RECEIVED)
    return (Endpoint.of(commands[-1]),) if commands else (None,)


def _first(*kinds: Kind) -> Finder:
    """Return the first observation of the first of ``kinds`` that the source has."""
    return lambda source, _: (_endpoint(source.first(*kinds)),)


def _received(*kinds: Kind) -> Finder:
    """Return the first observation of the first of ``kinds`` that the destination has."""
    return lambda _, destination: (_endpoint(destination.first(*kinds)),)


def _command(name: Command) -> Finder:
    return lambda _, destination: (_endpoint(destination.command(name)),)


def _peer_lost(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return where the destination found the connection closed; None where it may have closed it itself."""
    if destination.first(Kind.RECEIVE_ABORTED) is not None:
        return (None,)
    return (_endpoint(destination.first(Kind.PEER_LOST)),)


def _table(*rows: tuple[str, Finder, tuple[tuple[Releases, LogFlags], ...]]) -> dict[str, Instant]:
    return {key: Instant(key=key, find=find, printed=printed) for key, find, printed in rows}


SOURCE: Final = _table(
    ("connecting", _first(Kind.CONNECTING, Kind.SEND_ANNOUNCED, Kind.SEND_STARTED), _INFO),
    ("start-read", _first(Kind.CPUID_GENERATED, Kind.PROTOCOL_AGREED), _INFO),
    ("start-acknowledged", _acknowledged_start, _INFO),
    ("config-acknowledged", _acknowledged_config, _INFO),
    ("pass-written", _passes_written, _INFO),
    ("pass-acknowledged", _passes_acknowledged, _INFO),
    ("final-pass-written", _final_memory_written, _INFO),
    ("final-pass-acknowledged", _final_memory_acknowledged, _INFO),
    ("snapshotted", _snapshot_done, _INFO),
    ("state-written", _state_written_after, _TIMED),
    ("state-acknowledged", _state_acknowledged, _TIMED),
    ("complete-written", _complete_written_after, _TIMED),
    ("completed", _first(Kind.COMPLETED, Kind.SEND_FINISHED), _INFO),
    ("fault-connecting", _fault_connect, ((since("v53.0"), _V),)),
    ("drained", _first(Kind.POSTCOPY_DRAINED), ((since("v53.0"), _V),)),
    ("last-line", _last_before_drop, _INFO),
    ("refusal-read", _refusal_read, ((ALL, _ALWAYS),)),
    ("peer-gone", _peer_failure, ((ALL, _ALWAYS),)),
)
"""Instants on the source, in the order of a migration. What a printed duration is added to is named by its end."""

DESTINATION: Final = _table(
    ("receiving", _received(Kind.RECEIVE_STARTED), _INFO),
    ("ready", _received(Kind.RECEIVE_READY), ((since("v53.0"), _V),)),
    ("tls", _received(Kind.TLS_ESTABLISHED), ((since("v53.0"), _V),)),
    ("accepted", _received(Kind.ACCEPTED), ((since("v52.0"), _V),)),
    ("start-received", _command(Command.START), _COMMAND),
    ("protocol", _received(Kind.PROTOCOL_AGREED), ((since("v53.0"), _VV),)),
    ("memory-fd-received", _command(Command.MEMORY_FD), _COMMAND),
    ("config-received", _command(Command.CONFIG), _COMMAND),
    ("cpuid", _received(Kind.CPUID_GENERATED), _INFO),
    ("cpu-compatible", _received(Kind.CPU_COMPATIBLE), _INFO),
    ("memory-mapped", _received(Kind.MEMORY_MAPPED), _INFO),
    ("memory-received", _memory_received, _COMMAND),
    ("final-memory-received", _final_memory, _COMMAND),
    ("state-received", _command(Command.STATE), _COMMAND),
    ("accept-stopped", _received(Kind.ACCEPT_STOPPED), ((until("v52.0", first="v52.0"), _V), (since("v53.0"), _VV))),
    ("vm-config", _received(Kind.VM_CONFIG), _INFO),
    ("restoring", _received(Kind.RESTORING), _EVENT),
    ("restored", _received(Kind.RESTORED, Kind.RESTORING), _EVENT),
    ("restore-timed", _received(Kind.STATE_RECEIVED), _TIMED),
    ("complete-received", _command(Command.COMPLETE), _COMMAND),
    ("resuming", _received(Kind.VM_RESUMING, Kind.PAUSED_STATE_RECEIVED), _EVENT),
    ("resumed", _received(Kind.VM_RESUMED, Kind.VM_RESUMING), _EVENT),
    ("resume-timed", _received(Kind.RESUME_TIMED), _TIMED),
    ("final-state-timed", _received(Kind.FINAL_STATE_TIMED, Kind.PAUSED_STATE_RECEIVED), _TIMED),
    ("prefault-started", _received(Kind.PREFAULT_STARTED), ((since("v53.0"), _V),)),
    ("prefault-done", _received(Kind.PREFAULT_DONE), ((since("v53.0"), _V),)),
    ("peer-lost", _peer_lost, ((since("v52.0"), _ALWAYS),)),
    ("aborted", _received(Kind.RECEIVE_ABORTED), ((since("v50.0"), _ALWAYS),)),
    ("last-command", _last_command, _COMMAND),
)
"""Instants on the destination, in the order of a migration; ``-received`` is a request's header, read."""
