"""The destination: the span ``receive`` and what it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Command, Kind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.span import SpanKind
from otelmig.trace.span_draft import Draft, DraftEvent
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.trace.aligned_sides import AlignedSides
    from otelmig.trace.timeline import Moment

__all__ = ["receive"]

_ENDS: Final = (Kind.RECEIVE_FINISHED, Kind.RECEIVE_FAILED, Kind.PEER_LOST, Kind.RECEIVE_ABORTED)


def receive(aligned: AlignedSides, side: Side) -> Draft:
    """The span ``receive`` with its children."""
    start = _start(aligned, side)
    end, known = _end(aligned, side)
    span = Draft(SpanName.RECEIVE, start, end, role=Role.DESTINATION, sequential=False)
    span.kind = SpanKind.SERVER
    if not known:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "partial"
    span.children += _memory(aligned, side, span)
    restore = _restore(aligned, side, span)
    resume = _resume(aligned, side)
    span.children += [each for each in (restore, resume) if each is not None]
    if (prefault := _prefault(aligned, side)) is not None:
        span.children.append(prefault)
    _mark_failure(aligned, side, span, restore)
    return span


def _start(aligned: AlignedSides, side: Side) -> Moment:
    """Accepted; else the first request; else the CPUID line of Config; else whatever is there."""
    found = (
        aligned.destination_first(Kind.ACCEPTED)
        or aligned.command(Command.START)
        or aligned.destination_first(Kind.CPUID_GENERATED)
    )
    if found is not None:
        return found
    later = [seen for seen in side.observations if seen.kind not in _BEFORE_ACCEPT]
    return aligned.timeline.at(Role.DESTINATION, (later or list(side.observations))[0])


_BEFORE_ACCEPT: Final = frozenset({Kind.RECEIVE_REQUESTED, Kind.RECEIVE_STARTED, Kind.RECEIVE_READY})


def _end(aligned: AlignedSides, side: Side) -> tuple[Moment, bool]:
    """Where receiving ends, and whether the destination's own log says so."""
    for kind in _ENDS:
        if (end := aligned.destination_first(kind)) is not None:
            return end, True
    if side.result is Result.SUCCESS:
        resumed = aligned.destination_first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED)
        resumed = resumed or aligned.destination_last(Kind.DEVICE_RESUMING)
        if resumed is not None:
            return resumed, True
    last = aligned.timeline.at(Role.DESTINATION, side.observations[-1])
    closed = aligned.failure
    return (last if closed is None else closed.not_before(last)), False


def _memory(aligned: AlignedSides, side: Side, span: Draft) -> list[Draft]:
    """One span per Memory request: until it was acknowledged, or the next request came."""
    commands = side.all(Kind.COMMAND_RECEIVED)
    acknowledged = _acknowledgements(aligned)
    found: list[Draft] = []
    for position, seen in enumerate(commands):
        if seen.word("command") != Command.MEMORY:
            continue
        start = aligned.timeline.at(Role.DESTINATION, seen)
        index = len(found)
        end = span.end
        if position + 1 < len(commands):
            end = end.not_after(aligned.timeline.at(Role.DESTINATION, commands[position + 1]))
        if index < len(acknowledged) and acknowledged[index].ns > start.ns:
            end = end.not_after(acknowledged[index])
        part = Draft(SpanName.RECEIVE_MEMORY, start, end, role=Role.DESTINATION)
        part.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = index
        found.append(part)
    return found


def _acknowledgements(aligned: AlignedSides) -> list[Moment]:
    """When the source saw each memory pass acknowledged, in order, as far as that can be counted."""
    side = aligned.source
    if side is None or side.connections > 1 or side.mode is not Mode.PRECOPY:
        return []
    sent = {
        number: seen for seen in side.all(Kind.ITERATION_ANNOUNCED) if (number := seen.number("iteration")) is not None
    }
    sent |= {number: seen for seen in side.all(Kind.ITERATION_SENT) if (number := seen.number("iteration")) is not None}
    found: list[Moment] = []
    for index in range(len(sent)):
        if index not in sent:
            return found
        found.append(aligned.timeline.at(Role.SOURCE, sent[index]))
    final = side.first(Kind.FINAL_DELTA_SENT)
    if final is not None and final.number("size_bytes"):
        found.append(aligned.timeline.at(Role.SOURCE, final))
    return found


def _state_arrived(aligned: AlignedSides) -> Moment | None:
    """When the state request's header was read; else the nearest line after it."""
    return aligned.command(Command.STATE) or aligned.destination_first(
        Kind.ACCEPT_STOPPED, Kind.VM_CONFIG, Kind.RESTORING
    )


