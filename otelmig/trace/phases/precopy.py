"""The source before its downtime: memory copied while the guest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.facts import ErrorType, RequestKind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.trace.drafting.span_draft import DraftEvent, SpanDraft
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from otelmig.migration.facts import MemoryFigures, MemoryIteration
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.timeline import Moment
    from otelmig.trace.span import AttributeValue

__all__ = ["memory_figures", "precopy"]

_BEFORE_MEMORY: Final = frozenset({ErrorType.CONNECTION_FAILED, ErrorType.TLS_ERROR, ErrorType.CONFIG_REJECTED})
"""Failures that come before any memory is sent."""


def precopy(aligned: AlignedSides, end: Moment) -> SpanDraft | None:
    """Return the span ``precopy`` with its iterations; None if no memory was copied while the guest ran."""
    side = aligned.source
    if side is None or side.mode is not Mode.PRECOPY or not _began(aligned, side):
        return None
    start = _start(aligned, side)
    if start.ns >= end.ns:
        return None
    span = SpanDraft(SpanName.PRECOPY, start, end)
    cursor = start
    for index, iteration in enumerate(side.sent.memory.iterations):
        finish = aligned.timeline.at(Role.SOURCE, iteration.at)
        draft = SpanDraft(SpanName.MEMORY_ITERATION, cursor, finish.not_after(end))
        draft.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = index
        if iteration.figures is not None:
            draft.attributes |= memory_figures(iteration.figures)
        draft.attributes |= _dirty_rate(iteration, finish.ns - cursor.ns)
        span.children.append(draft)
        cursor = finish
    _add_unfinished(aligned, side, span, cursor)
    _add_convergence(aligned, span)
    return span


def memory_figures(figures: MemoryFigures) -> dict[str, AttributeValue]:
    """Return what a line about a memory iteration prints, as attributes."""
    throttle = figures.throttle_percent
    attributes: dict[str, AttributeValue | None] = {
        names.VM_MIGRATION_MEMORY_ITERATION_SIZE: figures.size_bytes,
        names.VM_MIGRATION_MEMORY_CUMULATIVE_SIZE: figures.total_bytes,
        names.VM_MIGRATION_MEMORY_BANDWIDTH: figures.bandwidth,
        names.VM_MIGRATION_MEMORY_AVERAGE_BANDWIDTH: figures.average_bandwidth,
        names.VM_MIGRATION_MEMORY_TRANSFER_DURATION: _seconds(figures.transfer_ns),
        names.VM_MIGRATION_MEMORY_OVERHEAD_DURATION: _seconds(figures.overhead_ns),
        names.VM_VCPU_THROTTLE_RATIO: None if throttle is None else throttle / 100,
        names.VM_MIGRATION_DOWNTIME_ESTIMATED: _seconds(figures.downtime_estimate_ns),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else seconds(ns)


def _began(aligned: AlignedSides, side: Side) -> bool:
    """Return whether memory was being copied: a line says so, or nothing says that it ended before."""
    if side.sent.memory.was_sent or aligned.received.first(RequestKind.MEMORY) is not None:
        return True
    if side.sent.handshake is None or aligned.error_type in _BEFORE_MEMORY:
        return side.result is Result.SUCCESS
    requests_logged = aligned.received.first(RequestKind.START) is not None
    return side.sent.terms.connections > 1 or not requests_logged  # else Memory would be among them


def _start(aligned: AlignedSides, side: Side) -> Moment:
    """Return when copying began: by the printed elapsed time, else the first Memory request, else the last connect."""
    handshake = aligned.on_source(side.sent.handshake)
    start = aligned.on_source(side.sent.memory.since)
    start = start or aligned.requested(RequestKind.MEMORY) or aligned.on_source(side.sent.last_connecting)
    if start is None or handshake is None:
        return start or handshake or aligned.timeline.at(Role.SOURCE, side.first)
    return start.not_before(handshake)


def _dirty_rate(iteration: MemoryIteration, duration_ns: int) -> dict[str, AttributeValue]:
    """Return how fast the guest wrote memory during an iteration, and how that is known."""
    rate = iteration.dirty_rate
    if rate is None and iteration.dirtied_bytes is not None and duration_ns > 0:
        rate = iteration.dirtied_bytes / seconds(duration_ns)
    if rate is None:
        return {}
    return {
        names.VM_MIGRATION_MEMORY_DIRTY_RATE: rate,
        names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: str(iteration.dirty_method),
    }


def _add_unfinished(aligned: AlignedSides, side: Side, span: SpanDraft, cursor: Moment) -> None:
    """Add the iteration that was under way when the migration failed or its evidence stops: marked, not counted."""
    if side.result in (Result.SUCCESS, Result.TIMEOUT) or aligned.paused or cursor.ns >= span.end.ns:
        return
    if not side.sent.memory.iteration_under_way:
        return
    unfinished = SpanDraft(SpanName.MEMORY_ITERATION, cursor, span.end)
    unfinished.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = len(span.children)
    unfinished.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = names.Completeness.PARTIAL
    span.children.append(unfinished)


def _add_convergence(aligned: AlignedSides, span: SpanDraft) -> None:
    """Add why iterating stopped, as an attribute and as an event."""
    convergence = aligned.sent.memory.convergence
    if convergence is None:
        return
    reason = str(convergence.reason)
    span.attributes[names.VM_MIGRATION_CONVERGENCE_REASON] = reason
    if convergence.downtime_estimate_ns:
        span.attributes[names.VM_MIGRATION_DOWNTIME_ESTIMATED] = seconds(convergence.downtime_estimate_ns)
    if (at := aligned.on_source(convergence.at)) is not None:
        span.events.append(
            DraftEvent(
                name=EventName.CONVERGED,
                at=at.not_before(span.start).not_after(span.end),
                attributes={names.VM_MIGRATION_CONVERGENCE_REASON: reason},
            )
        )
