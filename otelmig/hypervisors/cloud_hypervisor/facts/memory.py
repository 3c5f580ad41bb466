"""Memory that was copied while the guest ran: iterations, how fast the guest wrote, why iterating stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.facts.instant import at
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.facts import (
    Convergence,
    ConvergenceReason,
    DirtyRateMethod,
    Instant,
    MemoryCopy,
    MemoryFigures,
    MemoryIteration,
)
from otelmig.migration.side import Result
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

__all__ = ["memory_copy"]

_ELAPSED_ERROR_NS: Final = 5 * MILLISECOND_NS
"""``elapsed`` is printed with two decimals of a second."""
_ITERATION: Final = (Kind.ITERATION_ANNOUNCED, Kind.ITERATION_SENT)
_BEFORE_TABLE: Final = (Kind.DIRTY_ROUND, *_ITERATION)
_MEMORY: Final = (
    Kind.ITERATION_SENT,
    Kind.ITERATION_ANNOUNCED,
    Kind.DIRTY_ROUND,
    Kind.FINAL_DELTA_SENT,
    Kind.PRECOPY_CONVERGED,
)
"""Lines that show that memory was being sent."""


def memory_copy(attempt: AttemptLines) -> MemoryCopy:
    """Return what the source says of the memory that it copied."""
    final, last = attempt.first(Kind.FINAL_DELTA_SENT), attempt.last(Kind.ITERATION_SENT)
    latest = final or last
    return MemoryCopy(
        was_sent=attempt.first(*_MEMORY) is not None,
        since=_since(attempt),
        iterations=tuple(_iterations(attempt)),
        iteration_count=attempt.iterations,
        is_counted=not attempt.last_round_is_unknown,
        iteration_under_way=_iteration_under_way(attempt),
        final_delta=None if final is None else _final_delta(final),
        total_bytes=None if latest is None else latest.number("total_bytes"),
        convergence=_convergence(attempt),
    )


def _since(attempt: AttemptLines) -> Instant | None:
    """Return when copying began: the smallest difference between a stamp and the elapsed time on its line."""
    timed = [
        (observation, elapsed)
        for kind in (Kind.ITERATION_SENT, Kind.PRECOPY_CONVERGED, Kind.FINAL_DELTA_SENT)
        for observation in attempt.all(kind)
        if (elapsed := observation.number("elapsed_ns")) is not None
    ]
    if not timed:
        return None
    observation, elapsed = min(timed, key=lambda pair: pair[0].stamp.ns - pair[1])
    return Instant(observation.stamp, observation.where, -elapsed, _ELAPSED_ERROR_NS)


def _lines_of_iterations(attempt: AttemptLines) -> list[Observation]:
    """Return the line of each acknowledged iteration: its own, else (until v51) the first after its round."""
    by_number: dict[int, Observation] = {}
    for kind in _ITERATION:  # the line is stamped before the event: it wins
        for observation in attempt.all(kind):
            if (number := observation.number("iteration")) is not None:
                by_number[number] = observation
    lines = [by_number[number] for number in sorted(by_number)]
    if not lines and (first := attempt.first(Kind.DIRTY_ROUND)) is not None:
        lines = [
            first,
            *(
                dirty_round.end
                for dirty_round in attempt.dirty_rounds
                if dirty_round.acknowledged and dirty_round.end is not None
            ),
        ]
        if attempt.last_round_is_unknown:
            lines.pop()
    return lines


def _iterations(attempt: AttemptLines) -> list[MemoryIteration]:
    lines = _lines_of_iterations(attempt)
    iterations = []
    for index, observation in enumerate(lines):
        number = observation.number("iteration") if observation.kind in _ITERATION else None
        rate, dirtied, method = _dirty(attempt, lines, index)
        iterations.append(
            MemoryIteration(
                number=index if number is None else number,
                at=observation.instant,
                acknowledged=number is not None,
                figures=_figures(observation, first=index == 0) if observation.kind is Kind.ITERATION_SENT else None,
                dirty_rate=rate,
                dirtied_bytes=dirtied,
                dirty_method=method,
            )
        )
    return iterations


def _final_delta(observation: Observation) -> MemoryIteration:
    return MemoryIteration(
        number=observation.number("iteration") or 0,
        at=observation.instant,
        acknowledged=True,
        figures=_figures(observation, first=True),
    )


def _figures(observation: Observation, *, first: bool) -> MemoryFigures:
    """Return what a line about an iteration prints; on the first, nothing can be estimated yet."""
    return MemoryFigures(
        size_bytes=observation.number("size_bytes"),
        total_bytes=observation.number("total_bytes"),
        bandwidth=observation.rate("bandwidth"),
        average_bandwidth=observation.rate("average_bandwidth"),
        transfer_ns=observation.number("transfer_ns"),
        overhead_ns=observation.number("overhead_ns"),
        throttle_percent=observation.number("throttle"),
        downtime_estimate_ns=None if first else observation.number("estimate_ns"),
    )


def _dirty(
    attempt: AttemptLines, lines: Sequence[Observation], index: int
) -> tuple[float | None, int | None, DirtyRateMethod | None]:
    """Return how fast the guest wrote memory during an iteration, or how much it wrote, by the next dirty log.

    The reading's own lines say it to the page; else the size of the next iteration, which is rounded up to MiB.
    """
    line = lines[index]
    rate = line.rate("dirty_rate")
    if rate is not None:
        return rate, None, DirtyRateMethod.PRINTED
    if line.kind in _BEFORE_TABLE:
        rest = attempt.following(line)
        after = next(
            (
                observation
                for observation in rest
                if observation.kind not in _ITERATION or observation.number("iteration") != index
            ),
            None,
        )
        dirtied = None if after is None or after.kind is not Kind.DIRTY_TABLE else after.number("dirty_bytes")
        if dirtied is not None:
            return None, dirtied, DirtyRateMethod.DIRTY_TABLE
    following = lines[index + 1] if index + 1 < len(lines) else attempt.first(Kind.PRECOPY_CONVERGED)
    size = None if following is None else following.number("size_bytes")
    return (None, None, None) if size is None else (None, size, DirtyRateMethod.NEXT_ITERATION_SIZE)


def _iteration_under_way(attempt: AttemptLines) -> bool:
    """Return whether nothing says that iterating was over, such as (until v51) an empty dirty table."""
    if attempt.first(Kind.CONVERGENCE_DECIDED, Kind.PRECOPY_CONVERGED) is not None:
        return False
    rounds, tables = attempt.all(Kind.DIRTY_ROUND), attempt.all(Kind.DIRTY_TABLE)
    empty = bool(rounds and tables) and tables[-1].stamp.ns >= rounds[-1].stamp.ns and tables[-1].number("ranges") == 0
    return not empty


def _convergence(attempt: AttemptLines) -> Convergence | None:
    """Return why iterating stopped; until v51 by the numbered rounds, of which there are at most as many as printed."""
    decided = attempt.first(Kind.CONVERGENCE_DECIDED)
    reason = None if decided is None else decided.word("reason")
    if attempt.result is Result.TIMEOUT:
        reason = ConvergenceReason.TIMEOUT_CANCELLED
    elif reason is None:
        reason = _reason_by_rounds(attempt)
    if reason is None:
        return None
    estimate = decided or attempt.first(Kind.PRECOPY_CONVERGED)
    return Convergence(
        reason=ConvergenceReason(reason),
        at=at(decided),
        downtime_estimate_ns=None if estimate is None else estimate.number("estimate_ns"),
    )


def _reason_by_rounds(attempt: AttemptLines) -> ConvergenceReason | None:
    rounds = attempt.all(Kind.DIRTY_ROUND)
    if not rounds or attempt.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING) is None or attempt.last_round_is_unknown:
        return None
    if len(attempt.dirty_rounds) < len(rounds):
        return ConvergenceReason.NO_DIRTY_MEMORY
    finished = (rounds[-1].number("round") or 0) + 1 >= (rounds[-1].number("rounds") or 0)
    return ConvergenceReason.ITERATION_LIMIT if finished else None
