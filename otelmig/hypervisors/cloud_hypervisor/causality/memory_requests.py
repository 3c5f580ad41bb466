"""The requests for memory that a source wrote: in which order, and between which of its lines each lies.

The source numbers its iterations, so a line that is missing leaves the others where they are. What is known of a
request is the last line that must lie before it was written, and the first one that must lie after it was acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.causality.handshake import snapshot_cpuid
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import since
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

__all__ = ["MemoryRequest", "MemoryRequests", "final_acknowledged", "final_written", "requests_of", "table_after_pause"]

_SECOND_SNAPSHOT_DELTA: Final = since("v53.0")
"""Releases that read the dirty log once more after the snapshot, and send what it lists."""
_NUMBERED: Final = (Kind.ITERATION_SENT, Kind.ITERATION_ANNOUNCED, Kind.DIRTY_ROUND)
"""Lines after an iteration was acknowledged, with its number: a round's is that of the iteration before it."""
_MOST_ITERATIONS: Final = 1 << 12
"""A source that counts further is not followed: its number may be damaged."""
_AFTER_FINAL: Final = (Kind.FINAL_DELTA_SENT, Kind.SNAPSHOTTING)


class MemoryRequest(Struct, frozen=True, kw_only=True):
    """One request for memory, by the lines around it; None where no line bounds it."""

    written_after: Observation | None = None
    acknowledged_before: Observation | None = None
    is_final: bool = False
    """Whether the guest was paused."""


class MemoryRequests(Struct, frozen=True, kw_only=True):
    """Every request for memory that may have been written, in order."""

    requests: tuple[MemoryRequest, ...]
    most: int | None
    """At most so many were written; None if that is not known, as the last request of all may stand for more."""


def requests_of(source: AttemptLines) -> MemoryRequests:
    """Return the requests for memory of an attempt that copies it over one connection; they are looked for once."""
    known = source.lookups.get("requests")
    if not isinstance(known, MemoryRequests):
        known = source.lookups["requests"] = _requests(source)
    return known


def _requests(source: AttemptLines) -> MemoryRequests:
    after = _numbered(source)
    before = _written_after(source, after)
    stopping = source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING, Kind.VM_PAUSED)
    table = _last_table(source, after, stopping)
    running, most = _running(source, after, table)
    if table is not None:  # until v51 the last iteration has no line of its own
        before.setdefault(running - 1, table)
    if running > _MOST_ITERATIONS:
        return MemoryRequests(requests=(), most=0)
    requests = list(_while_running(running, before, after, stopping))
    if most is None:
        last = max(after, default=None)
        requests.append(MemoryRequest(written_after=None if last is None else after[last]))
        return MemoryRequests(requests=tuple(requests), most=None)
    more = MemoryRequest(written_after=after.get(running - 1), acknowledged_before=stopping)
    requests += (more for _ in range(most - running))
    requests += _after_pause(source)
    return MemoryRequests(requests=tuple(requests), most=len(requests))


def _while_running(
    running: int,
    before: Mapping[int, Observation | None],
    after: Mapping[int, Observation],
    stopping: Observation | None,
) -> Iterator[MemoryRequest]:
    """Yield the iterations that were acknowledged with the guest running; ``before`` and ``after`` are their lines."""
    acknowledged = [stopping] * running
    for number in reversed(range(running)):
        later = acknowledged[number + 1] if number + 1 < running else stopping
        acknowledged[number] = after.get(number, later)
    last = None
    for number in range(running):
        yield MemoryRequest(written_after=before.get(number, last), acknowledged_before=acknowledged[number])
        last = after.get(number, last)


def _numbered(source: AttemptLines) -> dict[int, Observation]:
    """Return, by its number, the first line after each iteration was acknowledged."""
    lines: dict[int, Observation] = {}
    for kind in _NUMBERED:  # the line of an iteration is stamped before its event
        for observation in source.all(kind):
            number = observation.number("round" if kind is Kind.DIRTY_ROUND else "iteration")
            if number is not None:
                lines.setdefault(number, observation)
    return lines


