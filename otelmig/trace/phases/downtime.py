"""The source's downtime: its length by the hypervisor's word, its parts, and what is left unaccounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.facts import RequestKind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.doubt import impossible_downtime
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.trace.drafting.layout import tiles
from otelmig.trace.drafting.span_draft import DraftEvent, SpanDraft
from otelmig.trace.phases.precopy import memory_figures
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.facts import Downtime, DowntimeParts, Printed
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.timeline import Moment
    from otelmig.trace.span import AttributeValue

__all__ = ["downtime", "target_missed"]

_NOTHING: Final = (0, 0)


def downtime(aligned: AlignedSides, side: Side) -> SpanDraft | None:
    """Return the span ``downtime`` with its parts; None if the migration never stopped the guest."""
    ended = side.sent.downtime
    if ended is None:
        return _broken_off(aligned, side)
    end = aligned.timeline.at(Role.SOURCE, ended.end)
    span = SpanDraft(SpanName.DOWNTIME, _start(aligned, side, ended, end), end)
    if ended.duration is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.INFERRED
    else:
        span.attributes[names.VM_MIGRATION_DOWNTIME_DURATION] = seconds(ended.duration.ns)
    if ended.target_ns is not None:
        span.attributes[names.VM_MIGRATION_DOWNTIME_TARGET] = seconds(ended.target_ns)
    if (missed := target_missed(ended)) is not None:
        span.attributes[names.VM_MIGRATION_DOWNTIME_TARGET_MISSED] = missed
    printed_parts = side.sent.downtime_parts
    if printed_parts is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.INFERRED
        parts = _parts_by_stamps(aligned, span)
    else:
        for _, attribute, printed in _printed_parts(printed_parts):
            span.attributes[attribute] = seconds(printed.ns)
        if aligned.coarse:
            parts = _packed(aligned, span, printed_parts)
        else:
            parts = _parts_by_breakdown(aligned, span, printed_parts)
    _finish(aligned, span, parts)
    return span


def target_missed(ended: Downtime) -> bool | None:
    """Return whether the printed downtime is over its own target, both as printed; None if either is not."""
    if ended.duration is None or ended.target_ns is None:
        return None
    return ended.duration.ns > ended.target_ns


def _printed_parts(parts: DowntimeParts) -> Iterator[tuple[SpanName, str, Printed]]:
    """Yield the parts of the downtime that were printed, in their order: span, attribute, duration."""
    for name, attribute, printed in (
        (SpanName.FINAL_DELTA, names.VM_MIGRATION_DOWNTIME_FINAL_DELTA_DURATION, parts.final_delta),
        (SpanName.SNAPSHOT, names.VM_MIGRATION_DOWNTIME_SNAPSHOT_DURATION, parts.snapshot),
        (SpanName.SEND, names.VM_MIGRATION_DOWNTIME_SEND_DURATION, parts.send),
        (SpanName.COMPLETE, names.VM_MIGRATION_DOWNTIME_COMPLETE_DURATION, parts.complete),
    ):
        if printed is not None:
            yield name, attribute, printed


def _start(aligned: AlignedSides, side: Side, ended: Downtime, end: Moment) -> Moment:
    """Return where the downtime begins: the printed time before its end; within its precision, at ``pausing``.

    A release that prints no downtime leaves the stamps: from the first sign of the pause, else of the snapshot.
    """
    facts = side.sent
    if ended.duration is None:
        return aligned.on_source(facts.pause.sign) or aligned.on_source(facts.snapshot.begin) or end
    printed = ended.duration
    pausing = aligned.on_source(facts.pause.pausing)
    if pausing is not None and printed.ns <= end.ns - pausing.ns < printed.ns + printed.error_ns:
        return pausing
    if impossible_downtime(side):
        return (pausing or aligned.on_source(facts.begun) or end).not_after(end)
    return end.plus(-printed.ns, printed.error_ns)


def _parts_by_breakdown(aligned: AlignedSides, span: SpanDraft, printed: DowntimeParts) -> list[SpanDraft]:
    """Return parts of the printed lengths; where they begin is stamped, or counted back from the end."""
    parts = _pause(aligned, span)
    after_pause = parts[-1].end if parts else span.start
    final, final_error = printed.final_delta or _NOTHING
    snapshot, snapshot_error = printed.snapshot or _NOTHING
    send, send_error = printed.send or _NOTHING
    complete, complete_error = printed.complete or _NOTHING
    error = max(send_error, complete_error, snapshot_error, final_error)
    if final:
        parts.append(_final_delta(aligned, after_pause, after_pause.plus(final, final_error)))
    completing = span.end.plus(-complete, error)
    sending = span.end.plus(-complete - send, 2 * error)
    if snapshot:
        begin = aligned.on_source(aligned.sent.snapshot.begin) or sending.plus(-snapshot, snapshot_error)
        parts.append(SpanDraft(SpanName.SNAPSHOT, begin, begin.plus(snapshot, snapshot_error).not_after(sending)))
    if send:
        parts.append(SpanDraft(SpanName.SEND, sending, completing))
    if complete:
        parts.append(SpanDraft(SpanName.COMPLETE, completing, span.end))
    return parts


def _packed(aligned: AlignedSides, span: SpanDraft, printed: DowntimeParts) -> list[SpanDraft]:
    """Return the printed parts side by side before the end: the stamps are too coarse to place anything."""
    parts: list[SpanDraft] = []
    end = span.end
    for name, _, (length, error) in reversed(tuple(_printed_parts(printed))):
        begin = end.plus(-length, error)
        if length:
            part = _final_delta(aligned, begin, end) if name is SpanName.FINAL_DELTA else SpanDraft(name, begin, end)
            part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.INFERRED
            parts.insert(0, part)
        end = begin
    return parts


def _pause(aligned: AlignedSides, span: SpanDraft) -> list[SpanDraft]:
    """Return the span ``pause``, where both of its ends were said, or it is what failed."""
    pause = aligned.sent.pause
    if pause.broken_off:
        part = SpanDraft(SpanName.PAUSE, span.start, span.end)
    elif pause.stretch is not None:
        begin = aligned.timeline.at(Role.SOURCE, pause.stretch.begin)
        end = aligned.timeline.at(Role.SOURCE, pause.stretch.end)
        part = SpanDraft(SpanName.PAUSE, begin.not_before(span.start), end)
    else:
        return []
    if pause.waited is not None:
        waited: dict[str, AttributeValue] = {
            names.VM_VCPU_WAIT_DURATION: seconds(pause.waited.waited_ns),
            names.VM_VCPU_WAIT_COUNT: pause.waited.count,
        }
        at = aligned.timeline.at(Role.SOURCE, pause.waited.at)
        part.attributes |= waited
        part.events.append(DraftEvent(name=EventName.VCPU_WAITED_FOR, at=at, attributes=waited))
    for instant, device in pause.devices:
        at = aligned.timeline.at(Role.SOURCE, instant)
        part.events.append(DraftEvent(name=EventName.DEVICE_PAUSED, at=at, attributes={names.VM_DEVICE_TYPE: device}))
    if pause.paused is not None:
        part.events.append(DraftEvent(name=EventName.VM_PAUSED, at=part.end))
    if pause.broken_off:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.PARTIAL
    elif pause.stretch is not None and pause.stretch.inferred:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.INFERRED
    return [part]


def _final_delta(aligned: AlignedSides, start: Moment, end: Moment) -> SpanDraft:
    part = SpanDraft(SpanName.FINAL_DELTA, start, end)
    final = aligned.sent.memory.final_delta
    if final is not None and final.figures is not None:
        part.attributes |= memory_figures(final.figures)
    return part


def _parts_by_stamps(aligned: AlignedSides, span: SpanDraft, until: Moment | None = None) -> list[SpanDraft]:
    """Return parts by the stamps of both sides, as far as they go; ``until`` is where the source's stop."""
    side, snapshot = aligned.source, aligned.sent.snapshot
    parts = _pause(aligned, span)
    cursor = parts[-1].end if parts else span.start
    snapshotting, snapshotted = aligned.on_source(snapshot.sign), aligned.on_source(snapshot.end)
    state = aligned.requested(RequestKind.STATE)
    if side is not None and side.mode is Mode.PRECOPY:
        final = side.sent.memory.final_delta
        sent = aligned.on_source(None if final is None else final.at) or snapshotting or until
        if sent is not None and sent.ns > cursor.ns:
            parts.append(_final_delta(aligned, cursor, sent))
    if snapshotting is not None:
        taken = snapshotted or state or until
        if taken is not None:
            parts.append(SpanDraft(SpanName.SNAPSHOT, snapshotting, taken))
            if snapshotted is not None or state is not None:
                parts += _send_and_complete(aligned, span, taken, until)
    for part in parts:
        part.attributes.setdefault(names.OTELMIG_EVIDENCE_COMPLETENESS, names.Completeness.INFERRED)
    return parts


