"""The source before its downtime: memory copied while the guest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Command, Kind
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.aligned_sides import seconds
from otelmig.trace.span_draft import Draft, DraftEvent
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.trace.aligned_sides import AlignedSides
    from otelmig.trace.span import AttributeValue
    from otelmig.trace.timeline import Moment

__all__ = ["memory_figures", "precopy"]

_ELAPSED_ERROR_NS: Final = 5 * 10**6
"""``elapsed`` is printed with two decimals of a second."""
_ITERATION: Final = (Kind.ITERATION_ANNOUNCED, Kind.ITERATION_SENT)
_BEFORE_TABLE: Final = (Kind.DIRTY_ROUND, *_ITERATION)
_BEFORE_MEMORY: Final = frozenset({"connection_failed", "tls_error", "config_rejected"})
"""Failures that come before any memory is sent."""


def precopy(aligned: AlignedSides, end: Moment) -> Draft | None:
    """The span ``precopy`` with its iterations, up to ``end``; None if no memory was copied with the guest running."""
    side = aligned.source
    if side is None or side.mode is not Mode.PRECOPY or not _began(aligned, side):
        return None
    start = _start(aligned, side)
    if start is None or start.ns >= end.ns:
        return None
    span = Draft(SpanName.PRECOPY, start, end)
    cursor = start
    passes = _passes(aligned, side)
    for index, (finish, seen) in enumerate(passes):
        iteration = Draft(SpanName.MEMORY_ITERATION, cursor, finish.not_after(end))
        iteration.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = index
        if seen.kind is Kind.ITERATION_SENT:
            iteration.attributes |= memory_figures(seen, first=index == 0)
        iteration.attributes |= _dirty_rate(side, passes, index, finish.ns - cursor.ns)
        span.children.append(iteration)
        cursor = finish
    _add_unfinished(aligned, span, cursor, end)
    _add_convergence(aligned, span)
    return span


def memory_figures(seen: Observation, *, first: bool) -> dict[str, AttributeValue]:
    """What a line about a memory pass prints, as attributes."""
    found: dict[str, AttributeValue] = {}
    if (size := seen.number("size_bytes")) is not None:
        found[names.VM_MIGRATION_MEMORY_ITERATION_SIZE] = size
    if (size := seen.number("total_bytes")) is not None:
        found[names.VM_MIGRATION_MEMORY_CUMULATIVE_SIZE] = size
    if (bandwidth := seen.rate("bandwidth")) is not None:
        found[names.VM_MIGRATION_MEMORY_BANDWIDTH] = bandwidth
    if (bandwidth := seen.rate("average_bandwidth")) is not None:
        found[names.VM_MIGRATION_MEMORY_AVERAGE_BANDWIDTH] = bandwidth
    if (ns := seen.number("transfer_ns")) is not None:
        found[names.VM_MIGRATION_MEMORY_TRANSFER_DURATION] = seconds(ns)
    if (ns := seen.number("overhead_ns")) is not None:
        found[names.VM_MIGRATION_MEMORY_OVERHEAD_DURATION] = seconds(ns)
    if (percent := seen.number("throttle")) is not None:
        found[names.VM_VCPU_THROTTLE_RATIO] = percent / 100
    # before the second pass there is no bandwidth to estimate with: the printed 0 means unknown
    if not first and (ns := seen.number("estimate_ns")) is not None:
        found[names.VM_MIGRATION_DOWNTIME_ESTIMATED] = seconds(ns)
    return found


def _began(aligned: AlignedSides, side: Side) -> bool:
    """Whether memory was being copied: a line says so, or nothing says that it ended before."""
    memory = (
        Kind.ITERATION_SENT,
        Kind.ITERATION_ANNOUNCED,
        Kind.DIRTY_ROUND,
        Kind.FINAL_DELTA_SENT,
        Kind.PRECOPY_CONVERGED,
    )
    if side.first(*memory) is not None or aligned.command(Command.MEMORY) is not None:
        return True
    if side.first(Kind.CPUID_GENERATED, Kind.PROTOCOL_AGREED) is None or aligned.error_type in _BEFORE_MEMORY:
        return side.result is Result.SUCCESS
    destination = aligned.destination
    commands_logged = destination is not None and destination.command(Command.START) is not None
    return side.connections > 1 or not commands_logged  # else Memory would be among them


def _start(aligned: AlignedSides, side: Side) -> Moment | None:
    """When copying began: the smallest (stamp - elapsed), else the first Memory command, else the last connect."""
    handshake = aligned.source_first(Kind.CPUID_GENERATED, Kind.PROTOCOL_AGREED)
    printed = [
        (seen, elapsed)
        for kind in (Kind.ITERATION_SENT, Kind.PRECOPY_CONVERGED, Kind.FINAL_DELTA_SENT)
        for seen in side.all(kind)
        if (elapsed := seen.number("elapsed_ns")) is not None
    ]
    start: Moment | None
    if printed:
        seen, elapsed = min(printed, key=lambda found: found[0].stamp.ns - found[1])
        start = aligned.timeline.at(Role.SOURCE, seen).plus(-elapsed, _ELAPSED_ERROR_NS)
    else:
        start = aligned.command(Command.MEMORY) or aligned.source_last(Kind.CONNECTING)
    if start is None or handshake is None:
        return start or handshake or aligned.on_source(side.observations[0])
    return start.not_before(handshake)


def _passes(aligned: AlignedSides, side: Side) -> list[tuple[Moment, Observation]]:
    """The acknowledged passes: when each ended, and the line that says so."""
    by_index: dict[int, Observation] = {}
    for kind in _ITERATION:  # the line is stamped before the event: it wins
        for seen in side.all(kind):
            if (number := seen.number("iteration")) is not None:
                by_index[number] = seen
    seen_passes = [by_index[index] for index in sorted(by_index)]
    if not seen_passes and (first := side.first(Kind.DIRTY_ROUND)) is not None:
        seen_passes = [
            first,
            *(each.end for each in side.dirty_rounds if each.acknowledged and each.end is not None),
        ]
    return [(aligned.timeline.at(Role.SOURCE, seen), seen) for seen in seen_passes]


def _dirty_rate(
    side: Side, passes: Sequence[tuple[Moment, Observation]], index: int, duration_ns: int
) -> dict[str, AttributeValue]:
    """How fast the guest wrote memory during a pass: what the next reading of the dirty log found.

    The reading's own lines say it to the page; else the size of the next pass, which is rounded up to MiB.
    """
    line = passes[index][1]
    printed = line.rate("dirty_rate")
    if printed is not None:
        return {
            names.VM_MIGRATION_MEMORY_DIRTY_RATE: printed,
            names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: "printed",
        }
    if duration_ns <= 0:
        return {}
    if line.kind in _BEFORE_TABLE:
        rest = side.following(line)
        after = next((seen for seen in rest if seen.kind not in _ITERATION or seen.number("iteration") != index), None)
        if after is not None and after.kind is Kind.DIRTY_TABLE:
            size = after.number("dirty_bytes") or 0
            return {
                names.VM_MIGRATION_MEMORY_DIRTY_RATE: size / seconds(duration_ns),
                names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: "dirty_table",
            }
    following = passes[index + 1][1] if index + 1 < len(passes) else side.first(Kind.PRECOPY_CONVERGED)
    if following is None or (size_bytes := following.number("size_bytes")) is None:
        return {}
    return {
        names.VM_MIGRATION_MEMORY_DIRTY_RATE: size_bytes / seconds(duration_ns),
        names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: "next_iteration_size",
    }


def _add_unfinished(aligned: AlignedSides, span: Draft, cursor: Moment, end: Moment) -> None:
    """The pass that was under way when the migration failed or its evidence stops: shown, marked, not counted."""
    side = aligned.source
    if side is None or side.result in (Result.SUCCESS, Result.TIMEOUT) or aligned.paused or cursor.ns >= end.ns:
        return
    decided = side.first(Kind.CONVERGENCE_DECIDED, Kind.PRECOPY_CONVERGED)
    if decided is not None or _nothing_left(side):
        return
    unfinished = Draft(SpanName.MEMORY_ITERATION, cursor, end)
    unfinished.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX] = len(span.children)
    unfinished.attributes[names.OTELMIG_EVIDENCE_COMPLETENESS] = "partial"
    span.children.append(unfinished)


def _nothing_left(side: Side) -> bool:
    """Until v51: whether the last reading of the dirty log was empty, so that no pass was under way."""
    rounds, tables = side.all(Kind.DIRTY_ROUND), side.all(Kind.DIRTY_TABLE)
    return bool(rounds and tables) and tables[-1].stamp.ns >= rounds[-1].stamp.ns and not tables[-1].number("ranges")


def _add_convergence(aligned: AlignedSides, span: Draft) -> None:
    """Why iterating stopped, as an attribute and as an event."""
    side = aligned.source
    if side is None:
        return
    decided = side.first(Kind.CONVERGENCE_DECIDED)
    reason = None if decided is None else decided.word("reason")
    if side.result is Result.TIMEOUT:
        reason = "timeout_cancelled"
    elif reason is None and side.all(Kind.DIRTY_ROUND) and aligned.paused:
        last = side.all(Kind.DIRTY_ROUND)[-1]
        finished = (last.number("round") or 0) + 1 >= (last.number("rounds") or 0)
        empty = len(side.dirty_rounds) < len(side.all(Kind.DIRTY_ROUND))
        reason = "no_dirty_memory" if empty else "iteration_limit" if finished else None
    if reason is None:
        return
    span.attributes[names.VM_MIGRATION_CONVERGENCE_REASON] = reason
    estimate = decided or side.first(Kind.PRECOPY_CONVERGED)
    if estimate is not None and (ns := estimate.number("estimate_ns")):
        span.attributes[names.VM_MIGRATION_DOWNTIME_ESTIMATED] = seconds(ns)
    if decided is not None and (at := aligned.on_source(decided)) is not None:
        span.events.append(
            DraftEvent(
                name=EventName.CONVERGED,
                at=at.not_before(span.start).not_after(span.end),
                attributes={names.VM_MIGRATION_CONVERGENCE_REASON: reason},
            )
        )
