"""What one message between the hosts proves about the offset of their clocks.

theta(x) is the destination's clock minus the source's when the source's clock reads x. If an event a on the source
happens before b on the destination, then theta(a) <= b - a; if b happens before a, then theta(a) >= b - a. Stamps
are intervals, so each inequality takes the ends that keep it true for every reading of both stamps.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation

__all__ = ["Basis", "Constraint", "Endpoint", "Evidence", "destination_first", "source_first"]


class Basis(StrEnum):
    """What a constraint is made of."""

    CAUSAL = "causal"
    """Two lines of the logs, as they were stamped."""
    DERIVED = "derived"
    """A line's stamp plus or minus durations that were printed."""
    PROBE = "probe"
    """A timed exchange between the two hosts."""
    PRIOR = "prior"
    """What each host's time service claims of its own clock: believed, not proved."""


_CAUSAL: Final = Basis.CAUSAL
"""Looked at for every constraint: as an attribute of its enumeration it takes eight times as long to look up."""


class Evidence(Protocol):
    """What an end of a constraint rests on: an observation, or a line of a measurement."""

    @property
    def kind(self) -> str:
        """What it is, in a word."""

    @property
    def where(self) -> Where:
        """The line."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """An instant on one side: it lies in ``[lo_ns, hi_ns]`` of that side's clock and rests on ``evidence``."""

    lo_ns: int
    hi_ns: int
    evidence: Evidence
    basis: Basis = Basis.CAUSAL

    @classmethod
    def of(cls, observation: Observation) -> Endpoint:
        """Return the instant of an observation itself."""
        stamp = observation.stamp
        return cls(lo_ns=stamp.ns - stamp.error_ns, hi_ns=stamp.ns + stamp.error_ns, evidence=observation)


class Constraint(Struct, frozen=True, kw_only=True):
    """theta at source time ``at_ns`` is at most (``upper``) or at least ``bound_ns``."""

    at_ns: int
    bound_ns: int
    upper: bool
    rule: str
    first: Evidence
    second: Evidence
    basis: Basis = Basis.CAUSAL
    rounding_ns: int = 0
    """How much of ``bound_ns`` pays for the resolution of the two stamps."""

    @property
    def on_source(self) -> Evidence:
        """The end that lies on the source."""
        return self.first if self.upper else self.second

    @property
    def lines(self) -> str:
        """The lines that it rests on, in words."""
        if self.first.where == self.second.where:
            return str(self.first.where)
        if self.basis is Basis.PRIOR:
            return f"{self.first.where} and {self.second.where}"
        return f"{self.first.where} before {self.second.where}"

    @property
    def on_destination(self) -> Evidence:
        """The end that lies on the destination."""
        return self.second if self.upper else self.first

    @property
    def destination_ns(self) -> int:
        """The latest (``upper``), or the earliest, that the destination's clock read at its end."""
        return self.at_ns + self.bound_ns


def source_first(rule: str, source: Endpoint, destination: Endpoint) -> Constraint:
    """Return what follows if ``source`` happens before ``destination``."""
    return Constraint(
        at_ns=source.lo_ns,
        bound_ns=destination.hi_ns - source.lo_ns,
        upper=True,
        rule=rule,
        first=source.evidence,
        second=destination.evidence,
        basis=_weaker(source, destination),
        rounding_ns=_rounding(source, destination),
    )


def destination_first(rule: str, destination: Endpoint, source: Endpoint) -> Constraint:
    """Return what follows if ``destination`` happens before ``source``."""
    return Constraint(
        at_ns=source.hi_ns,
        bound_ns=destination.lo_ns - source.hi_ns,
        upper=False,
        rule=rule,
        first=destination.evidence,
        second=source.evidence,
        basis=_weaker(source, destination),
        rounding_ns=_rounding(source, destination),
    )


def _weaker(one: Endpoint, other: Endpoint) -> Basis:
    return one.basis if other.basis is _CAUSAL else other.basis


def _rounding(one: Endpoint, other: Endpoint) -> int:
    return (one.hi_ns - one.lo_ns + other.hi_ns - other.lo_ns) // 2
