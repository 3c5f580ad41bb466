"""What two sides say about each other: what excludes that they are one migration, and what speaks for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.migration.facts import ErrorType, RequestKind
from otelmig.migration.side import Mode, Result
from otelmig.pairing.missing_lines import begins_late, lacks_requests
from otelmig.pairing.traits.addresses import connects_to
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.migration.facts import Printed
    from otelmig.migration.side import Side
    from otelmig.migration.url import MigrationUrl

__all__ = [
    "PairingBasis",
    "contradiction",
    "doubt_of",
    "ends_before_the_state",
    "indications",
    "may_be_on_both",
    "outcomes_differ",
    "same_endpoint",
    "same_vm",
    "was_answered",
]


class PairingBasis(StrEnum):
    """The strongest evidence that two sides are one migration."""

    IDENTITY = "identity"
    """Both print the configuration of the same VM."""
    ASSERTED = "asserted"
    """The caller says so."""
    ENDPOINT = "endpoint"
    """Both name the same port or socket."""
    CLOCKS = "clocks"
    """Both say what time it was, and agree as synchronised hosts do."""
    ASSUMED = "assumed"
    """Nothing names the pair: their lines merely fit together."""


def contradiction(source: Side, destination: Side) -> str | None:
    """Return what excludes that the two sides are one migration, in a few words; None if nothing does."""
    for differ, why in _DIFFERENCES:
        if differ(source, destination):
            return why.format(source=source.mode, destination=destination.mode)
    return None


def _modes_differ(source: Side, destination: Side) -> bool:
    return source.mode is not destination.mode and not _mode_unknown(source, destination)


def _failed_after_completion(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.FAILURE and not _lost_later(destination)


def outcomes_differ(source: Side, destination: Side) -> bool:
    """Return whether the source says that the migration failed, and the destination that it succeeded."""
    failed = source.result in (Result.FAILURE, Result.TIMEOUT) and source.sent.downtime is None
    return failed and destination.result is Result.SUCCESS


def may_be_on_both(source: Side, destination: Side) -> bool:
    """Return whether the source can have given up without knowing that the destination had the guest already.

    It had stopped the guest, and what it met does not say that it had not come to the last request yet.
    """
    stopped = source.paused_before or source.sent.pause.sign is not None or source.sent.snapshot.sign is not None
    failure = source.sent.failure
    if not stopped or failure is None or failure.timed_out or failure.error_type in _BEFORE_THE_LAST_REQUEST:
        return False
    return outcomes_differ(source, destination)


_BEFORE_THE_LAST_REQUEST: Final = frozenset(
    {
        ErrorType.CONVERGENCE_TIMEOUT,
        ErrorType.CONNECTION_FAILED,
        ErrorType.TLS_ERROR,
        ErrorType.CONFIG_REJECTED,
        ErrorType.PAUSE_FAILED,
        ErrorType.SNAPSHOT_FAILED,
        ErrorType.RESTORE_FAILED,
        ErrorType.GUEST_RESET,
        ErrorType.GUEST_SHUT_DOWN,
    }
)


def _completed_after_failure(source: Side, destination: Side) -> bool:
    """Return whether the outcomes exclude the pair: only one that is named can be a guest on both hosts."""
    named = same_endpoint(source, destination) is not None or same_vm(source, destination) is True
    return outcomes_differ(source, destination) and not (named and may_be_on_both(source, destination))


def _ends_too_early(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.UNKNOWN and _stops_early(source, destination)


def _goes_on_without_the_state(source: Side, destination: Side) -> bool:
    return _ends_too_early(source, destination) and destination.goes_on


def _receives_tcp(destination: Side) -> bool:
    """Return whether the destination listens on TCP: a local migration passes descriptors over a UNIX socket."""
    url = destination.received.url
    return url is not None and url.is_tcp


def _mode_unknown(source: Side, destination: Side) -> bool:
    """Return whether the mode of either is open: it is precopy unless a line says otherwise, which may be missing."""
    if source.mode is Mode.PRECOPY and not source.sent.memory.was_sent and source.sent.terms.url is None:
        return True  # nothing says how it began, nor that it copied anything
    postcopy = destination.received.requested_postcopy
    if postcopy is not None and postcopy != (source.mode is Mode.POSTCOPY):
        return False
    if destination.mode is not Mode.PRECOPY:
        return False
    # without debug lines a local one looks like any other, and so does one whose line about that is missing
    received = destination.received
    if received.count(RequestKind.MEMORY):
        return False
    named = same_vm(source, destination) is True or same_endpoint(source, destination) == _SAME_SOCKET
    return not received.requests or named or _has_state(destination) or begins_late(destination)


def _lost_later(destination: Side) -> bool:
    """Return whether the destination had the guest before its connection failed."""
    return destination.received.took_over is not None


def _stops_early(source: Side, destination: Side) -> bool:
    """Return whether the destination's log has no state, although the source completed."""
    return not _has_state(destination) and source.sent.downtime is not None


def _has_state(destination: Side) -> bool:
    restore = destination.received.restore
    return any(instant is not None for instant in (restore.arrived, restore.restored, restore.printed_at))


def ends_before_the_state(source: Side, destination: Side) -> bool:
    """Return whether the destination's log ends before the state that the source sent: it was cut, or is another's.

    A destination that was killed then did not let its source complete.
    """
    return _ends_too_early(source, destination) and not destination.goes_on


