"""The source's downtime: its length by the hypervisor's word, its parts, and what is left unaccounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Command, Kind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.aligned_sides import seconds
from otelmig.trace.doubt import impossible_downtime
from otelmig.trace.phases.precopy import memory_figures
from otelmig.trace.span_draft import Draft, DraftEvent, tiles
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.trace.aligned_sides import AlignedSides
    from otelmig.trace.timeline import Moment

__all__ = ["downtime"]

_MS: Final = 10**6


def downtime(aligned: AlignedSides, side: Side) -> Draft | None:
    """The span ``downtime`` with its parts; None if the migration never stopped the guest (and never completed)."""
    completed = side.first(Kind.COMPLETED)
    if completed is None:
        return _broken_off(aligned, side)
    end = aligned.timeline.at(Role.SOURCE, completed)
    printed = completed.number("downtime_ns")
    span = Draft(SpanName.DOWNTIME, _start(aligned, end, printed), end)
    if printed is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
    else:
        span.attributes[names.VM_MIGRATION_DOWNTIME_DURATION] = seconds(printed)
    target = completed.number("target_ns")
    if target is not None:
        span.attributes[names.VM_MIGRATION_DOWNTIME_TARGET] = seconds(target)
    breakdown = side.first(Kind.DOWNTIME_BREAKDOWN)
    if breakdown is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
        parts = _parts_by_stamps(aligned, span)
    else:
        for name in ("final_delta", "snapshot", "send", "complete"):
            if (part := breakdown.number(f"{name}_ns")) is not None:
                span.attributes[f"vm.migration.downtime.{name}"] = seconds(part)
        parts = _packed(aligned, span, breakdown) if aligned.coarse else _parts_by_breakdown(aligned, span, breakdown)
    _finish(span, parts)
    return span


def _start(aligned: AlignedSides, end: Moment, printed_ns: int | None) -> Moment:
    """Where the downtime begins: it lasts the printed milliseconds; inside the last one ``pausing`` decides.

    A release that prints no downtime leaves the stamps: from ``pausing``, else the first device that is paused.
    """
    pausing = aligned.source_first(Kind.VM_PAUSING)
    if printed_ns is None:
        begin = pausing or aligned.source_first(Kind.DEVICE_PAUSING) or aligned.source_first(Kind.SNAPSHOTTING)
        return end if begin is None else begin
    if pausing is not None and printed_ns <= end.ns - pausing.ns < printed_ns + _MS:
        return pausing
    if aligned.source is not None and impossible_downtime(aligned.source):
        began = aligned.source_first(Kind.SEND_STARTED, Kind.SEND_ANNOUNCED, Kind.SEND_REQUESTED)
        return (pausing or began or end).not_after(end)
    return end.plus(-printed_ns, _MS)


def _parts_by_breakdown(aligned: AlignedSides, span: Draft, breakdown: Observation) -> list[Draft]:
    """Parts of the printed lengths; where they begin is stamped (pause, snapshot) or counted back from the end."""
    parts = _pause(aligned, span)
    after_pause = parts[-1].end if parts else span.start
    final = breakdown.number("final_delta_ns") or 0
    if final:
        parts.append(_final_delta(aligned, after_pause, after_pause.plus(final, _MS)))
    complete = breakdown.number("complete_ns") or 0
    send = breakdown.number("send_ns") or 0
    completing = span.end.plus(-complete, _MS)
    sending = span.end.plus(-complete - send, 2 * _MS)
    snapshotting = aligned.source_first(Kind.SNAPSHOTTING)
    snapshot = breakdown.number("snapshot_ns") or 0
    if snapshot:
        begin = snapshotting or sending.plus(-snapshot, _MS)
        parts.append(Draft(SpanName.SNAPSHOT, begin, begin.plus(snapshot, _MS).not_after(sending)))
    if send:
        parts.append(Draft(SpanName.SEND, sending, completing))
    if complete:
        parts.append(Draft(SpanName.COMPLETE, completing, span.end))
    return parts


def _packed(aligned: AlignedSides, span: Draft, breakdown: Observation) -> list[Draft]:
    """Stamps too coarse to place anything: the printed parts side by side before the end, the rest before them."""
    parts: list[Draft] = []
    end = span.end
    for name, key in (
        (SpanName.COMPLETE, "complete_ns"),
        (SpanName.SEND, "send_ns"),
        (SpanName.SNAPSHOT, "snapshot_ns"),
        (SpanName.FINAL_DELTA, "final_delta_ns"),
    ):
        length = breakdown.number(key) or 0
        begin = end.plus(-length, _MS)
        if length:
            part = _final_delta(aligned, begin, end) if name == SpanName.FINAL_DELTA else Draft(name, begin, end)
            part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
            parts.insert(0, part)
        end = begin
    return parts


def _pause(aligned: AlignedSides, span: Draft) -> list[Draft]:
    """The span ``pause``, if the migration paused the guest."""
    side = aligned.source
    pausing = aligned.source_first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING)
    paused = aligned.source_first(Kind.VM_PAUSED) or aligned.source_last(Kind.DEVICE_PAUSING)
    if side is None or pausing is None or paused is None:
        return []
    part = Draft(SpanName.PAUSE, pausing.not_before(span.start), paused)
    for seen in side.all(Kind.DEVICE_PAUSING):
        part.events.append(
            DraftEvent(
                name=EventName.DEVICE_PAUSED,
                at=aligned.timeline.at(Role.SOURCE, seen),
                attributes={names.VM_DEVICE_TYPE: seen.word("device") or ""},
            )
        )
    if side.first(Kind.VM_PAUSED) is not None:
        part.events.append(DraftEvent(name=EventName.VM_PAUSED, at=paused))
    else:
        part.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
    return [part]


def _final_delta(aligned: AlignedSides, start: Moment, end: Moment) -> Draft:
    part = Draft(SpanName.FINAL_DELTA, start, end)
    final = None if aligned.source is None else aligned.source.first(Kind.FINAL_DELTA_SENT)
    if final is not None:
        figures = memory_figures(final, first=True)
        part.attributes |= figures
    return part


def _parts_by_stamps(aligned: AlignedSides, span: Draft, until: Moment | None = None) -> list[Draft]:
    """No printed parts: from the stamps of both sides, as far as they go (``until`` is where the source's stop)."""
    side = aligned.source
    parts = _pause(aligned, span)
    cursor = parts[-1].end if parts else span.start
    snapshotting = aligned.source_first(Kind.SNAPSHOTTING) or _snapshot_cpuid(aligned)
    snapshotted = aligned.source_first(Kind.SNAPSHOTTED)
    if side is not None and side.mode is Mode.PRECOPY:
        sent = aligned.source_first(Kind.FINAL_DELTA_SENT) or snapshotting or until
        if sent is not None and sent.ns > cursor.ns:
            parts.append(_final_delta(aligned, cursor, sent))
    if snapshotting is not None:
        taken = snapshotted or aligned.command(Command.STATE) or until
        if taken is not None:
            parts.append(Draft(SpanName.SNAPSHOT, snapshotting, taken))
            cursor = taken
            if snapshotted is not None or aligned.command(Command.STATE) is not None:
                parts += _send_and_complete(aligned, span, cursor, until)
    for part in parts:
        part.attributes.setdefault(names.OTELMIG_EVIDENCE_COMPLETENESS, "inferred")
    return parts


def _send_and_complete(aligned: AlignedSides, span: Draft, start: Moment, until: Moment | None) -> list[Draft]:
    """The border between sending the state and completing lies between the destination's two lines about it."""
    restored = aligned.destination_first(Kind.RESTORED)
    resuming = aligned.command(Command.COMPLETE) or aligned.destination_first(Kind.VM_RESUMING)
    resuming_event = aligned.destination_first(Kind.VM_RESUMING) or resuming
    if until is not None and (resuming is None or resuming.ns >= until.ns):
        return [Draft(SpanName.SEND, start, until)]
    if resuming is None:
        return []
    if restored is None or resuming_event is None:
        border = resuming
    else:
        half = (resuming_event.ns - restored.ns) // 2
        border = restored.plus(half, abs(half))
    border = border.not_before(start).not_after(span.end)
    return [Draft(SpanName.SEND, start, border), Draft(SpanName.COMPLETE, border, until or span.end)]


def _snapshot_cpuid(aligned: AlignedSides) -> Moment | None:
    """The CPUID line at the start of the snapshot, for logs without events."""
    lines = () if aligned.source is None else aligned.source.all(Kind.CPUID_GENERATED)
    return aligned.on_source(lines[1]) if len(lines) > 1 else None


def _broken_off(aligned: AlignedSides, side: Side) -> Draft | None:
    """A downtime that ended in a failure, or of which the end is not logged."""
    start = aligned.source_first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING)
    if start is None:
        return None
    finished = aligned.source_first(Kind.SEND_FINISHED)
    if side.result is Result.SUCCESS and finished is not None:
        # without the completion line: what the destination says last comes closest, the event follows the cleanup
        received = aligned.destination_first(Kind.RECEIVE_FINISHED, Kind.VM_RESUMED) or finished
        span = Draft(SpanName.DOWNTIME, start, received.not_after(finished).not_before(start))
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "inferred"
        _finish(span, _parts_by_stamps(aligned, span))
        return span
    end = aligned.failure or aligned.evidence_ends
    if end is None:
        return None
    span = Draft(SpanName.DOWNTIME, start, end)
    parts = _parts_by_stamps(aligned, span, until=end)
    if aligned.failure is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "partial"
    _finish(span, parts)
    return span


def _finish(span: Draft, parts: list[Draft]) -> None:
    for part in parts:
        part.end = part.end.not_after(span.end).not_before(part.start.not_after(span.end))
    span.children = tiles(span, parts)
