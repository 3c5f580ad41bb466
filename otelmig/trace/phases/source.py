"""The source's side of the tree: the root ``migration`` and its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.drafting.layout import SHORTEST_TILE_NS
from otelmig.trace.drafting.span_draft import DraftEvent, SpanDraft
from otelmig.trace.phases.downtime import downtime
from otelmig.trace.phases.precopy import precopy
from otelmig.trace.span import SpanKind
from otelmig.trace.spans import EventName, SpanName
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.timeline import Moment

__all__ = ["add_wait", "phase", "source_tree"]


def phase(root: SpanDraft, name: str) -> SpanDraft | None:
    """Return the child of ``root`` called ``name``."""
    return next((child for child in root.children if child.name == name), None)


def source_tree(aligned: AlignedSides, side: Side) -> SpanDraft:
    """Return the root span with the source's phases, in order."""
    start = aligned.timeline.at(Role.SOURCE, side.sent.begun or side.first)
    end = _end(aligned, side)
    root = SpanDraft(SpanName.MIGRATION, start, end)
    root.kind = SpanKind.CLIENT
    stopped = downtime(aligned, side)
    memory_until = stopped.start if stopped is not None else (aligned.failure or aligned.evidence_ends or end)
    memory = precopy(aligned, memory_until)
    setup_until = next((span.start for span in (memory, stopped) if span is not None), memory_until)
    root.children.append(SpanDraft(SpanName.SETUP, start, setup_until))
    root.children += [span for span in (memory, stopped) if span is not None]
    if stopped is not None and aligned.failure is None:
        end = end.not_before(stopped.end)  # the guest may run where the source's log has stopped
        root.end = end
    _add_ending(aligned, side, root, stopped, end)
    _mark_failure(aligned, side, root)
    return root


def add_wait(root: SpanDraft, aligned: AlignedSides) -> None:
    """Add ``unaccounted`` to the source where the destination reports its end after the source has, until then.

    So the source's phases fill the root, and what ends last is theirs: viewers walk back from there, and would stay on
    the destination otherwise.
    """
    received = phase(root, SpanName.RECEIVE)
    last = next((child for child in reversed(root.children) if child.sequential and child.role is Role.SOURCE), None)
    if received is None or last is None or aligned.source is None:
        return
    until = max((draft.end for draft in received.walk()), key=lambda end: end.ns)
    if until.ns - last.end.ns >= SHORTEST_TILE_NS:
        wait = SpanDraft(SpanName.UNACCOUNTED, last.end, until.plus(MICROSECOND_NS))
        root.children.append(wait)
        root.end = root.end.not_before(wait.end)


def _end(aligned: AlignedSides, side: Side) -> Moment:
    """Return where the source's part ends."""
    return aligned.evidence_ends or aligned.timeline.at(Role.SOURCE, side.sent.end or side.last)


def _add_ending(aligned: AlignedSides, side: Side, root: SpanDraft, stopped: SpanDraft | None, end: Moment) -> None:
    """Add what follows the downtime or the failure: ``postcopy``, then ``cleanup`` or ``rollback``."""
    completed = side.sent.downtime is not None
    if side.result is Result.UNKNOWN:
        postcopy = completed or side.mode is Mode.POSTCOPY
        if stopped is not None and postcopy and end.ns > stopped.end.ns:
            root.children.append(SpanDraft(SpanName.POSTCOPY, stopped.end, end))  # pages were left behind
    elif not completed and aligned.failure is not None:
        _add_rollback(aligned.failure, root, stopped, aligned.on_source(side.sent.resumed), end)
    elif stopped is not None:
        cursor = stopped.end
        if side.mode is Mode.POSTCOPY:
            drained = aligned.failure or aligned.on_source(side.sent.drained) or end
            if drained.ns > cursor.ns:
                root.children.append(SpanDraft(SpanName.POSTCOPY, cursor, drained))
                cursor = drained
        if end.ns > cursor.ns:
            root.children.append(SpanDraft(SpanName.CLEANUP, cursor, end))


def _add_rollback(
    failure: Moment, root: SpanDraft, stopped: SpanDraft | None, resumed: Moment | None, end: Moment
) -> None:
    """Add ``rollback`` until the guest runs again, if it was stopped; else ``cleanup``."""
    until = end if stopped is None else resumed or end
    if until.ns <= failure.ns:
        return
    span = SpanDraft(SpanName.CLEANUP if stopped is None else SpanName.ROLLBACK, failure, until)
    if stopped is not None and resumed is None:
        span.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.PARTIAL
    root.children.append(span)


def _mark_lost(aligned: AlignedSides, side: Side, root: SpanDraft) -> None:
    """Mark a source that stops without a word as ERROR if something saw it go: its peer, or what killed it."""
    description = aligned.lost(side)
    if description is None:
        return
    root.fail(description, ErrorType.PEER_ABORTED)
    open_phase = root.children[-1]
    open_phase.fail(description, ErrorType.PEER_ABORTED)
    if open_phase.children and open_phase.children[-1].name != SpanName.UNACCOUNTED:
        open_phase.children[-1].fail(description, ErrorType.PEER_ABORTED)


def _mark_failure(aligned: AlignedSides, side: Side, root: SpanDraft) -> None:
    """Mark the root and the phase that failed as ERROR; what stops without a word only if the peer saw it go."""
    if side.result in (Result.SUCCESS, Result.CANCELLATION):
        return
    if side.result is Result.UNKNOWN:
        _mark_lost(aligned, side, root)
        return
    failure, refusal = side.sent.failure, aligned.received.refusal
    description = (None if failure is None else failure.text) or "the migration failed"
    if refusal is not None:
        description = f"the destination {refusal.did}: {refusal.text}; the source: {description}"
    root.fail(description, aligned.error_type)
    if aligned.failure is not None:
        root.events.append(
            DraftEvent(name=EventName.FAILED, at=aligned.failure, attributes={names.ERROR_TYPE: aligned.error_type})
        )
    phases = [
        child
        for child in root.children
        if child.name in (SpanName.SETUP, SpanName.PRECOPY, SpanName.DOWNTIME, SpanName.POSTCOPY)
    ]
    if not phases:
        return
    failing = phases[-1]
    failing.fail(description, aligned.error_type)
    last = failing.children[-1] if failing.children else None
    unfinished = last is not None and (
        failing.name == SpanName.DOWNTIME
        or last.attributes.get(names.OTELMIG_EVIDENCE_COMPLETENESS) == names.Completeness.PARTIAL
    )
    if last is not None and unfinished and last.name != SpanName.UNACCOUNTED:
        last.fail(description, aligned.error_type)
