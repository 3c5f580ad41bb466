"""What two stories say about each other: what excludes that they are one migration, and what speaks for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Command, Kind
from otelmig.migration.side import Mode, Result
from otelmig.migration.url import MigrationUrl

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.migration.side import Side

__all__ = ["PairingBasis", "contradiction", "indications", "same_endpoint", "same_vm", "was_answered"]


class PairingBasis(StrEnum):
    """The strongest evidence that two sides are one migration."""

    IDENTITY = "identity"
    """Both print the configuration of the same VM."""
    ASSERTED = "asserted"
    """The caller says so."""
    ENDPOINT = "endpoint"
    """Both name the same port or socket."""
    CLOCKS = "clocks"
    """Both have wall clocks, which agree as those of synchronised hosts do."""
    ASSUMED = "assumed"
    """Nothing names the pair: their lines merely fit together."""


def contradiction(source: Side, destination: Side) -> str | None:
    """What the two stories say differently, if anything, in a few words."""
    for differ, why in _DIFFERENCES:
        if differ(source, destination):
            return why.format(source=source.mode, destination=destination.mode)
    return None


def _modes_differ(source: Side, destination: Side) -> bool:
    return source.mode is not destination.mode and not _mode_unknown(source, destination)


def _failed_after_completion(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.FAILURE and not _lost_later(destination)


def _completed_after_failure(source: Side, destination: Side) -> bool:
    failed = source.result in (Result.FAILURE, Result.TIMEOUT) and source.first(Kind.COMPLETED) is None
    return failed and destination.result is Result.SUCCESS


def _ends_too_early(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.UNKNOWN and _stops_early(source, destination)


def _receives_tcp(destination: Side) -> bool:
    """A local migration passes file descriptors, which only a UNIX socket carries."""
    started = destination.first(Kind.RECEIVE_STARTED)
    return started is not None and MigrationUrl.of(started.word("url")).transport == "tcp"


def _mode_unknown(source: Side, destination: Side) -> bool:
    """Some logs cannot tell: without debug lines a local migration looks like any other on the destination."""
    asked = destination.first(Kind.RECEIVE_REQUESTED)
    postcopy_differs = (
        asked is not None
        and asked.word("mode") is not None
        and ((asked.word("mode") == "postcopy") != (source.mode is Mode.POSTCOPY))
    )
    if postcopy_differs or destination.mode is Mode.POSTCOPY:
        return False
    return not destination.all(Kind.COMMAND_RECEIVED)


def _lost_later(destination: Side) -> bool:
    """Whether the destination had the guest running before its connection failed."""
    return destination.first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED) is not None


def _stops_early(source: Side, destination: Side) -> bool:
    """Whether the destination's log goes on after this attempt without the state having arrived."""
    restoring = destination.first(Kind.VM_CONFIG, Kind.RESTORING, Kind.ACCEPT_STOPPED)
    arrived = restoring or destination.command(Command.STATE)
    return arrived is None and source.first(Kind.COMPLETED) is not None


def _urls(source: Side, destination: Side) -> tuple[str, str] | None:
    sent, received = source.first(Kind.SEND_STARTED), destination.first(Kind.RECEIVE_STARTED)
    if sent is None or received is None:
        return None
    one, other = sent.word("url"), received.word("url")
    return None if one is None or other is None else (one, other)


def _ports_differ(source: Side, destination: Side) -> bool:
    """Whether both are TCP with different ports (two UNIX paths may be joined by a tunnel, as may one of each)."""
    urls = _urls(source, destination)
    if urls is None:
        return False
    one, other = (MigrationUrl.of(url).port for url in urls)
    return one is not None and other is not None and one != other


def same_endpoint(source: Side, destination: Side) -> str | None:
    """The port or socket that both name, in words; None if they name none in common."""
    urls = _urls(source, destination)
    if urls is None:
        return None
    port = MigrationUrl.of(urls[0]).port
    if port is not None and port == MigrationUrl.of(urls[1]).port:
        return f"same port {port}"
    return "same socket" if urls[0] == urls[1] else None


def same_vm(source: Side, destination: Side) -> bool | None:
    """Whether the printed configurations are of one VM; None if they do not say."""
    if source.config is None or destination.config is None:
        return None
    one, other = source.config.values, destination.config.values
    for key in ("vm_id", "memory_bytes", "vcpus"):
        if key in one and key in other and one[key] != other[key]:
            return False
    named = [key for key in ("vm_id", "identity") if key in one and one[key] == other.get(key)]
    return True if named else None


def _passes_differ(source: Side, destination: Side) -> bool:
    """Whether the destination received fewer or more memory passes than the source can have sent."""
    received = len(destination.commands(Command.MEMORY))
    if source.result is not Result.SUCCESS or source.connections > 1 or not received or source.mode is not Mode.PRECOPY:
        return False
    sent = source.iterations
    extra = 2  # the final delta, and a pass after the snapshot; either may be empty and then is not sent
    return bool(sent) and not sent <= received <= sent + extra


def _durations_differ(source: Side, destination: Side) -> bool:
    """Whether what the destination says it did takes longer than the source waited for it."""
    parts = source.first(Kind.DOWNTIME_BREAKDOWN)
    state, resume = destination.first(Kind.STATE_RECEIVED), destination.first(Kind.RESUME_TIMED)
    if parts is None:
        return False
    ms = 10**6
    if state is not None:
        took = (state.number("receive_ns") or 0) + (state.number("restore_ns") or 0)
        if took > (parts.number("send_ns") or 0) + ms:
            return True
    return resume is not None and (resume.number("resume_ns") or 0) > (parts.number("complete_ns") or 0) + ms


def was_answered(source: Side) -> bool:
    """Whether a destination answered at all: the source has a line that follows Start's acknowledgement."""
    return source.first(*_ANSWERED) is not None


_ANSWERED: Final = (
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


_DIFFERENCES: Final[tuple[tuple[Callable[[Side, Side], bool], str], ...]] = (
    (lambda source, _: not was_answered(source), "nobody answered the source"),
    (
        lambda source, destination: source.mode is Mode.LOCAL and _receives_tcp(destination),
        "the source is local, the destination listens on TCP",
    ),
    (_modes_differ, "the source is {source}, the destination {destination}"),
    (_ports_differ, "another port or socket"),
    (lambda source, destination: same_vm(source, destination) is False, "another VM: its configuration differs"),
    (_failed_after_completion, "the source completed, the destination failed"),
    (_completed_after_failure, "the source failed, the destination completed"),
    (_ends_too_early, "the destination's log ends before the state arrived"),
    (_passes_differ, "another number of memory passes"),
    (_durations_differ, "the destination's work does not fit into the source's times"),
)
"""What excludes a pair, in the order in which it is asked."""


def indications(source: Side, destination: Side) -> list[str]:
    """What else speaks for the pair, for a person to read."""
    found = []
    endpoint = same_endpoint(source, destination)
    if endpoint is not None:
        found.append(endpoint)
    if same_vm(source, destination):
        found.append("same VM configuration")
    received = len(destination.commands(Command.MEMORY))
    if received and source.iterations:
        found.append(f"{source.iterations} running memory passes sent, {received} received in all")
    return found