def _send_and_complete(aligned: AlignedSides, span: SpanDraft, start: Moment, until: Moment | None) -> list[SpanDraft]:
    """Return ``send`` and ``complete``; their border lies between the destination's two lines about it."""
    restored = aligned.on_destination(aligned.received.restore.restored)
    said = aligned.on_destination(aligned.received.resume.resuming)
    resuming = aligned.requested(RequestKind.COMPLETE) or said
    said = said or resuming
    if until is not None and (resuming is None or resuming.ns >= until.ns):
        return [SpanDraft(SpanName.SEND, start, until)]
    if resuming is None:
        return []
    if restored is None or said is None:
        border = resuming
    else:
        half = (said.ns - restored.ns) // 2
        border = restored.plus(half, abs(half))
    border = border.not_before(start).not_after(span.end)
    return [SpanDraft(SpanName.SEND, start, border), SpanDraft(SpanName.COMPLETE, border, until or span.end)]


def _broken_off(aligned: AlignedSides, side: Side) -> SpanDraft | None:
    """Return a downtime that ended in a failure, or of which the end is not logged."""
    start = aligned.on_source(side.sent.pause.sign)
    if start is None:
        return None
    if aligned.failure is None:
        return _open(aligned, side, start)
    span = SpanDraft(SpanName.DOWNTIME, start, aligned.failure)
    _finish(aligned, span, _parts_by_stamps(aligned, span, until=aligned.failure))
    return span


