"""Pruned bounds are the bounds of all constraints, and contain the truth."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from sample import FULL

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Constraint, Endpoint, destination_first, source_first
from otelmig.migration.observation import Observation
from otelmig.migration.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

_S = 10**9
_ANY = Observation(
    kind=Kind.CONNECTING,
    stamp=Stamp(ns=0, error_ns=0, text="0s", domain=ClockDomain.BOOTTIME),
    where=Where(file="x.log", line=1),
    thread="vmm",
    text="",
)


def _endpoint(ns: int, error_ns: int) -> Endpoint:
    return Endpoint(lo_ns=ns - error_ns, hi_ns=ns + error_ns, evidence=_ANY)


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[Constraint], list[tuple[int, int]]]:
    """Two clocks that drift piecewise by up to the assumed rate, messages both ways, and stamps that are rounded."""
    offset = draw(st.integers(-(10**12), 10**12))
    knots = [(0, offset)]
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(_S // 100, 100 * _S))
        rate = draw(st.integers(-DEFAULT_DRIFT_PPB, DEFAULT_DRIFT_PPB))
        knots.append((knots[-1][0] + length, knots[-1][1] + length * rate // _S))

    def theta(at: int) -> int:
        for (x0, y0), (x1, y1) in pairwise(knots):
            if at <= x1:
                return y0 + (y1 - y0) * (at - x0) // (x1 - x0)
        return knots[-1][1]

    constraints = []
    end = knots[-1][0]
    for _ in range(draw(st.integers(1, 12))):
        at, latency = draw(st.integers(0, end)), draw(st.integers(0, 10**7))
        noise = draw(st.sampled_from((2, 1_000, 10**6)))  # at least what rounding in theta() costs here
        source = _endpoint(at + draw(st.integers(1 - noise, noise - 1)), noise)
        if draw(st.booleans()):
            arrival = min(at + latency, end)
            constraints.append(source_first("f", source, _endpoint(arrival + theta(arrival), noise)))
        else:
            departure = max(at - latency, 0)
            constraints.append(destination_first("b", _endpoint(departure + theta(departure), noise), source))
    probes = [(at, theta(at)) for at in draw(st.lists(st.integers(0, end), min_size=1, max_size=8))]
    return constraints, probes


@settings(max_examples=2_000 if FULL else 200, deadline=None)
@given(_worlds())
def test_bounds_contain_the_truth(world: tuple[list[Constraint], list[tuple[int, int]]]) -> None:
    """At every instant the true offset is inside, and the source time of a destination stamp too."""
    constraints, probes = world
    bounds = clock_bounds(constraints, drift_ppb=DEFAULT_DRIFT_PPB)
    slack = 3  # ns of integer rounding in the simulated clock
    assert bounds.contradiction is None or bounds.contradiction.excess_ns <= slack
    for at, truth in probes:
        lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
        assert lo is None or lo <= truth + slack
        assert hi is None or truth - slack <= hi
        earliest, latest = bounds.earliest_source_ns(at + truth), bounds.latest_source_ns(at + truth)
        assert earliest is None or earliest <= at + slack
        assert latest is None or at - slack <= latest


def _brute(constraints: Sequence[Constraint], at: int) -> tuple[int | None, int | None]:
    def slack(each: Constraint) -> int:
        return -(-abs(at - each.at_ns) * DEFAULT_DRIFT_PPB // _S)

    uppers = [each.bound_ns + slack(each) for each in constraints if each.upper]
    lowers = [each.bound_ns - slack(each) for each in constraints if not each.upper]
    return max(lowers, default=None), min(uppers, default=None)


@settings(max_examples=2_000 if FULL else 150, deadline=None)
@given(
    st.lists(
        st.builds(
            Constraint,
            at_ns=st.integers(0, 10 * _S),
            bound_ns=st.integers(-(10**7), 10**7),
            upper=st.booleans(),
            rule=st.just("r"),
            first=st.just(_ANY),
            second=st.just(_ANY),
        ),
        max_size=30,
    ),
    st.integers(-_S, 11 * _S),
)
def test_pruned_bounds_equal_all_constraints(constraints: list[Constraint], at: int) -> None:
    """Dropping dominated constraints and looking at two neighbours gives what looking at all would."""
    bounds = clock_bounds(constraints, drift_ppb=DEFAULT_DRIFT_PPB)
    lo, hi = _brute(constraints, at)
    # rounding outward per constraint may differ by a nanosecond between neighbours
    assert (lo is None) == (bounds.lo_ns(at) is None)
    assert (hi is None) == (bounds.hi_ns(at) is None)
    assert lo is None or 0 <= lo - (bounds.lo_ns(at) or 0) <= 1
    assert hi is None or 0 <= (bounds.hi_ns(at) or 0) - hi <= 1
