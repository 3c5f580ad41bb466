"""What must happen before what across the two hosts, as one table of rules.

Each rule names two kinds of instants, one on either side, that the protocol orders: the sender logs before it
writes, the receiver after it read, and the source waits for every answer. Requests are 16-byte headers followed by
a payload; a ``Command`` line is printed once the header was read.

Not ordered, and therefore in no rule: the destination's ``migration-receive-ready`` and the source's connect (the
event is printed after ``listen``); connected and accepted (the kernel accepts from the backlog); the two
``TLS handshake`` lines; ``migration-receive-finished`` or ``-failed`` and anything on the source (printed after the
answer was written); the destination's end-of-file and the source's failure lines (the socket drops first); ``Memory``
commands when several connections carry memory (they do not pass the main loop).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.clock.constraint import Constraint, Endpoint, destination_first, source_first
from otelmig.observation import Kind
from otelmig.side import Mode, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.observation import Observation
    from otelmig.side import Side

    Instants = Callable[[Side, Side], Sequence[Endpoint | None]]

__all__ = ["RULES", "Rule", "constraints_between"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The n-th instant of one side happens before the n-th of the other; an instant may be absent (None)."""

    name: str
    source_first: bool
    source: Instants
    destination: Instants
    why: str


def constraints_between(source: Side, destination: Side) -> Sequence[Constraint]:
    """Every constraint that the rules give for these two sides."""
    found: list[Constraint] = []
    for rule in RULES:
        for one, other in zip(rule.source(source, destination), rule.destination(source, destination), strict=False):
            if one is None or other is None:
                continue
            make = (
                source_first(rule.name, one, other) if rule.source_first else destination_first(rule.name, other, one)
            )
            found.append(make)
    return found


# Instants. Each takes both sides, because what counts on one may depend on the other.


def _endpoint(seen: Observation | None) -> Endpoint | None:
    return None if seen is None else Endpoint.of(seen)


def _on_source(*kinds: Kind) -> Instants:
    """The first observation of the first of ``kinds`` that the source has."""
    return lambda source, _: (_endpoint(source.first(*kinds)),)


def _on_destination(*kinds: Kind) -> Instants:
    return lambda _, destination: (_endpoint(destination.first(*kinds)),)


def _command(name: str) -> Instants:
    return lambda _, destination: (_endpoint(destination.command(name)),)


def _source_time(seen: Observation | None, plus_ns: int) -> Endpoint | None:
    """The instant ``plus_ns`` after ``seen``."""
    if seen is None:
        return None
    return Endpoint(lo_ns=seen.stamp.lo_ns + plus_ns, hi_ns=seen.stamp.hi_ns + plus_ns, seen=seen)


def _acknowledged_start(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """The source's first line after Start was acknowledged."""
    lines = [seen for kind in _AFTER_START if (seen := source.first(kind))]
    if not lines:  # no CPUID is generated on other architectures, and events carry none
        lines = [seen for seen in (_after_pass(source, 0), source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING)) if seen]
    return (_endpoint(min(lines, key=lambda seen: seen.stamp.ns, default=None)),)


_AFTER_START: Final = (Kind.PROTOCOL_AGREED, Kind.CPUID_GENERATED, Kind.START_ACKNOWLEDGED)


def _acknowledged_config(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """The source's first line after Config was acknowledged: a further connect, the first pass, or the pause."""
    if source.mode is Mode.PRECOPY:
        connects = source.all(Kind.CONNECTING)
        if source.connections > 1 and len(connects) > 1:
            return (Endpoint.of(connects[1]),)
        return (_endpoint(_after_pass(source, 0)),)
    return (_endpoint(source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING, Kind.SNAPSHOTTING)),)


def _after_pass(source: Side, index: int) -> Observation | None:
    """The first line after running pass ``index`` was acknowledged."""
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


