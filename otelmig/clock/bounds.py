"""Bounds on the offset at every instant, if the two clocks drift against each other by no more than a given rate.

With |d theta/dx| <= rho every constraint bounds theta everywhere: hi(t) = min(y + rho |t - x|) over upper, lo(t) =
max(y - rho |t - x|) over lower constraints. (McShane's extension; for two clocks the same as the distances in the
synchronization graph of Patt-Shamir and Rajsbaum.) Integers throughout, rounded outward.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.structs import Struct
from otelmig.units import PPB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.migration.constraint import Constraint

__all__ = ["ClockBounds", "Contradiction", "clock_bounds"]

_SEARCH_NS: Final = 1 << 62
_AT_NS: Final = attrgetter("at_ns")
_APPROACHES: Final = 2
"""Each takes an instant nearer to the one that is looked for by a factor of the drift; the search does the rest."""


class Contradiction(Struct, frozen=True, kw_only=True):
    """Two constraints that no offset satisfies, by ``excess_ns``: not one migration, or a clock stepped."""

    upper: Constraint
    lower: Constraint
    excess_ns: int


class ClockBounds(Struct, frozen=True, kw_only=True):
    """What is proved about theta (destination minus source, ns) as a function of source time."""

    uppers: tuple[Constraint, ...]
    """Undominated constraints in order of ``at_ns``, one of whose two neighbours is the best at any instant."""
    lowers: tuple[Constraint, ...]
    drift_ppb: int
    contradiction: Contradiction | None

    def hi_ns(self, at_ns: int) -> int | None:
        """Return the largest possible offset when the source's clock reads ``at_ns``; None if nothing bounds it."""
        tightest_ns = None
        for constraint in self._near(self.uppers, at_ns):  # one or two: a call for each would take as long as the rest
            bound_ns = constraint.bound_ns - (-abs(at_ns - constraint.at_ns) * self.drift_ppb // PPB)
            if tightest_ns is None or bound_ns < tightest_ns:
                tightest_ns = bound_ns
        return tightest_ns

    def lo_ns(self, at_ns: int) -> int | None:
        """Return the smallest possible offset when the source's clock reads ``at_ns``; None if nothing bounds it."""
        tightest_ns = None
        for constraint in self._near(self.lowers, at_ns):
            bound_ns = constraint.bound_ns + (-abs(at_ns - constraint.at_ns) * self.drift_ppb // PPB)
            if tightest_ns is None or bound_ns > tightest_ns:
                tightest_ns = bound_ns
        return tightest_ns

    def binding(self, at_ns: int) -> tuple[Constraint | None, Constraint | None]:
        """Return the constraints that the bounds at ``at_ns`` rest on: lower, upper."""
        lower = max(
            self._near(self.lowers, at_ns),
            key=lambda constraint: constraint.bound_ns - self._slack(constraint, at_ns),
            default=None,
        )
        upper = min(
            self._near(self.uppers, at_ns),
            key=lambda constraint: constraint.bound_ns + self._slack(constraint, at_ns),
            default=None,
        )
        return lower, upper

    def earliest_source_ns(self, destination_ns: int) -> int | None:
        """Return the earliest source time at which the destination's clock can read ``destination_ns``."""
        if not self.uppers:
            return None
        around = destination_ns - self.uppers[0].bound_ns
        for _ in range(_APPROACHES):
            around = destination_ns - (self.hi_ns(around) or 0)
        return _first_true(lambda at: at + (self.hi_ns(at) or 0) >= destination_ns, around)

    def latest_source_ns(self, destination_ns: int) -> int | None:
        """Return the latest source time at which the destination's clock can read ``destination_ns``."""
        if not self.lowers:
            return None
        around = destination_ns - self.lowers[0].bound_ns
        for _ in range(_APPROACHES):
            around = destination_ns - (self.lo_ns(around) or 0)
        return _first_true(lambda at: at + (self.lo_ns(at) or 0) > destination_ns, around) - 1

    def _slack(self, constraint: Constraint, at_ns: int) -> int:
        return -(-abs(at_ns - constraint.at_ns) * self.drift_ppb // PPB)

    @staticmethod
    def _near(constraints: Sequence[Constraint], at_ns: int) -> Sequence[Constraint]:
        index = bisect_right(constraints, at_ns, key=_AT_NS)
        return constraints[index - 1 if index else 0 : index + 1]


def _first_true(holds: Callable[[int], bool], around: int) -> int:
    """Return the smallest integer at which ``holds`` (false, then true) is true, searched outward from ``around``."""
    step = 1
    while holds(around - step) and step < _SEARCH_NS:
        step *= 2
    low = around - step
    step = 1
    while not holds(around + step) and step < _SEARCH_NS:
        step *= 2
    high = around + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def clock_bounds(constraints: Iterable[Constraint], *, drift_ppb: int) -> ClockBounds:
    """Return the bounds that ``constraints`` prove, in O(n log n); their worst contradiction, if any."""
    all_constraints = list(constraints)
    uppers = _undominated([constraint for constraint in all_constraints if constraint.upper], drift_ppb, sign=1)
    lowers = _undominated([constraint for constraint in all_constraints if not constraint.upper], drift_ppb, sign=-1)
    bounds = ClockBounds(uppers=uppers, lowers=lowers, drift_ppb=drift_ppb, contradiction=None)
    worst: Contradiction | None = None
    for upper in uppers:
        floor = bounds.lo_ns(upper.at_ns)
        if (
            floor is None
            or floor <= upper.bound_ns
            or (worst is not None and floor - upper.bound_ns <= worst.excess_ns)
        ):
            continue
        lower, _ = bounds.binding(upper.at_ns)
        if lower is not None:
            worst = Contradiction(upper=upper, lower=lower, excess_ns=floor - upper.bound_ns)
    return bounds if worst is None else replace(bounds, contradiction=worst)


def _undominated(constraints: list[Constraint], drift_ppb: int, *, sign: int) -> tuple[Constraint, ...]:
    """Drop what another constraint implies everywhere: a stack over the constraints in order of their instant."""
    kept: list[Constraint] = []
    for constraint in sorted(constraints, key=lambda constraint: (constraint.at_ns, sign * constraint.bound_ns)):
        is_implied = False
        while kept:
            last = kept[-1]
            slack_ns = -(-abs(constraint.at_ns - last.at_ns) * drift_ppb // PPB)
            ahead_ns = sign * (constraint.bound_ns - last.bound_ns)
            is_implied = ahead_ns >= slack_ns
            if is_implied or -ahead_ns < slack_ns:
                break
            kept.pop()
        if not is_implied:
            kept.append(constraint)
    return tuple(kept)
