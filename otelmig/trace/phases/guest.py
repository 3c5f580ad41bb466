"""Where is the guest, and does it run? The first question after every failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from otelmig.migration.facts import DestinationFacts, Fate
from otelmig.migration.side import Mode, Result
from otelmig.structs import Struct
from otelmig.trace.attributes import GuestLocation

if TYPE_CHECKING:
    from otelmig.migration.facts import GuestFate, Instant
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Guest", "guest_after", "was_paused"]


class Guest(Struct, frozen=True, kw_only=True):
    """Where the guest is after the migration, and the line that says so."""

    location: GuestLocation
    running: bool | None
    """None if no line says."""
    evidence: tuple[Instant, ...]
    """At most one, but for a guest on both hosts."""
    fate: GuestFate | None = None
    """What became of it there."""


def guest_after(migration: Migration) -> Guest:
    """Return what the two sides say of the guest's whereabouts, and of its fate."""
    source, destination = migration.source, migration.destination
    if source is None:
        return _met(_by_destination(migration.reference), migration.reference.received.fate)
    resumed = source.sent.failure is not None and source.sent.resumed is not None
    if source.sent.handed_over is not None and not resumed:
        fate = None if destination is None else destination.received.fate
        return _met(_handed_over(source, destination, source.sent.handed_over), fate)
    gone = source.result is Result.UNKNOWN or (source.sent.fate is not None and source.sent.fate.vmm_gone)
    gone = gone or _perhaps_handed_over(source)
    if gone and destination is not None and destination.received.took_over is not None:
        return _met(_by_destination(destination), destination.received.fate)
    if source.result is Result.UNKNOWN or _perhaps_handed_over(source):
        guest = _unknown(source, destination)
        return replace(guest, fate=source.sent.fate) if guest.location is GuestLocation.NONE else guest
    guest = _met(_failed(source), source.sent.fate)
    if destination is None and source.sent.handed_over is None:
        return guest
    return _taken_over(guest, source, destination)


def was_paused(source: Side, received: DestinationFacts) -> bool | None:
    """Return whether the guest was paused before the migration; None if the source's log may begin after that."""
    if source.paused_before or received.left_paused is not None:
        return True
    return False if _ran(source, received) else None


def _ran(source: Side, received: DestinationFacts) -> bool:
    """Return whether a line says that the guest ran before: at the beginning, until it was stopped, or again."""
    return source.sent.ran_before or source.sent.pause.sign is not None or _started(received)


def _perhaps_handed_over(source: Side) -> bool:
    """Return whether a postcopy failed that does not say whether its guest runs on the destination, or here again."""
    sent = source.sent
    if source.mode is not Mode.POSTCOPY or source.result is not Result.FAILURE or sent.never_paused:
        return False
    return sent.failure is not None and sent.resumed is None and sent.resume_failed is None


def _taken_over(on_source: Guest, source: Side, destination: Side | None) -> Guest:
    """Return where the guest is if the source gave up, and the destination may have had it by then."""
    received = DestinationFacts() if destination is None else destination.received
    took_over = received.took_over or source.sent.handed_over
    died = received.killed is not None or (received.fate is not None and received.fate.vmm_gone)
    if took_over is None or died:
        return on_source
    if destination is not None and source.sent.resumed is None and not source.paused_before:
        return _met(_by_destination(destination), received.fate) if destination.result is Result.SUCCESS else on_source
    return Guest(
        location=GuestLocation.BOTH,
        running=_on_both(on_source, received),
        evidence=(*on_source.evidence, took_over),
        fate=on_source.fate or received.fate,
    )


def _on_both(on_source: Guest, received: DestinationFacts) -> bool | None:
    """Return whether any of the two guests runs."""
    if on_source.running or _started(received):
        return True
    return on_source.running if received.left_paused is not None else None


def _started(received: DestinationFacts) -> bool:
    """Return whether a line says that the destination let the guest run; one that was paused stays paused there."""
    resume = received.resume
    return bool(resume.devices) or any((resume.resuming, resume.resumed, resume.printed_at))


def _met(guest: Guest, fate: GuestFate | None) -> Guest:
    """Return ``guest`` after what became of it where it was."""
    if fate is None:
        return guest
    match fate.fate:
        case Fate.RESET:
            return replace(guest, running=True, fate=fate)
        case Fate.KILLED:
            return Guest(location=GuestLocation.NONE, running=False, evidence=_lines(fate.at), fate=fate)
        case Fate.PANICKED | Fate.SHUT_DOWN:
            location = GuestLocation.NONE if fate.vmm_gone else guest.location
            return Guest(location=location, running=False, evidence=_lines(fate.at), fate=fate)


def _lines(*instants: Instant | None) -> tuple[Instant, ...]:
    return tuple(instant for instant in instants if instant is not None)


def _failed(source: Side) -> Guest:
    """Return where the guest is after the source gave up: still there."""
    sent = source.sent
    failed_at = None if sent.failure is None else sent.failure.at
    if sent.resume_failed is not None:
        return Guest(location=GuestLocation.SOURCE, running=False, evidence=_lines(sent.resume_failed))
    if sent.resumed is not None:  # a failure may resume a guest that the operator had paused, too
        return Guest(location=GuestLocation.SOURCE, running=True, evidence=_lines(sent.resumed))
    known = sent.never_paused and (sent.ran_before or source.paused_before)
    running = sent.ran_before if known else None  # a failure may also have resumed it, in lines that are lost
    return Guest(location=GuestLocation.SOURCE, running=running, evidence=_lines(failed_at))


def _handed_over(source: Side, destination: Side | None, handed_over: Instant) -> Guest:
    """Return where the guest is once Complete was acknowledged: on the destination, resumed unless it was paused."""
    if destination is None and source.sent.perhaps_stored:
        return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=_lines(handed_over))
    received = DestinationFacts() if destination is None else destination.received
    if received.killed is not None:
        return Guest(location=GuestLocation.NONE, running=False, evidence=_lines(received.killed.at))
    paused = was_paused(source, received)
    said = received.left_paused if paused else received.resume.resumed
    running = None if paused is None else not paused
    return Guest(location=GuestLocation.DESTINATION, running=running, evidence=_lines(said or handed_over))


def _by_destination(destination: Side) -> Guest:
    """Return what the destination alone knows: whether it has the guest; if it has not, it cannot know who has."""
    received = destination.received
    if received.left_paused is not None:
        return Guest(location=GuestLocation.DESTINATION, running=False, evidence=_lines(received.left_paused))
    if destination.result is Result.SUCCESS:
        running = True if _started(received) else None
        return Guest(location=GuestLocation.DESTINATION, running=running, evidence=_lines(received.runs))
    if destination.result is Result.UNKNOWN and received.took_over is not None:  # but its memory may be elsewhere
        return Guest(location=GuestLocation.DESTINATION, running=None, evidence=_lines(received.took_over))
    return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=_lines(destination.last))


def _unknown(source: Side, destination: Side | None) -> Guest:
    """Return where the guest is if the source's evidence stops; a source killed before it left took it along."""
    killed = source.sent.killed
    stayed = source.sent.snapshot.end is None or (destination is not None and destination.result is Result.FAILURE)
    if killed is not None and stayed:
        return Guest(location=GuestLocation.NONE, running=False, evidence=_lines(killed.at))
    return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=_lines(source.last))