def _written_after(source: AttemptLines, after: Mapping[int, Observation]) -> dict[int, Observation | None]:
    """Return, for each iteration with a line of its own, the last line that lies before it was written.

    All numbered lines and dirty tables before that line were printed before the iteration was written. Those with its
    own stamp may have been printed after it, and so may be of the next iteration: they have not been told apart by what
    reads or ships lines.
    """
    before: dict[int, Observation | None] = {}
    own = {id(observation): number for number, observation in after.items()}
    last = earlier = None
    for observation in source.observations:
        if observation.kind not in _NUMBERED and observation.kind is not Kind.DIRTY_TABLE:
            continue
        if last is not None and last.stamp.ns < observation.stamp.ns:
            earlier = last
        number = own.get(id(observation))
        if number is not None:
            before[number] = earlier
        last = observation
    return before


def _last_table(
    source: AttemptLines, after: Mapping[int, Observation], stopping: Observation | None
) -> Observation | None:
    """Return the dirty table between the last numbered round, of which there are no more, and the pause (until v51)."""
    last = after[max(after)] if after else None
    if last is None or last.kind is not Kind.DIRTY_ROUND:
        return None
    for observation in source.all(Kind.DIRTY_TABLE):
        if source.precedes(last, observation) and source.precedes(observation, stopping):
            return observation
    return None


def _running(
    source: AttemptLines, after: Mapping[int, Observation], table: Observation | None
) -> tuple[int, int | None]:
    """Return how many iterations were acknowledged with the guest running, at least, and at most (None: not known)."""
    known = max(after, default=-1) + 1
    final, converged = source.first(Kind.FINAL_DELTA_SENT), source.first(Kind.PRECOPY_CONVERGED)
    if final is not None and (number := final.number("iteration")) is not None:
        return max(number - 1, known), max(number - 1, known)
    if converged is not None and (number := converged.number("iteration")) is not None:
        return max(number, known), max(number, known)
    last = after.get(known - 1)
    if last is None or last.kind is not Kind.DIRTY_ROUND:
        return known, None
    if table is not None and table.number("ranges") == 0:  # it is what ends the rounds
        return known, known
    if known < (last.number("rounds") or 0):
        return known, None
    return known + (table is not None), known + 1


def _after_pause(source: AttemptLines) -> Iterator[MemoryRequest]:
    """Yield the requests that may have been written once the guest was paused."""
    final, table = source.first(Kind.FINAL_DELTA_SENT), table_after_pause(source)
    size = None if final is None else final.number("size_bytes")
    if size is None and table is not None:
        size = table.number("ranges")
    if size != 0:
        yield MemoryRequest(
            written_after=final_written(source), acknowledged_before=final_acknowledged(source), is_final=True
        )
    if source.releases.meet(_SECOND_SNAPSHOT_DELTA):
        done = source.first(Kind.SNAPSHOTTED)
        table = None if done is None else next(source.following(done), None)
        if table is None or table.kind is not Kind.DIRTY_TABLE or table.number("ranges") != 0:
            yield MemoryRequest(written_after=done)


def table_after_pause(source: AttemptLines) -> Observation | None:
    """Return the dirty table that was read once the guest was paused, before the snapshot."""
    paused = source.first(Kind.VM_PAUSED, Kind.DEVICE_PAUSING)
    later = source.first(*_AFTER_FINAL, Kind.SNAPSHOTTED) or snapshot_cpuid(source)
    if paused is None or (later is None and source.releases.meet(_SECOND_SNAPSHOT_DELTA)):
        return None
    for observation in source.all(Kind.DIRTY_TABLE):
        if source.precedes(paused, observation):
            return observation if later is None or source.precedes(observation, later) else None
    return None


def final_written(source: AttemptLines) -> Observation | None:
    """Return the last line before the transfer that was made with the guest paused."""
    return table_after_pause(source) or source.first(Kind.VM_PAUSED, Kind.DEVICE_PAUSING, Kind.VM_PAUSING)


def final_acknowledged(source: AttemptLines) -> Observation | None:
    """Return the first line after the transfer that was made with the guest paused was acknowledged."""
    return source.first(*_AFTER_FINAL) or snapshot_cpuid(source) or source.first(Kind.SNAPSHOTTED)
