"""The destination: the span ``receive`` and what it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.facts import ErrorType, RequestKind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.drafting.span_draft import DraftEvent, SpanDraft
from otelmig.trace.span import SpanKind
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.timeline import Moment

__all__ = ["receive"]


def receive(aligned: AlignedSides, side: Side) -> SpanDraft:
    """Return the span ``receive`` with its children."""
    start = aligned.timeline.at(Role.DESTINATION, side.received.begun or side.first)
    end, known = _end(aligned, side)
    span = SpanDraft(SpanName.RECEIVE, start, end, role=Role.DESTINATION, sequential=False)
    span.kind = SpanKind.SERVER
    if not known:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.PARTIAL
    span.children += _memory(aligned, side, span)
    restore = _restore(aligned, side, span)
    resume = _resume(aligned, side)
    span.children += [part for part in (restore, resume) if part is not None]
    resumed = aligned.on_destination(side.received.resume.resumed)
    if resume is None and side.received.resume.printed_at is None and resumed is not None:
        at = resumed.not_after(span.end).not_before(span.start)
        span.events.append(DraftEvent(name=EventName.VM_RESUMED, at=at))
    if (prefault := _prefault(aligned, side)) is not None:
        span.children.append(prefault)
    _mark_failure(aligned, side, span, restore)
    return span


def _end(aligned: AlignedSides, side: Side) -> tuple[Moment, bool]:
    """Return where receiving ends, and whether the destination's own log says so."""
    if (end := aligned.on_destination(side.received.end)) is not None:
        return end, True
    last = aligned.timeline.at(Role.DESTINATION, side.last)
    closed = aligned.failure
    return (last if closed is None else closed.not_before(last)), False


def _memory(aligned: AlignedSides, side: Side, span: SpanDraft) -> list[SpanDraft]:
    """Return one span per request with memory: until it was acknowledged, or the next request came."""
    requests = side.received.requests
    acknowledged = _acknowledgements(aligned)
    parts: list[SpanDraft] = []
    for position, request in enumerate(requests):
        if request.kind is not RequestKind.MEMORY:
            continue
        start = aligned.timeline.at(Role.DESTINATION, request.at)
        index = len(parts)
        end = span.end
        if position + 1 < len(requests):
            end = end.not_after(aligned.timeline.at(Role.DESTINATION, requests[position + 1].at))
        if index < len(acknowledged) and acknowledged[index].ns > start.ns:
            end = end.not_after(acknowledged[index])
        part = SpanDraft(SpanName.RECEIVE_MEMORY, start, end, role=Role.DESTINATION)
        part.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = index
        parts.append(part)
    return parts


def _acknowledgements(aligned: AlignedSides) -> list[Moment]:
    """Return when the source saw each memory iteration acknowledged, in order, as far as that can be counted."""
    side, memory = aligned.source, aligned.sent.memory
    if side is None or side.sent.terms.connections > 1 or side.mode is not Mode.PRECOPY:
        return []
    moments: list[Moment] = []
    acknowledged = [iteration for iteration in memory.iterations if iteration.acknowledged]
    for index, iteration in enumerate(acknowledged):
        if iteration.number != index:
            return moments
        moments.append(aligned.timeline.at(Role.SOURCE, iteration.at))
    final = memory.final_delta
    if final is not None and final.figures is not None and final.figures.size_bytes:
        moments.append(aligned.timeline.at(Role.SOURCE, final.at))
    return moments


def _restore(aligned: AlignedSides, side: Side, span: SpanDraft) -> SpanDraft | None:
    """Return the span ``restore``: by its printed time, else from the state request."""
    facts = side.received.restore
    restored = aligned.on_destination(facts.restored)
    if facts.printed_at is not None:
        end = aligned.timeline.at(Role.DESTINATION, facts.printed_at)
        lengths = (facts.receive, facts.restore, facts.with_wait)
        printed = [duration for duration in lengths if duration is not None]
        took_ns = sum(duration.ns for duration in printed)
        start = end.plus(-took_ns, 2 * max((duration.error_ns for duration in printed), default=0))
    elif facts.arrived is not None:
        start = aligned.timeline.at(Role.DESTINATION, facts.arrived)
        end = restored or aligned.requested(RequestKind.COMPLETE) or _broken_off(aligned, side, span)
    else:
        return None
    part = SpanDraft(SpanName.RESTORE, start, end, role=Role.DESTINATION)
    if facts.with_wait is not None:
        part.attributes[names.VM_MIGRATION_RESTORE_WITH_WAIT] = True
    if facts.printed_at is None:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = (
            names.Completeness.INFERRED if restored else names.Completeness.PARTIAL
        )
    built, restoring = aligned.on_destination(facts.config), aligned.on_destination(facts.restoring)
    for name, begin, finish in (
        (SpanName.RECEIVE_STATE, start, built),
        (SpanName.CREATE_VM, built, restoring),
        (SpanName.RESTORE_DEVICES, restoring, restored),
    ):
        if begin is not None and finish is not None and finish.ns > begin.ns and finish.ns <= end.ns:
            part.children.append(SpanDraft(name, begin.not_before(start), finish, role=Role.DESTINATION))
    return part


