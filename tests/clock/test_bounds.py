"""Properties that the clock bounds must have, whatever two clocks and their stamps did within the assumed drift."""

from __future__ import annotations

import math
import os
import random
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from two_clocks import (
    ANY_CONSTRAINT,
    LONGEST_UP,
    RATES,
    SEEN,
    Message,
    World,
    backward,
    between,
    worlds,
    worst_excess,
)

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.migration.constraint import Constraint, Endpoint, source_first

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from two_clocks import Make

    from otelmig.clock.bounds import ClockBounds
_S: Final = 10**9
_MS: Final = 10**6
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 40

_checked = settings(max_examples=_EXAMPLES, deadline=None)


def _shift(message: Message, source_ns: int, destination_ns: int) -> Message:
    def moved(end: Endpoint, by_ns: int) -> Endpoint:
        return between(end.lo_ns + by_ns, end.hi_ns + by_ns)

    return Message(message.forward, moved(message.source, source_ns), moved(message.destination, destination_ns))


def _contains_truth(world: World, bounds: ClockBounds) -> bool:
    """Whether the true offset is inside at every probe and at every knot."""
    for at in (*world.probes, *(x for x, _ in world.knots)):
        lo, hi, truth = bounds.lo_ns(at), bounds.hi_ns(at), world.theta(at)
        if (lo is not None and lo > truth) or (hi is not None and hi < truth):
            return False
    return True


# --- soundness ---------------------------------------------------------------------------------------------------


@_checked
@given(worlds())
def test_the_truth_is_inside(world: World) -> None:
    """No world that obeys the drift limit is contradicted, and none has its true offset outside of the bounds."""
    bounds = clock_bounds(world.constraints(), drift_ppb=world.drift_ppb)
    assert bounds.contradiction is None
    assert _contains_truth(world, bounds)


@_checked
@given(worlds())
def test_a_destination_stamp_is_found_on_the_source(world: World) -> None:
    """The source time of what the destination's clock reads lies between the earliest and the latest possible."""
    bounds = clock_bounds(world.constraints(), drift_ppb=world.drift_ppb)
    for at in world.probes:
        reading = at + world.theta(at)
        earliest, latest = bounds.earliest_source_ns(math.floor(reading)), bounds.latest_source_ns(math.ceil(reading))
        assert earliest is None or earliest <= at
        assert latest is None or at <= latest


@_checked
@given(worlds())
def test_inversion_is_as_tight_as_the_bounds(world: World) -> None:
    """A nanosecond earlier, or later, and the bounds forbid the reading."""
    bounds = clock_bounds(world.constraints(), drift_ppb=world.drift_ppb)
    for at in world.probes:
        reading = math.floor(at + world.theta(at))
        earliest, latest = bounds.earliest_source_ns(reading), bounds.latest_source_ns(reading)
        if earliest is not None:
            assert (
                earliest - 1 + _known(bounds.hi_ns(earliest - 1)) < reading <= earliest + _known(bounds.hi_ns(earliest))
            )
        if latest is not None:
            assert latest + _known(bounds.lo_ns(latest)) <= reading < latest + 1 + _known(bounds.lo_ns(latest + 1))
        assert earliest is None or latest is None or earliest <= latest


def _known(bound: int | None) -> int:
    assert bound is not None
    return bound


def _ends(message: Endpoint, *, late: bool) -> Endpoint:
    """An endpoint that has forgotten its other end."""
    at = message.hi_ns if late else message.lo_ns
    return between(at, at)


_WRONG: Final[dict[str, tuple[Make, Make]]] = {
    "a source stamp's late end in an upper bound": (
        lambda rule, source, destination: source_first(rule, _ends(source, late=True), destination),
        backward,
    ),
    "a destination stamp's early end in an upper bound": (
        lambda rule, source, destination: source_first(rule, source, _ends(destination, late=False)),
        backward,
    ),
    "a source stamp's early end in a lower bound": (
        source_first,
        lambda rule, source, destination: backward(rule, _ends(source, late=False), destination),
    ),
    "a destination stamp's late end in a lower bound": (
        source_first,
        lambda rule, source, destination: backward(rule, source, _ends(destination, late=True)),
    ),
    "an upper bound taken for a lower one": (
        lambda rule, source, destination: replace(source_first(rule, source, destination), upper=False),
        backward,
    ),
    "a lower bound taken for an upper one": (
        source_first,
        lambda rule, source, destination: replace(backward(rule, source, destination), upper=True),
    ),
    "an upper bound of a message that went the other way": (source_first, source_first),
    "a lower bound of a message that went the other way": (backward, backward),
}