def _before_pass(source: Side, index: int) -> Observation | None:
    """The last line before running pass ``index`` (1 on) is written: its dirty table, else the pass before it."""
    rounds = source.dirty_rounds
    if rounds:
        if index > len(rounds):
            return None
        return rounds[index - 1].table or rounds[index - 1].begin
    previous = _after_pass(source, index - 1)
    if previous is None or _after_pass(source, index) is None:
        return None
    last = previous
    for seen in source.observations[source.observations.index(previous) + 1 :]:
        if seen.kind not in (Kind.DIRTY_TABLE, Kind.ITERATION_ANNOUNCED):
            break
        last = seen
    return last


def _memory_commands(source: Side, destination: Side) -> Sequence[Observation]:
    """The receipts of Memory that can be counted: none if other connections carry memory, or the counts disagree."""
    if source.connections > 1 or source.mode is not Mode.PRECOPY:
        return ()
    received = destination.commands("Memory")
    if source.all(Kind.DIRTY_ROUND) and source.result is Result.SUCCESS:
        running = source.iterations
        final = _table_after_pause(source)
        expected = running + (1 if final is None or final.number("ranges") else 0)
        return received if len(received) == expected else received[:1]
    return received


def _table_after_pause(source: Side) -> Observation | None:
    """The dirty table that was read once the guest was paused, before the snapshot."""
    paused = False
    for seen in source.observations:
        if seen.kind in (Kind.VM_PAUSED, Kind.DEVICE_PAUSING):
            paused = True
        elif seen.kind is Kind.DIRTY_TABLE and paused:
            return seen
        elif seen.kind is Kind.SNAPSHOTTING:
            return None
    return None


def _memory_received(source: Side, destination: Side) -> Sequence[Endpoint | None]:
    return tuple(Endpoint.of(seen) for seen in _memory_commands(source, destination))


def _passes(source: Side, destination: Side) -> range:
    """The passes that can be told apart on both sides, whatever number the source's log claims."""
    return range(min(source.iterations, len(_memory_commands(source, destination))))


def _passes_acknowledged(source: Side, destination: Side) -> Sequence[Endpoint | None]:
    return tuple(_endpoint(_after_pass(source, index)) for index in _passes(source, destination))


def _passes_written(source: Side, destination: Side) -> Sequence[Endpoint | None]:
    return (None, *(_endpoint(_before_pass(source, index)) for index in _passes(source, destination)[1:]))


def _final_memory(source: Side, destination: Side) -> Sequence[Endpoint | None]:
    """The receipt of the transfer that was made with the guest paused, if there was one."""
    commands = _memory_commands(source, destination)
    index = source.iterations
    final = source.first(Kind.FINAL_DELTA_SENT)
    if final is not None:
        sent = bool(final.number("size_bytes"))
    else:
        table = _table_after_pause(source)
        sent = bool(source.all(Kind.DIRTY_ROUND)) and table is not None and bool(table.number("ranges"))
    return (Endpoint.of(commands[index]),) if sent and index < len(commands) else (None,)


def _final_memory_written(source: Side, _: Side) -> Sequence[Endpoint | None]:
    return (_endpoint(_table_after_pause(source) or source.first(Kind.VM_PAUSED)),)


def _final_memory_acknowledged(source: Side, _: Side) -> Sequence[Endpoint | None]:
    return (_endpoint(source.first(Kind.FINAL_DELTA_SENT, Kind.SNAPSHOTTING) or _snapshot_cpuid(source)),)


def _snapshot_cpuid(source: Side) -> Observation | None:
    """The CPUID line that is printed inside the snapshot."""
    lines = source.all(Kind.CPUID_GENERATED)
    return lines[1] if len(lines) > 1 else None


def _snapshot_done(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """The last line before State is written: ``snapshotted`` or a dirty table after it, else the snapshot's CPUID."""
    done = source.first(Kind.SNAPSHOTTED)
    if done is None:
        return (_endpoint(_snapshot_cpuid(source)),)
    later = source.observations[source.observations.index(done) + 1 :][:1]
    if later and later[0].kind is Kind.DIRTY_TABLE:
        return (Endpoint.of(later[0]),)
    return (Endpoint.of(done),)


def _breakdown(source: Side, name: str) -> int | None:
    line = source.first(Kind.DOWNTIME_BREAKDOWN)
    return None if line is None else line.number(name)


def _before_snapshot(source: Side) -> Observation | None:
    """A line printed before the snapshot's own clock started."""
    return source.first(Kind.FINAL_DELTA_SENT, Kind.VM_PAUSED)


def _state_written_after(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """State was written no earlier than the snapshot's printed (truncated) time after it began."""
    snapshot = _breakdown(source, "snapshot_ns")
    if snapshot is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot),)