def _broken_off(aligned: AlignedSides, side: Side, span: SpanDraft) -> Moment:
    refusal = side.received.refusal
    if refusal is not None and refusal.of_request:
        return aligned.timeline.at(Role.DESTINATION, refusal.at)
    return span.end if side.result is not Result.SUCCESS else aligned.timeline.at(Role.DESTINATION, side.last)


def _resume(aligned: AlignedSides, side: Side) -> SpanDraft | None:
    """Return the span ``resume``: by its printed time, between its events, or from Complete to the last device."""
    facts = side.received.resume
    resuming, resumed = aligned.on_destination(facts.resuming), aligned.on_destination(facts.resumed)
    if facts.printed_at is not None:
        end = aligned.timeline.at(Role.DESTINATION, facts.printed_at)
        length_ns, error_ns = facts.duration or (0, 0)
        start = end.plus(-length_ns, error_ns)
        if start.ns == end.ns:
            return None
    elif resuming is not None and resumed is not None:
        start, end = resuming, resumed
    else:
        complete = aligned.requested(RequestKind.COMPLETE)
        if complete is None or not facts.devices:
            return None
        start, end = complete, aligned.timeline.at(Role.DESTINATION, facts.devices[-1].at)
    part = SpanDraft(SpanName.RESUME, start, end, role=Role.DESTINATION)
    if facts.printed_at is None:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.INFERRED
    for instant, device in facts.devices:
        at = aligned.timeline.at(Role.DESTINATION, instant)
        if start.ns <= at.ns <= end.ns:
            part.events.append(
                DraftEvent(name=EventName.DEVICE_RESUMED, at=at, attributes={names.VM_DEVICE_TYPE: device})
            )
    if resumed is not None:
        part.events.append(DraftEvent(name=EventName.VM_RESUMED, at=resumed.not_after(end).not_before(start)))
    return part


def _prefault(aligned: AlignedSides, side: Side) -> SpanDraft | None:
    """Return the span ``prefault``: pages are fetched in the background until all are there (postcopy only)."""
    facts = side.received.prefault
    if facts is None:
        return None
    start = aligned.timeline.at(Role.DESTINATION, facts.begin)
    end = aligned.timeline.at(Role.DESTINATION, facts.done or facts.abandoned or facts.cut_off or side.last)
    part = SpanDraft(SpanName.PREFAULT, start, end, role=Role.DESTINATION, sequential=False)
    if facts.done is None:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.PARTIAL
        if facts.abandoned is not None:
            part.fail("background prefault was abandoned after an error", ErrorType.POSTCOPY_FAILED)
    return part


def _mark_failure(aligned: AlignedSides, side: Side, span: SpanDraft, restore: SpanDraft | None) -> None:
    """Mark what the destination itself saw go wrong."""
    refusal = side.received.refusal
    if refusal is not None:
        span.fail(refusal.text, refusal.error_type)
        if restore is not None and refusal.error_type is ErrorType.RESTORE_FAILED:
            restore.fail(refusal.text, refusal.error_type)
    elif side.result is Result.FAILURE:
        if side.received.peer_lost is not None:
            said = side.received.peer_lost_text
            words = "the source closed the connection" + ("" if said is None else f": {said}")
            span.fail(words, ErrorType.PEER_ABORTED)
        else:
            span.fail("the destination reports a failure", ErrorType.RECEIVE_FAILED)
    elif side.result is Result.UNKNOWN:
        _mark_lost(aligned, side, span)


def _mark_lost(aligned: AlignedSides, side: Side, span: SpanDraft) -> None:
    """Mark a destination that stops without a word as ERROR if something saw it go: its peer, or what killed it."""
    description = aligned.lost(side)
    if description is None:
        return
    span.fail(description, ErrorType.PEER_ABORTED)
    open_phase = next((child for child in reversed(span.children) if child.end.ns >= span.end.ns), None)
    if open_phase is not None:
        open_phase.fail(description, ErrorType.PEER_ABORTED)
