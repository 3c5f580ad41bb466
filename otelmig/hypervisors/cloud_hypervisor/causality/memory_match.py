"""Which request for memory each ``Memory`` line of the destination is, which does not number them.

A line that is missing shifts all that follow, so counting them is no proof. Where as many were read as can have been
written, none is missing. Else each line may be one of several requests: those that leave room for the lines before and
after it, and that the other constraints do not exclude. What all of these allow is proved, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.causality.handshake import has_one_connection
from otelmig.hypervisors.cloud_hypervisor.causality.memory_requests import requests_of
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.migration.constraint import Endpoint, destination_first, source_first
from otelmig.migration.side import Mode
from otelmig.units import PPB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.hypervisors.cloud_hypervisor.causality.memory_requests import MemoryRequest, MemoryRequests
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.observation import Observation

__all__ = ["counted_commands", "memory_constraints"]

_ROUNDS: Final = 4
"""So many times what was found narrows down the rest; whenever that ends, what is left is true."""


def counted_commands(source: AttemptLines, destination: AttemptLines) -> Sequence[Observation]:
    """Return the receipts of Memory on the main connection, which is the only one that carries it."""
    received = destination.commands(Command.MEMORY)
    if source.mode is not Mode.PRECOPY or source.connections > 1:
        return ()
    # of several connections the main one carries at most what changed during the snapshot
    return received if has_one_connection(source) or len(received) > 1 else ()


def memory_constraints(
    source: AttemptLines, destination: AttemptLines, others: Sequence[Constraint], drift_ppb: int
) -> Sequence[Constraint]:
    """Return what the receipts of Memory say about the offset, given what all other lines say."""
    received = counted_commands(source, destination)
    written = requests_of(source)
    if not received or (written.most is not None and len(received) > written.most):
        return ()
    choice = _by_order(len(received), written)
    constraints = list(_constraints(received, written.requests, choice))
    if len(received) == written.most:
        return constraints
    for _ in range(_ROUNDS):
        narrowed = _narrowed(received, written, choice, _Offset([*others, *constraints], drift_ppb))
        if narrowed is None or narrowed == choice:
            break
        choice = narrowed
        constraints = list(_constraints(received, written.requests, choice))
    return constraints


_Choice = list[tuple[int, int]]
"""For each receipt the first and the last of the requests that it may be."""


def _by_order(receipts: int, written: MemoryRequests) -> _Choice:
    """Return what order alone leaves: as many requests lie before a receipt, and after it, as there are receipts."""
    last = len(written.requests) - 1
    if written.most is None:  # the last one stands for any number
        return [(min(index, last), last) for index in range(receipts)]
    return [(index, written.most - receipts + index) for index in range(receipts)]


class _Offset:
    """What constraints prove of the offset, at any source time."""

    def __init__(self, constraints: Sequence[Constraint], drift_ppb: int) -> None:
        self._uppers = [(constraint.at_ns, constraint.bound_ns) for constraint in constraints if constraint.upper]
        self._lowers = [(constraint.at_ns, constraint.bound_ns) for constraint in constraints if not constraint.upper]
        self._drift_ppb = drift_ppb

    def latest_ns(self, source_ns: int) -> int | None:
        """Return the most that the destination's clock reads when the source's reads ``source_ns``."""
        return min((source_ns + bound + self._slack(at, source_ns) for at, bound in self._uppers), default=None)

    def earliest_ns(self, source_ns: int) -> int | None:
        """Return the least that it reads."""
        return max((source_ns + bound - self._slack(at, source_ns) for at, bound in self._lowers), default=None)

    def _slack(self, one: int, other: int) -> int:
        return -(-abs(one - other) * self._drift_ppb // PPB)


def _narrowed(
    received: Sequence[Observation], written: MemoryRequests, choice: _Choice, offset: _Offset
) -> _Choice | None:
    """Return what is left of ``choice`` by the clocks and by the order; None if that leaves a receipt nothing."""
    earliest = [_earliest_ns(request, offset) for request in written.requests]
    latest = [_latest_ns(request, offset) for request in written.requests]
    left = []
    for observation, (first, last) in zip(received, choice, strict=True):
        possible = [
            index
            for index in range(first, last + 1)
            if ((begin := earliest[index]) is None or begin <= observation.stamp.hi_ns)
            and ((end := latest[index]) is None or end >= observation.stamp.lo_ns)
        ]
        if not possible:
            return None
        left.append((possible[0], possible[-1]))
    return _in_order(left, len(written.requests) - 1 if written.most is None else None)


def _earliest_ns(request: MemoryRequest, offset: _Offset) -> int | None:
    """Return the earliest time by the destination's clock at which ``request`` was written."""
    line = request.written_after
    return None if line is None else offset.earliest_ns(line.stamp.lo_ns)


def _latest_ns(request: MemoryRequest, offset: _Offset) -> int | None:
    """Return the latest time by the destination's clock at which ``request`` was acknowledged."""
    line = request.acknowledged_before
    return None if line is None else offset.latest_ns(line.stamp.hi_ns)


def _in_order(choice: _Choice, unlimited: int | None) -> _Choice | None:
    """Return ``choice`` without what leaves no room for its neighbours; ``unlimited`` may be any number of receipts."""
    firsts, lasts = [first for first, _ in choice], [last for _, last in choice]
    for index in range(1, len(firsts)):
        firsts[index] = max(firsts[index], firsts[index - 1] + (firsts[index - 1] != unlimited))
    for index in range(len(lasts) - 2, -1, -1):
        lasts[index] = min(lasts[index], lasts[index + 1] - (lasts[index + 1] != unlimited))
    if any(first > last for first, last in zip(firsts, lasts, strict=True)):
        return None
    return list(zip(firsts, lasts, strict=True))


def _constraints(
    received: Sequence[Observation], requests: Sequence[MemoryRequest], choice: _Choice
) -> Iterator[Constraint]:
    """Yield what holds whichever request each receipt is: not before the first one, nor after the last one."""
    for observation, (first, last) in zip(received, choice, strict=True):
        one, other = requests[first], requests[last]
        if one.written_after is not None and one.written_after.kind is not Kind.SNAPSHOTTED:
            rule = (
                "final-delta-written->final-memory-received" if one.is_final else "iteration-written->memory-received"
            )
            yield source_first(rule, Endpoint.of(one.written_after), Endpoint.of(observation))
        if other.acknowledged_before is not None:
            rule = (
                "final-memory-received->final-delta-acknowledged"
                if other.is_final
                else "memory-received->iteration-acknowledged"
            )
            yield destination_first(rule, Endpoint.of(observation), Endpoint.of(other.acknowledged_before))