def _complete_written_after(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """Complete was written no earlier than snapshot and send took, by their printed times."""
    snapshot, send = _breakdown(source, "snapshot_ns"), _breakdown(source, "send_ns")
    if snapshot is None or send is None:
        return (None,)
    return (_source_time(_before_snapshot(source), snapshot + send),)


def _state_acknowledged(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """State was acknowledged before Complete's printed (truncated) time before the end.

    Only this late end is proved: the completion line is stamped some time after the acknowledgement (5 ms were
    seen on a busy host), so no line says how early Complete can have been written.
    """
    complete = _breakdown(source, "complete_ns")
    if complete is None:
        return (None,)
    return (_source_time(source.first(Kind.COMPLETED), -complete),)


def _fault_connect(source: Side, _: Side) -> Sequence[Endpoint | None]:
    connects = source.all(Kind.CONNECTING)
    return (Endpoint.of(connects[1]),) if source.mode is Mode.POSTCOPY and len(connects) > 1 else (None,)


def _last_before_drop(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """The source's last line before it closed the connection or died: the thread's last one before the failure."""
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


def _refusal_read(source: Side, _: Side) -> Sequence[Endpoint | None]:
    return (_endpoint(source.failure),)


def _peer_failure(source: Side, _: Side) -> Sequence[Endpoint | None]:
    """The source's failure, where its text says that the destination's end of the connection went away."""
    failed = source.first(Kind.SEND_FAILED)
    by_peer = failed is not None and failed.word("error_type") == "socket_error"
    return (_endpoint(source.failure),) if by_peer else (None,)


def _last_command(_: Side, destination: Side) -> Sequence[Endpoint | None]:
    commands = destination.all(Kind.COMMAND_RECEIVED)
    return (Endpoint.of(commands[-1]),) if commands else (None,)


def _config_received(_: Side, destination: Side) -> Sequence[Endpoint | None]:
    return (_endpoint(destination.first(Kind.CPU_COMPATIBLE)),)


def _all_of(*rules: Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for each in rules:
        found += [each] if isinstance(each, Rule) else each
    return tuple(found)


def _forward(name: str, source: Instants, destinations: Sequence[Instants], why: str) -> Sequence[Rule]:
    return [Rule(name=name, source_first=True, source=source, destination=each, why=why) for each in destinations]


def _backward(name: str, destinations: Sequence[Instants], source: Instants, why: str) -> Sequence[Rule]:
    return [Rule(name=name, source_first=False, source=source, destination=each, why=why) for each in destinations]


RULES: Final[tuple[Rule, ...]] = _all_of(
    # source -> destination
    _forward(
        "connect-accept",
        _on_source(Kind.CONNECTING, Kind.SEND_ANNOUNCED, Kind.SEND_STARTED),
        [_on_destination(Kind.ACCEPTED), _on_destination(Kind.TLS_ESTABLISHED), _command("Start")],
        "the line (until v42, and among events, the start) is printed before connect(); v52.0 on has an event once the "
        "connection was accepted",
    ),
    _forward(
        "start-config",
        _on_source(Kind.CPUID_GENERATED, Kind.PROTOCOL_AGREED),
        [_command("MemoryFd"), _command("Config"), _on_destination(Kind.CPUID_GENERATED), _config_received],
        "printed after Start was acknowledged, before Config (local: MemoryFd) is sent",
    ),
    _forward(
        "pass-memory",
        _passes_written,
        [_memory_received],
        "a pass is written after its dirty table was read and after the pass before it was acknowledged",
    ),
    _forward(
        "pause-memory",
        _final_memory_written,
        [_final_memory],
        "the final delta is read once the guest is paused",
    ),
    _forward(
        "snapshot-state",
        _snapshot_done,
        [
            _command("State"),
            _on_destination(Kind.ACCEPT_STOPPED),
            _on_destination(Kind.VM_CONFIG),
            _on_destination(Kind.RESTORING),
        ],
        "State carries the snapshot",
    ),
    _forward(
        "snapshot-time-state",
        _state_written_after,
        [_command("State"), _on_destination(Kind.ACCEPT_STOPPED), _on_destination(Kind.VM_CONFIG)],
        "the printed time of the snapshot is truncated, so State cannot have been written earlier",
    ),
    _forward(
        "send-time-complete",
        _complete_written_after,
        [_command("Complete"), _on_destination(Kind.VM_RESUMING, Kind.PAUSED_STATE_RECEIVED)],
        "the printed times of snapshot and send are truncated, so Complete cannot have been written earlier",
    ),
    _forward(
        "connect-prefault",
        _fault_connect,
        [_on_destination(Kind.PREFAULT_STARTED)],
        "postcopy: the destination waits for the fault connection",
    ),
    _forward(
        "last-line-lost",
        _last_before_drop,
        [_on_destination(Kind.PEER_LOST)],
        "the connection ends after the last thing that the source did with it",
    ),
    # destination -> source
    _backward(
        "listen-start",
        [_on_destination(Kind.RECEIVE_STARTED), _on_destination(Kind.RECEIVE_READY)],
        _acknowledged_start,
        "nobody answers Start before the receiver was asked to receive",
    ),
    _backward(
        "start-ack",
        [
            _on_destination(Kind.TLS_ESTABLISHED),
            _on_destination(Kind.ACCEPTED),
            _command("Start"),
            _on_destination(Kind.PROTOCOL_AGREED),
        ],
        _acknowledged_start,
        "printed before Start is acknowledged",
    ),
    _backward(
        "config-ack",
        [_command("Config"), _config_received, _on_destination(Kind.MEMORY_MAPPED)],
        _acknowledged_config,
        "printed before Config is acknowledged",
    ),
    _backward("memory-ack", [_memory_received], _passes_acknowledged, "printed before the pass is acknowledged"),
    _backward(
        "final-memory-ack",
        [_final_memory],
        _final_memory_acknowledged,
        "printed before the delta is acknowledged",
    ),
    _backward(
        "state-ack",
        [
            _command("State"),
            _on_destination(Kind.ACCEPT_STOPPED),
            _on_destination(Kind.VM_CONFIG),
            _on_destination(Kind.RESTORED, Kind.RESTORING),
            _on_destination(Kind.STATE_RECEIVED),
        ],
        _state_acknowledged,
        "State was acknowledged before Complete was written: its printed time before the end",
    ),
    _backward(
        "complete-ack",
        [
            _on_destination(Kind.VM_CONFIG),
            _on_destination(Kind.RESTORED, Kind.RESTORING),
            _command("Complete"),
            _on_destination(Kind.VM_RESUMED, Kind.VM_RESUMING),
            _on_destination(Kind.RESUME_TIMED),
            _on_destination(Kind.FINAL_STATE_TIMED, Kind.PAUSED_STATE_RECEIVED),
        ],
        _on_source(Kind.COMPLETED, Kind.SEND_FINISHED),
        "printed before Complete is acknowledged",
    ),
    _backward(
        "refusal-read",
        [_on_destination(Kind.RECEIVE_ABORTED)],
        _refusal_read,
        "printed before the refusal is written",
    ),
    _backward(
        "command-reset",
        [_last_command],
        _peer_failure,
        "a receiver that reads requests has not yet gone away",
    ),
    _backward(
        "prefault-drained",
        [_on_destination(Kind.PREFAULT_DONE)],
        _on_source(Kind.POSTCOPY_DRAINED),
        "the destination closes the fault connection once every page has arrived",
    ),
)
"""Every rule, with what makes it true; v36.0 to HEAD (a rule whose lines a release does not print gives nothing)."""
