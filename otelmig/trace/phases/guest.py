"""Where is the guest, and does it run? The first question after every failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelmig.migration.observation import Kind
from otelmig.migration.side import Result

if TYPE_CHECKING:
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.pairing.pairing import Migration

__all__ = ["Guest", "guest_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Where the guest is after the migration, and the line that says so."""

    location: str
    """``source``, ``destination``, ``none`` or ``unknown``."""
    running: bool | None
    """None if no line says."""
    evidence: Observation | None


def guest_after(found: Migration) -> Guest:
    """What the two stories say of the guest's whereabouts."""
    source, destination = found.source, found.destination
    if source is None:
        return _by_destination(found.reference)
    completed = source.first(Kind.COMPLETED, Kind.SEND_FINISHED)
    if completed is not None:
        return _completed(source, destination, completed)
    if source.result is Result.UNKNOWN:
        if destination is not None and _arrived(destination):
            return _by_destination(destination)
        return _unknown(source, destination)
    return _failed(source)


def _failed(source: Side) -> Guest:
    """The source gave up and still has the guest."""
    failure, resumed = source.failure, source.resumed
    if source.first(Kind.RESUME_FAILED) is not None:
        return Guest(location="source", running=False, evidence=source.first(Kind.RESUME_FAILED))
    if resumed is not None:  # until v51 the failure path resumes a guest that the operator had paused, too
        return Guest(location="source", running=True, evidence=resumed)
    if source.paused_before:
        return Guest(location="source", running=False, evidence=failure)
    if source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING) is None:
        return Guest(location="source", running=True, evidence=failure)
    return Guest(location="source", running=None, evidence=failure)


def _completed(source: Side, destination: Side | None, completed: Observation) -> Guest:
    """Complete was acknowledged: the destination has the guest, and had resumed it unless it was paused."""
    paused = source.paused_before or (
        destination is not None and destination.first(Kind.PAUSED_STATE_RECEIVED) is not None
    )
    said = None
    if destination is not None:
        if (killed := destination.first(Kind.PROCESS_KILLED)) is not None:
            return Guest(location="none", running=False, evidence=killed)
        if (panicked := destination.first(Kind.GUEST_PANICKED)) is not None:
            return Guest(location="destination", running=False, evidence=panicked)
        said = destination.first(Kind.PAUSED_STATE_RECEIVED) if paused else destination.first(Kind.VM_RESUMED)
    return Guest(location="destination", running=not paused, evidence=said or completed)


def _arrived(destination: Side) -> bool:
    return destination.first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED) is not None


def _by_destination(destination: Side) -> Guest:
    """The destination alone: it knows if it has the guest; if it has not, it cannot know who has."""
    if (paused := destination.first(Kind.PAUSED_STATE_RECEIVED)) is not None:
        return Guest(location="destination", running=False, evidence=paused)
    if destination.result is Result.SUCCESS:
        resumed = destination.first(Kind.VM_RESUMED, Kind.RESUME_TIMED, Kind.DEVICE_RESUMING, Kind.RECEIVE_FINISHED)
        return Guest(location="destination", running=True, evidence=resumed)
    return Guest(location="unknown", running=None, evidence=destination.observations[-1])


def _unknown(source: Side, destination: Side | None) -> Guest:
    """The source's evidence stops; if it was killed before the guest can have left, the guest died with it."""
    killed = source.first(Kind.PROCESS_KILLED)
    stayed = source.first(Kind.SNAPSHOTTED) is None or (
        destination is not None and destination.result is Result.FAILURE
    )
    if killed is not None and stayed:
        return Guest(location="none", running=False, evidence=killed)
    return Guest(location="unknown", running=None, evidence=source.observations[-1])