def _open(aligned: AlignedSides, side: Side, start: Moment) -> SpanDraft | None:
    """Return a downtime of which the source does not log the end: it ends at the latest where the guest ran.

    Else where the source had released what the migration held, and if nothing is known, where its log stops.
    """
    sent = side.sent
    bounds = [
        moment
        for moment in (
            aligned.on_destination(aligned.received.ran_by),
            aligned.on_source(sent.finished),
            aligned.on_source(sent.drained),
        )
        if moment is not None
    ]
    end = min(bounds, key=lambda moment: moment.ns, default=aligned.evidence_ends)
    if end is None:
        return None
    span = SpanDraft(SpanName.DOWNTIME, start, end.not_before(start))
    inferred = side.result is Result.SUCCESS and bool(bounds)
    span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = (
        names.Completeness.INFERRED if inferred else names.Completeness.PARTIAL
    )
    span.attributes[names.VM_MIGRATION_DOWNTIME_OPEN] = True
    if (most_ns := _most_ns(aligned, side)) is not None:
        span.attributes[names.VM_MIGRATION_DOWNTIME_MAX] = seconds(most_ns)
    _finish(aligned, span, _parts_by_stamps(aligned, span, until=None if bounds else end))
    return span


def _most_ns(aligned: AlignedSides, side: Side) -> int | None:
    """Return the most that an open downtime can have been: until what follows its end, or as a line prints it."""
    sent, ran, placement = side.sent, aligned.received.ran_by, aligned.timeline.placement
    ends = [instant.stamp.hi_ns for instant in (sent.finished, sent.drained) if instant is not None]
    if ran is not None and placement is not None and placement.bounds is not None:
        latest = placement.bounds.latest_source_ns(ran.stamp.hi_ns)
        ends += [] if latest is None else [latest]
    begun = sent.pause.after
    lengths = [] if begun is None else [end - begun.stamp.lo_ns for end in ends]
    printed = None if sent.downtime_parts is None else sent.downtime_parts.total
    if printed is not None:
        lengths.append(printed.ns + printed.error_ns)
    return min(lengths, default=None)


def _finish(aligned: AlignedSides, span: SpanDraft, parts: list[SpanDraft]) -> None:
    """Fill the downtime with its parts; an instant that has no span of its own stands on the downtime."""
    for part in parts:
        part.end = part.end.not_after(span.end).not_before(part.start.not_after(span.end))
    span.children = tiles(span, parts)
    pause = aligned.sent.pause
    if pause.stretch is None and (paused := aligned.on_source(pause.paused)) is not None:
        span.events.append(DraftEvent(name=EventName.VM_PAUSED, at=paused.not_before(span.start).not_after(span.end)))