def _restore(aligned: AlignedSides, side: Side, span: Draft) -> Draft | None:
    """The state is received and the VM built from it; by its printed time, else from the state request."""
    timed = side.first(Kind.STATE_RECEIVED)
    arrived = _state_arrived(aligned)
    restored = aligned.destination_first(Kind.RESTORED)
    inferred = False
    if timed is not None:
        end = aligned.timeline.at(Role.DESTINATION, timed)
        took = (timed.number("receive_ns") or 0) + (timed.number("restore_ns") or 0)
        start = end.plus(-took, 2 * 10**6)
    elif arrived is not None:
        completing = aligned.command(Command.COMPLETE)
        start, end, inferred = arrived, restored or completing or _broken_off(aligned, side, span), True
    else:
        return None
    part = Draft(SpanName.RESTORE, start, end, role=Role.DESTINATION)
    if inferred:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred" if restored else "partial"
    built = aligned.destination_first(Kind.VM_CONFIG)
    restoring = aligned.destination_first(Kind.RESTORING)
    for name, begin, finish in (
        (SpanName.RECEIVE_STATE, start, built),
        (SpanName.CREATE_VM, built, restoring),
        (SpanName.RESTORE_DEVICES, restoring, restored),
    ):
        if begin is not None and finish is not None and finish.ns > begin.ns and finish.ns <= end.ns:
            part.children.append(Draft(name, begin.not_before(start), finish, role=Role.DESTINATION))
    return part


def _broken_off(aligned: AlignedSides, side: Side, span: Draft) -> Moment:
    refused = aligned.destination_first(Kind.RECEIVE_ABORTED)
    return refused or (
        span.end if side.result is not Result.SUCCESS else aligned.timeline.at(Role.DESTINATION, side.observations[-1])
    )


def _resume(aligned: AlignedSides, side: Side) -> Draft | None:
    """The guest is started: by its printed time, else between the events, else from Complete to the last device."""
    timed = side.first(Kind.RESUME_TIMED)
    resuming, resumed = aligned.destination_first(Kind.VM_RESUMING), aligned.destination_first(Kind.VM_RESUMED)
    inferred = False
    if timed is not None:
        end = aligned.timeline.at(Role.DESTINATION, timed)
        start = end.plus(-(timed.number("resume_ns") or 0), 10**6)
        if start.ns == end.ns:
            return None
    elif resuming is not None and resumed is not None:
        start, end, inferred = resuming, resumed, True
    else:
        complete, last = aligned.command(Command.COMPLETE), aligned.destination_last(Kind.DEVICE_RESUMING)
        if complete is None or last is None:
            return None
        start, end, inferred = complete, last, True
    part = Draft(SpanName.RESUME, start, end, role=Role.DESTINATION)
    if inferred:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
    for seen in side.all(Kind.DEVICE_RESUMING):
        at = aligned.timeline.at(Role.DESTINATION, seen)
        if start.ns <= at.ns <= end.ns:
            device = {names.VM_DEVICE_TYPE: seen.word("device") or ""}
            part.events.append(DraftEvent(name=EventName.DEVICE_RESUMED, at=at, attributes=dict(device)))
    if resumed is not None:
        part.events.append(DraftEvent(name=EventName.VM_RESUMED, at=resumed.not_after(end).not_before(start)))
    return part


def _prefault(aligned: AlignedSides, side: Side) -> Draft | None:
    """Postcopy: pages are fetched in the background until all are there."""
    started = aligned.destination_first(Kind.PREFAULT_STARTED)
    if started is None:
        return None
    done = aligned.destination_last(Kind.PREFAULT_DONE)
    failed = aligned.destination_first(Kind.PREFAULT_FAILED)
    end = done or failed or aligned.timeline.at(Role.DESTINATION, side.observations[-1])
    part = Draft(SpanName.PREFAULT, started, end, role=Role.DESTINATION, sequential=False)
    if done is None:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "partial"
        if failed is not None:
            part.fail("background prefault was abandoned after an error", "postcopy_failed")
    return part


def _mark_failure(aligned: AlignedSides, side: Side, span: Draft, restore: Draft | None) -> None:
    """What the destination itself saw go wrong."""
    aborted, lost = side.first(Kind.RECEIVE_ABORTED, Kind.CPU_INCOMPATIBLE), side.first(Kind.PEER_LOST)
    if aborted is not None and aligned.refusal is not None:
        error, error_type = aligned.refusal, aborted.word("error_type") or "_OTHER"
        span.fail(error, error_type)
        if restore is not None and error_type == "restore_failed":
            restore.fail(error, error_type)
    elif side.result is Result.FAILURE:
        if lost is not None:
            span.fail("the source closed the connection", "peer_aborted")
        else:
            span.fail("the destination reports a failure", "receive_failed")
