"""What one message between the hosts proves about the offset of their clocks.

theta(x) is the destination's clock minus the source's when the source's clock reads x. If an event a on the source
happens before b on the destination, then theta(a) <= b - a; if b happens before a, then theta(a) >= b - a. Stamps
are intervals, so each inequality takes the ends that keep it true for every reading of both stamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelmig.observation import Observation

__all__ = ["Constraint", "Endpoint", "destination_first", "source_first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An instant on one side: it lies in ``[lo_ns, hi_ns]`` of that side's clock and rests on ``seen``."""

    lo_ns: int
    hi_ns: int
    seen: Observation

    @classmethod
    def of(cls, seen: Observation) -> Endpoint:
        """The instant of an observation itself."""
        return cls(lo_ns=seen.stamp.lo_ns, hi_ns=seen.stamp.hi_ns, seen=seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """theta at source time ``at_ns`` is at most (``upper``) or at least ``bound_ns``."""

    at_ns: int
    bound_ns: int
    upper: bool
    rule: str
    first: Observation
    second: Observation


def source_first(rule: str, source: Endpoint, destination: Endpoint) -> Constraint:
    """``source`` happens before ``destination``."""
    return Constraint(
        at_ns=source.lo_ns,
        bound_ns=destination.hi_ns - source.lo_ns,
        upper=True,
        rule=rule,
        first=source.seen,
        second=destination.seen,
    )


def destination_first(rule: str, destination: Endpoint, source: Endpoint) -> Constraint:
    """``destination`` happens before ``source``."""
    return Constraint(
        at_ns=source.hi_ns,
        bound_ns=destination.lo_ns - source.hi_ns,
        upper=False,
        rule=rule,
        first=destination.seen,
        second=source.seen,
    )