@pytest.mark.parametrize("mistake", _WRONG)
def test_a_mistake_in_a_constraint_would_be_noticed(mistake: str) -> None:
    """With each way of confusing ends or directions there is a world whose truth falls out of the bounds."""
    forward, backward = _WRONG[mistake]

    def wrong(world: World) -> bool:
        return not _contains_truth(world, clock_bounds(world.constraints(forward, backward), drift_ppb=world.drift_ppb))

    budget = settings(max_examples=2000, deadline=None, phases=[Phase.generate], derandomize=True, database=None)
    assert wrong(find(worlds(), wrong, settings=budget))


def test_a_drift_above_the_limit_would_be_noticed() -> None:
    """The limit is needed: clocks that drift twice as fast leave the bounds."""

    def wrong(world: World) -> bool:
        return not _contains_truth(world, clock_bounds(world.constraints(), drift_ppb=world.drift_ppb // 2))

    budget = settings(max_examples=2000, deadline=None, phases=[Phase.generate], derandomize=True, database=None)
    assert wrong(find(worlds(), wrong, settings=budget))


# --- what does not matter ----------------------------------------------------------------------------------------


@_checked
@given(worlds(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(world: World, pick: random.Random) -> None:
    """Shuffled and partly repeated constraints give the same bounds."""
    constraints = world.constraints()
    others = constraints + pick.choices(constraints, k=pick.randrange(4))
    pick.shuffle(others)
    one, other = (clock_bounds(each, drift_ppb=world.drift_ppb) for each in (constraints, others))
    for at in world.probes:
        assert one.lo_ns(at) == other.lo_ns(at)
        assert one.hi_ns(at) == other.hi_ns(at)


_ANY_TIME: Final = st.integers(-10 * _S, 110 * _S)


@_checked
@given(st.lists(ANY_CONSTRAINT, max_size=25), st.lists(ANY_CONSTRAINT, max_size=5), RATES, _ANY_TIME)
def test_more_constraints_never_widen(some: list[Constraint], more: list[Constraint], drift_ppb: int, at: int) -> None:
    """What is known stays known."""
    before, after = clock_bounds(some, drift_ppb=drift_ppb), clock_bounds(some + more, drift_ppb=drift_ppb)
    lo, hi = before.lo_ns(at), before.hi_ns(at)
    assert lo is None or _known(after.lo_ns(at)) >= lo
    assert hi is None or _known(after.hi_ns(at)) <= hi


@_checked
@given(st.lists(ANY_CONSTRAINT, max_size=25), RATES, _ANY_TIME)
def test_bounds_are_the_best_single_constraint(constraints: list[Constraint], drift_ppb: int, at: int) -> None:
    """Each bound is exactly that of one constraint, the best of all."""
    bounds = clock_bounds(constraints, drift_ppb=drift_ppb)

    def slack(each: Constraint) -> int:
        return math.ceil(Fraction(abs(at - each.at_ns) * drift_ppb, _S))

    highest = [each.bound_ns - slack(each) for each in constraints if not each.upper]
    lowest = [each.bound_ns + slack(each) for each in constraints if each.upper]
    assert bounds.lo_ns(at) == max(highest, default=None)
    assert bounds.hi_ns(at) == min(lowest, default=None)


@_checked
@given(st.lists(ANY_CONSTRAINT, max_size=25), RATES)
def test_the_worst_contradiction_is_named(constraints: list[Constraint], drift_ppb: int) -> None:
    """A contradiction is reported exactly if two constraints cannot both hold, and it is the worst of all pairs."""
    found = clock_bounds(constraints, drift_ppb=drift_ppb).contradiction
    worst = worst_excess(constraints, drift_ppb)
    assert (found.excess_ns if found else 0) == worst
    if found is not None:
        assert worst_excess([found.upper, found.lower], drift_ppb) == worst


# --- symmetries --------------------------------------------------------------------------------------------------

_SHIFTS: Final = st.integers(-(10**16), 10**16)


def _bounds_of(messages: Iterable[Message], drift_ppb: int) -> ClockBounds:
    return clock_bounds([each.constraint() for each in messages], drift_ppb=drift_ppb)


def _plus(bound: int | None, by: int) -> int | None:
    return None if bound is None else bound + by


@_checked
@given(worlds(), _SHIFTS, _SHIFTS)
def test_shifted_clocks_shift_the_bounds(world: World, source_ns: int, destination_ns: int) -> None:
    """The destination's zero moves the bounds, the source's also moves where they hold."""
    plain = _bounds_of(world.messages, world.drift_ppb)
    shifted = _bounds_of((_shift(each, source_ns, destination_ns) for each in world.messages), world.drift_ppb)
    for at in world.probes:
        assert shifted.lo_ns(at + source_ns) == _plus(plain.lo_ns(at), destination_ns - source_ns)
        assert shifted.hi_ns(at + source_ns) == _plus(plain.hi_ns(at), destination_ns - source_ns)


@_checked
@given(worlds(), st.integers(2, 1000))
def test_a_larger_unit_scales_the_bounds(world: World, factor: int) -> None:
    """Times in a unit that is ``factor`` times smaller give bounds that are as much larger, but for rounding."""
    plain = _bounds_of(world.messages, world.drift_ppb)
    scaled = _bounds_of((_scaled(each, factor) for each in world.messages), world.drift_ppb)
    for at in world.probes:
        lo, hi = plain.lo_ns(at), plain.hi_ns(at)
        assert lo is None or 0 <= _known(scaled.lo_ns(at * factor)) - lo * factor < factor
        assert hi is None or 0 <= hi * factor - _known(scaled.hi_ns(at * factor)) < factor


def _scaled(message: Message, factor: int) -> Message:
    source, destination = (
        between(end.lo_ns * factor, end.hi_ns * factor) for end in (message.source, message.destination)
    )
    return Message(message.forward, source, destination)


@_checked
@given(worlds(rates=st.just(0)))
def test_swapped_hosts_mirror_the_bounds(world: World) -> None:
    """Without drift, what the destination knows of the source is the same with the other sign."""
    plain = _bounds_of(world.messages, 0)
    swapped = _bounds_of((Message(not each.forward, each.destination, each.source) for each in world.messages), 0)
    lo, hi = plain.lo_ns(0), plain.hi_ns(0)
    assert swapped.hi_ns(0) == (None if lo is None else -lo)
    assert swapped.lo_ns(0) == (None if hi is None else -hi)


@_checked
@given(st.lists(ANY_CONSTRAINT, min_size=1, max_size=25), RATES, _ANY_TIME, _ANY_TIME)
def test_bounds_change_no_faster_than_the_clocks(
    constraints: list[Constraint], drift_ppb: int, one: int, other: int
) -> None:
    """Between two instants a bound moves by at most the drift between them."""
    bounds = clock_bounds(constraints, drift_ppb=drift_ppb)
    most = math.ceil(Fraction(abs(one - other) * drift_ppb, _S))
    for read in (bounds.lo_ns, bounds.hi_ns):
        first, second = read(one), read(other)
        assert (first is None) == (second is None)
        assert first is None or abs(first - _known(second)) <= most


@_checked
@given(st.integers(0, LONGEST_UP), st.integers(-LONGEST_UP, LONGEST_UP), *[st.integers(0, _S)] * 3)
def test_one_exact_exchange_is_ntp(begin: int, offset: int, there: int, served: int, back: int) -> None:
    """The middle of the interval is NTP's offset, its half width half of NTP's delay."""
    t1, t2 = begin, begin + there + offset
    t3, t4 = t2 + served, begin + there + served + back
    request = Message(forward=True, source=between(t1, t1), destination=between(t2, t2))
    answer = Message(forward=False, source=between(t4, t4), destination=between(t3, t3))
    bounds = _bounds_of((request, answer), 0)
    lo, hi = _known(bounds.lo_ns(t1)), _known(bounds.hi_ns(t1))
    assert lo + hi == (t2 - t1) + (t3 - t4)
    assert hi - lo == (t4 - t1) - (t3 - t2)


# --- cost --------------------------------------------------------------------------------------------------------


def _crowd(count: int, *, exact: bool) -> list[Constraint]:
    """Constraints of which all survive (``exact``) or most are dominated."""
    pick = random.Random(count)
    noise = 0 if exact else 50 * _MS
    return [
        Constraint(
            at_ns=index * _MS,
            bound_ns=pick.randint(0, noise) * (1 if upper else -1),
            upper=upper,
            rule="r",
            first=SEEN,
            second=SEEN,
        )
        for index in range(count // 2)
        for upper in (False, True)
    ]


def _steps(constraints: list[Constraint]) -> int:
    """How many lines of Python run for the bounds."""
    count = 0

    def step(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        clock_bounds(constraints, drift_ppb=DEFAULT_DRIFT_PPB)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("exact", [True, False])
def test_cost_grows_little_faster_than_the_input(*, exact: bool) -> None:
    """Twice as many constraints take little more than twice as many steps (`benchmarks/clock.py` has the times)."""
    some, twice = _steps(_crowd(5_000, exact=exact)), _steps(_crowd(10_000, exact=exact))
    assert some > 5_000
    assert twice < 2.3 * some
