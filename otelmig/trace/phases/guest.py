"""Where is the guest, and does it run? The first question after every failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelmig.migration.side import Result
from otelmig.trace.attributes import GuestLocation

if TYPE_CHECKING:
    from otelmig.migration.facts import Instant
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Guest", "guest_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Where the guest is after the migration, and the line that says so."""

    location: GuestLocation
    running: bool | None
    """None if no line says."""
    evidence: Instant | None


def guest_after(migration: Migration) -> Guest:
    """Return what the two sides say of the guest's whereabouts."""
    source, destination = migration.source, migration.destination
    if source is None:
        return _by_destination(migration.reference)
    if source.sent.handed_over is not None:
        return _handed_over(source, destination, source.sent.handed_over)
    if source.result is Result.UNKNOWN:
        if destination is not None and destination.received.took_over is not None:
            return _by_destination(destination)
        return _unknown(source, destination)
    return _failed(source)


def _failed(source: Side) -> Guest:
    """Return where the guest is after the source gave up: still there."""
    sent = source.sent
    failed_at = None if sent.failure is None else sent.failure.at
    if sent.resume_failed is not None:
        return Guest(location=GuestLocation.SOURCE, running=False, evidence=sent.resume_failed)
    if sent.resumed is not None:  # a failure may resume a guest that the operator had paused, too
        return Guest(location=GuestLocation.SOURCE, running=True, evidence=sent.resumed)
    if source.paused_before:
        return Guest(location=GuestLocation.SOURCE, running=False, evidence=failed_at)
    running = True if sent.pause.sign is None else None
    return Guest(location=GuestLocation.SOURCE, running=running, evidence=failed_at)


def _handed_over(source: Side, destination: Side | None, handed_over: Instant) -> Guest:
    """Return where the guest is once Complete was acknowledged: on the destination, resumed unless it was paused."""
    if destination is None and source.sent.perhaps_stored:
        return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=handed_over)
    said, paused = None, source.paused_before
    if destination is not None:
        received = destination.received
        paused = paused or received.left_paused is not None
        if received.killed is not None:
            return Guest(location=GuestLocation.NONE, running=False, evidence=received.killed.at)
        if received.panicked is not None:
            return Guest(location=GuestLocation.DESTINATION, running=False, evidence=received.panicked)
        said = received.left_paused if paused else received.resume.resumed
    return Guest(location=GuestLocation.DESTINATION, running=not paused, evidence=said or handed_over)


def _by_destination(destination: Side) -> Guest:
    """Return what the destination alone knows: whether it has the guest; if it has not, it cannot know who has."""
    received = destination.received
    if received.left_paused is not None:
        return Guest(location=GuestLocation.DESTINATION, running=False, evidence=received.left_paused)
    if destination.result is Result.SUCCESS:
        return Guest(location=GuestLocation.DESTINATION, running=True, evidence=received.runs)
    return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=destination.last)


def _unknown(source: Side, destination: Side | None) -> Guest:
    """Return where the guest is if the source's evidence stops; a source killed before it left took it along."""
    killed = source.sent.killed
    stayed = source.sent.snapshot.end is None or (destination is not None and destination.result is Result.FAILURE)
    if killed is not None and stayed:
        return Guest(location=GuestLocation.NONE, running=False, evidence=killed.at)
    return Guest(location=GuestLocation.UNKNOWN, running=None, evidence=source.last)