def _urls(source: Side, destination: Side) -> tuple[MigrationUrl, MigrationUrl] | None:
    one, other = source.sent.terms.url, destination.received.url
    if one is None or other is None or not one.digest or not other.digest:
        return None
    return one, other


def _ports_differ(source: Side, destination: Side) -> bool:
    """Return whether both are TCP with different ports (a tunnel may join two UNIX paths, or one of each)."""
    urls = _urls(source, destination)
    if urls is None:
        return False
    one, other = (url.port for url in urls)
    return one is not None and other is not None and one != other


_SAME_SOCKET: Final = "same socket"


def same_endpoint(source: Side, destination: Side) -> str | None:
    """Return the port or socket that both name, in words; None if they name none in common."""
    urls = _urls(source, destination)
    if urls is None:
        return None
    one, other = urls
    if one.port is not None and one.port == other.port:
        return f"same port {one.port}"
    return _SAME_SOCKET if one.digest == other.digest else None


def same_vm(source: Side, destination: Side) -> bool | None:
    """Return whether the printed configurations are of one VM; None if they do not say."""
    one, other = source.vm, destination.vm
    if one is None or other is None:
        return None
    for own, others in ((one.id, other.id), (one.memory_bytes, other.memory_bytes), (one.vcpus, other.vcpus)):
        if own is not None and others is not None and own != others:
            return False
    named = any(
        own is not None and own == others for own, others in ((one.id, other.id), (one.identity, other.identity))
    )
    return True if named else None


def _iterations_differ(source: Side, destination: Side) -> bool:
    """Return whether the destination received fewer or more memory iterations than the source can have sent.

    Lines may be missing: of a VM that both name they are, of any other not half of them.
    """
    received = destination.received.count(RequestKind.MEMORY)
    several = source.sent.terms.connections > 1
    if source.result is not Result.SUCCESS or several or not received or source.mode is not Mode.PRECOPY:
        return False
    sent = source.sent.memory.iteration_count
    extra = 2  # the final delta, and an iteration after the snapshot; either may be empty and then is not sent
    if source.sent.memory.final_delta is not None and received > sent + extra > extra:
        return True  # it says how many there were
    ends_early = not destination.goes_on and not _has_state(destination)
    if same_vm(source, destination) or ends_early or begins_late(destination) or lacks_requests(destination):
        return False  # lines are missing
    return bool(sent) and not sent - sent // _MISSING <= received <= sent + extra + sent // _MISSING


_MISSING: Final = 2
"""Of so many lines about memory one may be missing, in logs that nothing else says to belong together."""


def _durations_differ(source: Side, destination: Side) -> bool:
    """Return whether what the destination says it did takes longer than the source waited for it."""
    parts, restore, resume = source.sent.downtime_parts, destination.received.restore, destination.received.resume
    if parts is None:
        return False
    restored = _least(restore.receive) + _least(restore.restore)
    if restore.printed_at is not None and restored > _most(parts.send):
        return True
    return resume.printed_at is not None and _least(resume.duration) > _most(parts.complete)


def _least(duration: Printed | None) -> int:
    return 0 if duration is None else duration.ns


def _most(duration: Printed | None) -> int:
    return MILLISECOND_NS if duration is None else duration.ns + duration.error_ns


def was_answered(source: Side) -> bool:
    """Return whether a destination may have answered: it did, or the source does not say how its attempt ended."""
    failure = source.sent.failure
    untold = failure is not None and failure.text is None and failure.error_type is ErrorType.OTHER
    return source.sent.answered or source.result is Result.UNKNOWN or untold


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
    (_goes_on_without_the_state, "the state never arrived at the destination"),
    (_iterations_differ, "another number of memory iterations"),
    (_durations_differ, "the destination's work does not fit into the source's times"),
)
"""What excludes a pair, in the order in which it is asked."""


def indications(source: Side, destination: Side) -> list[str]:
    """Return what else speaks for the pair, each in a few words."""
    reasons = []
    endpoint = same_endpoint(source, destination)
    if endpoint is not None:
        reasons.append(endpoint)
    if connects_to(source, destination):
        reasons.append("the address is the receiving host's")
    if same_vm(source, destination):
        reasons.append("same VM configuration")
    received, sent = destination.received.count(RequestKind.MEMORY), source.sent.memory.iteration_count
    if received and sent:
        noun = "memory iteration" if sent == 1 else "memory iterations"
        reasons.append(f"{sent} {noun} sent while the guest ran, {received} received in all")
    return reasons


def doubt_of(basis: PairingBasis, endpoint: str | None, *, at_one_time: bool) -> str | None:
    """Return how little names a pair, in a sentence; None if the VM does, or an endpoint that both used at one time."""
    if basis is PairingBasis.IDENTITY or (endpoint is not None and at_one_time):
        return None
    if basis is PairingBasis.ASSERTED:
        return "only the caller says that these two are one migration: logs of others of equal shape may fit, too"
    doubt = "nothing names this pair; proved only if these two belong together"
    if endpoint is not None:
        return f"{doubt} ({endpoint}, but others may use it, too)"
    if basis is PairingBasis.CLOCKS:
        return f"{doubt} (their clocks agree, but so may those of others)"
    return doubt
