"""Constraints that exclude each other: what is said of them is true, and no more than can be proved."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from two_clocks import (
    ANY_CONSTRAINT,
    CLOSE_CONSTRAINT,
    RATES,
    READERS,
    SEEN,
    between,
    clocks,
    exact_offset,
    interpolated,
    worst_excess,
)

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.conflict import SettableClock, conflict_of
from otelmig.clock.drift import SLEWED_PPB
from otelmig.clock.proof import ClockProof, prove
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Constraint, Endpoint, destination_first, source_first
from otelmig.migration.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.clock.bounds import ClockBounds
    from otelmig.clock.conflict import Conflict, OffsetStep

_US: Final = 10**3
_MS: Final = 10**6
_S: Final = 10**9
_HOUR: Final = 3_600 * _S
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 100
_checked = settings(max_examples=_EXAMPLES, deadline=None)
_STAMPS: Final = ("t1", "t2", "t3", "t4")
_crowds = st.one_of(st.lists(ANY_CONSTRAINT, max_size=20), st.lists(CLOSE_CONSTRAINT, max_size=8))


_BY_TIME: Final = SettableClock(on_source=True, order=lambda constraint: constraint.at_ns)


def _conflict(constraints: Sequence[Constraint], drift: int, *settable: SettableClock) -> Conflict | None:
    return conflict_of(constraints, clock_bounds(constraints, drift_ppb=drift), settable=settable)


# --- what contradicts what, held against every pair ---------------------------------------------------------------


def _exclude(upper: Constraint, lower: Constraint, drift: int) -> bool:
    return lower.bound_ns - math.ceil(Fraction(abs(upper.at_ns - lower.at_ns) * drift, _S)) > upper.bound_ns


@_checked
@given(_crowds, RATES)
def test_a_conflict_is_the_worst_of_all_pairs(constraints: list[Constraint], drift: int) -> None:
    """It is there exactly if some pair cannot hold, and names one of those that are furthest apart."""
    found = _conflict(constraints, drift)
    worst = worst_excess(constraints, drift)
    assert (found is not None) == (worst > 0)
    if found is not None:
        assert found.worst.upper in constraints
        assert found.worst.lower in constraints
        assert found.worst.excess_ns == worst == worst_excess([found.worst.upper, found.worst.lower], drift)


@_checked
@given(_crowds, RATES)
def test_contradicting_constraints_are_counted(constraints: list[Constraint], drift: int) -> None:
    """Every constraint that excludes another counts, the dominated ones and the repeated ones too."""
    found = _conflict(constraints, drift)
    uppers, lowers = ([each for each in constraints if each.upper is upper] for upper in (True, False))
    expected = sum(any(_exclude(upper, lower, drift) for lower in lowers) for upper in uppers)
    expected += sum(any(_exclude(upper, lower, drift) for upper in uppers) for lower in lowers)
    assert (0 if found is None else found.contradicting) == expected


def _loosened(constraints: Sequence[Constraint], by_ns: int) -> list[Constraint]:
    return [
        Constraint(
            at_ns=each.at_ns,
            bound_ns=each.bound_ns + (by_ns if each.upper else -by_ns),
            upper=each.upper,
            rule=each.rule,
            first=each.first,
            second=each.second,
        )
        for each in constraints
    ]


@_checked
@given(_crowds, RATES)
def test_the_widening_is_the_least(constraints: list[Constraint], drift: int) -> None:
    """Every constraint loosened by so much, and all of them hold; a nanosecond less, and they do not."""
    found = _conflict(constraints, drift)
    if found is not None:
        assert worst_excess(_loosened(constraints, found.widening_ns), drift) == 0
        assert worst_excess(_loosened(constraints, found.widening_ns - 1), drift) > 0


# --- one step of a wall clock -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message with the true times of its two ends, as the source's clock would show them had it never been set."""

    source_at: int
    destination_at: int
    constraint: Constraint


@dataclass(frozen=True, slots=True)
class _Stepped:
    """Two clocks within a drift limit, one of which was set once; true time is what the source's showed without."""

    drift_ppb: int
    knots: tuple[tuple[int, int], ...]
    on_source: bool
    at: int
    by_ns: int
    messages: tuple[_Sent, ...]
    looks: tuple[int, ...]
    """True times at which to hold claims against the truth."""

    @property
    def grown_ns(self) -> int:
        """By how much the offset grew."""
        return -self.by_ns if self.on_source else self.by_ns

    def source_reading(self, at: int) -> int:
        """What the source's clock shows at a true time."""
        return at + (self.by_ns if self.on_source and at >= self.at else 0)

    def theta(self, at: int) -> Fraction:
        """The offset at a true time."""
        return interpolated(self.knots, at) + (self.grown_ns if at >= self.at else 0)

    @property
    def constraints(self) -> list[Constraint]:
        """What all messages prove."""
        return [each.constraint for each in self.messages]

    def flight(self, constraint: Constraint) -> tuple[int, int]:
        """The true times of a constraint's two ends."""
        (found,) = [each for each in self.messages if each.constraint is constraint]
        return min(found.source_at, found.destination_at), max(found.source_at, found.destination_at)

    @property
    def settable(self) -> tuple[SettableClock, SettableClock]:
        """Either clock may have been set, for all that is known."""
        return (
            SettableClock(
                on_source=True,
                order=lambda constraint: constraint.on_source.where.line,
                goes_back=self.on_source and self.by_ns < 0,
            ),
            SettableClock(on_source=False, order=lambda constraint: constraint.on_destination.where.line),
        )


def _seen(line: int) -> Observation:
    return Observation(
        kind=SEEN.kind, stamp=SEEN.stamp, where=Where(file="x.log", line=line), thread=SEEN.thread, text=SEEN.text
    )


@st.composite
def _stepped(draw: st.DrawFn) -> _Stepped:
    """Messages across the instant at which one host's clock is set, by 20 ms to an hour, on or back."""
    drift = draw(st.sampled_from((0, 20_000, 100_000, 1_000_000)))
    early = draw(clocks(drift))
    knots = tuple((at + 2 * _HOUR, offset + 2 * _HOUR) for at, offset in early)  # nothing is set to before zero
    begin, end = knots[0][0], knots[-1][0]
    on_source = draw(st.booleans())
    at = draw(st.integers(begin, end))
    size = draw(st.one_of(st.integers(20 * _MS, 500 * _MS), st.integers(20 * _MS, _HOUR)))
    by_ns = draw(st.sampled_from((-1, 1))) * size
    read = draw(st.sampled_from(READERS)), draw(st.sampled_from(READERS))
    flights = draw(st.lists(_flights(begin, end), min_size=2, max_size=16))
    ranks = {at: line for line, at in enumerate(sorted({each for flight in flights for each in flight}))}
    sent = []
    for source_at, destination_at in flights:
        source_reads = source_at + (by_ns if on_source and source_at >= at else 0)
        destination_reads = destination_at + interpolated(knots, destination_at)
        destination_reads += by_ns if not on_source and destination_at >= at else 0
        source = _end(read[0](Fraction(source_reads)), ranks[source_at])
        destination = _end(read[1](destination_reads), ranks[destination_at])
        if source_at < destination_at:
            constraint = source_first("f", source, destination)
        else:
            constraint = destination_first("b", destination, source)
        sent.append(_Sent(source_at, destination_at, constraint))
    looks = draw(st.lists(st.integers(begin, end), max_size=6))
    return _Stepped(drift, knots, on_source, at, by_ns, tuple(sent), (begin, at - 1, at, end, *looks))


@st.composite
def _flights(draw: st.DrawFn, begin: int, end: int) -> tuple[int, int]:
    """When a message was sent and received, in order of source and destination."""
    first = draw(st.integers(begin, end))
    second = first + draw(st.one_of(st.integers(1, 10 * _US), st.integers(1, 5 * _MS), st.integers(1, end - begin + 1)))
    return (first, second) if draw(st.booleans()) else (second, first)


def _end(interval: Endpoint, line: int) -> Endpoint:
    return Endpoint(lo_ns=interval.lo_ns, hi_ns=interval.hi_ns, evidence=_seen(line))


@_checked
@given(_stepped())
def test_one_step_is_found_with_its_time_and_size(world: _Stepped) -> None:
    """Where a conflict is reported, the step lies between the two constraints that are named, and is of that size."""
    bounds = clock_bounds(world.constraints, drift_ppb=world.drift_ppb)
    found = conflict_of(world.constraints, bounds, settable=world.settable)
    if found is None:
        event("not noticed")
        _check_missed(world, bounds)
        return
    step = found.step
    event("found" if step else "not explained")
    if step is None:
        return
    assert world.flight(step.last_before)[0] <= world.at <= world.flight(step.first_after)[1]
    assert step.lo_ns is None or step.lo_ns <= world.grown_ns
    assert step.hi_ns is None or world.grown_ns <= step.hi_ns
    assert step.least_ns <= abs(world.by_ns)
    if not world.on_source or world.by_ns > 0:
        assert step.window_ns[0] <= world.source_reading(world.at - 1)
        assert world.source_reading(world.at) <= step.window_ns[1]
    _check_around(world, ClockProof(constraints=(), bounds=bounds, conflict=found), step)


def _check_missed(world: _Stepped, bounds: ClockBounds) -> None:
    """A step that nothing contradicts misleads by no more than its size, and on one side only."""
    for at in world.looks:
        truth, reading = world.theta(at), world.source_reading(at)
        lo, hi = bounds.lo_ns(reading), bounds.hi_ns(reading)
        late = at >= world.at
        drifted = math.ceil(Fraction(abs(world.by_ns) * world.drift_ppb, _S)) if world.on_source else 0
        above = max(world.grown_ns if late else -world.grown_ns, 0) + drifted
        below = max(-world.grown_ns if late else world.grown_ns, 0) + drifted
        assert lo is None or lo - below <= truth
        assert hi is None or truth <= hi + above


def _check_around(world: _Stepped, proof: ClockProof, step: OffsetStep) -> None:
    """What is proved of the time before and after the step is true there, and so is what is said to hold at a time."""
    for at in world.looks:
        reading = world.source_reading(at)
        told = proof.bounds_between(reading, reading)
        event(f"told at a time: {told is not None}")
        for bounds in (step.before if at < world.at else step.after, told):
            lo, hi = (None, None) if bounds is None else (bounds.lo_ns(reading), bounds.hi_ns(reading))
            assert lo is None or lo <= world.theta(at)
            assert hi is None or world.theta(at) <= hi


@_checked
@given(_crowds, RATES)
def test_monotonic_clocks_are_never_said_to_step(constraints: list[Constraint], drift: int) -> None:
    """However much contradicts: no step is claimed of clocks that cannot be set."""
    proof = prove(constraints, drift_ppb=drift)
    assert proof.conflict is None or proof.conflict.step is None


def test_a_step_both_ways_is_no_step() -> None:
    """A clock that is set and set back is not explained by one step, and so by none."""
    constraints = [each for at, offset in ((0, 0), (1, 50), (2, 0)) for each in exact_offset(at * _S, offset * _MS)]
    found = _conflict(constraints, SLEWED_PPB, _BY_TIME)
    assert found is not None
    assert found.step is None
    proof = prove(constraints, drift_ppb=SLEWED_PPB, settable=[_BY_TIME])
    assert proof.bounds_between(0, 0) is None


@_checked
@given(
    exchanges=st.lists(st.tuples(st.integers(1, 30 * _S), *[st.integers(0, 5 * _MS)] * 3), min_size=4, max_size=12),
    where=st.integers(0, 100),
    size=st.integers(20 * _MS, _HOUR),
    sign=st.sampled_from((-1, 1)),
    on_source=st.booleans(),
)
def test_a_step_between_exchanges_is_always_found(
    exchanges: list[tuple[int, int, int, int]],
    where: int,
    size: int,
    sign: int,
    *,
    on_source: bool,
) -> None:
    """Exact questions and answers, two or more on either side of the step: found, and bracketed in time and size."""
    after = 2 + where % (len(exchanges) - 3)
    now, rank, constraints = 2 * _HOUR, 0, []
    for index, (pause, there, served, back) in enumerate(exchanges):
        by_ns = sign * size if index >= after else 0
        sent, received, answered, returned = (now + pause + each for each in accumulate((0, there, served, back)))
        now, rank = returned, rank + 1
        own, peer = (by_ns, 0) if on_source else (0, by_ns)
        readings = (sent + own, received + peer, answered + peer, returned + own)
        ends = {name: _end(between(ns, ns), rank) for name, ns in zip(_STAMPS, readings, strict=True)}
        constraints += [source_first("f", ends["t1"], ends["t2"]), destination_first("b", ends["t3"], ends["t4"])]
    settable = [
        SettableClock(on_source=True, order=lambda each: each.on_source.where.line, goes_back=True),
        SettableClock(on_source=False, order=lambda each: each.on_destination.where.line),
    ]
    found = _conflict(constraints, 0, *settable)
    assert found is not None
    step = found.step
    assert step is not None
    assert step.lo_ns is not None
    assert step.hi_ns is not None
    assert step.lo_ns <= (-sign if on_source else sign) * size <= step.hi_ns
    assert step.last_before.first.where.line <= after < step.first_after.second.where.line
    assert step.least_ns > 0


def test_an_exact_step_is_found_exactly() -> None:
    """Offsets known exactly, once a second: the step lies between two of them and has its size, but for the drift."""
    constraints = [each for at in range(10) for each in exact_offset(at * _S, 50 * _MS if at > 6 else 0)]
    found = _conflict(constraints, 100_000, _BY_TIME)
    assert found is not None
    step = found.step
    assert step is not None
    assert step.window_ns in [(6 * _S - early, 7 * _S + late) for early in (0, 1) for late in (0, 1)]
    assert step.lo_ns is not None
    assert step.hi_ns is not None
    assert 50 * _MS - 110 * _US < step.lo_ns <= 50 * _MS - 100 * _US
    assert 50 * _MS + 300 * _US <= step.hi_ns < 50 * _MS + 310 * _US
    assert found.worst.excess_ns == 50 * _MS - 100 * _US
    assert found.widening_ns == 25 * _MS - 50 * _US


def test_a_source_that_was_set_back_has_readings_on_both_sides() -> None:
    """What its clock showed twice may be of before the step or of after it: nothing is said to hold there."""
    constraints = [
        *exact_offset(99 * _S, 0),
        *exact_offset(100 * _S, 0),
        *exact_offset(100 * _S + 81 * _MS, 20 * _MS),
        *exact_offset(102 * _S, 20 * _MS),
    ]
    told = []
    for goes_back in (False, True):
        clock = SettableClock(on_source=True, order=lambda constraint: constraint.at_ns, goes_back=goes_back)
        proof = prove(constraints, drift_ppb=0, settable=[clock])
        told.append([proof.bounds_between(at, at) is not None for at in (99 * _S, 100 * _S + 95 * _MS, 102 * _S)])
    assert told == [[True, True, True], [True, False, True]]


@pytest.mark.parametrize("ppm", [-1000, 1000])
def test_a_source_that_was_set_back_while_it_drifted(ppm: int) -> None:
    """An hour back, half a minute between what is known before and after: the drift in that time is allowed for."""
    drifted = 30 * ppm * _US
    before = [*exact_offset(2 * _HOUR - 1, 0), *exact_offset(2 * _HOUR, 0)]
    after = [*exact_offset(_HOUR + 30 * _S, _HOUR + drifted), *exact_offset(_HOUR + 30 * _S + 1, _HOUR + drifted)]
    ranks = {id(each): rank for rank, each in enumerate((*before, *after))}
    clock = SettableClock(on_source=True, order=lambda each: ranks[id(each)], goes_back=True)
    found = _conflict([*before, *after], abs(ppm) * 1000, clock)
    assert found is not None
    assert found.step is not None
    assert found.step.lo_ns is not None
    assert found.step.hi_ns is not None
    assert found.step.lo_ns <= _HOUR <= found.step.hi_ns
    assert found.step.hi_ns - found.step.lo_ns < 4 * 30 * _MS + 10


def test_a_step_is_bracketed_by_what_coarse_stamps_leave_open() -> None:
    """Stamps of milliseconds: the step may have come after what the first line behind it prints."""
    at, size, worth = 5 * _S + 600 * _US, 100 * _MS, _MS

    def read(ns: int) -> Endpoint:
        return Endpoint(lo_ns=ns // worth * worth, hi_ns=ns // worth * worth + worth, evidence=SEEN)

    constraints = []
    for instant in (3 * _S, 4 * _S, 5 * _S + 900 * _US, 6 * _S):
        source, destination = read(instant), read(instant - (size if instant > at else 0))
        constraints += [source_first("f", source, destination), destination_first("b", destination, source)]
    ranks = {id(each): rank for rank, each in enumerate(constraints)}
    found = _conflict(constraints, 0, SettableClock(on_source=True, order=lambda each: ranks[id(each)]))
    assert found is not None
    assert found.step is not None
    assert found.step.window_ns[0] <= at <= found.step.window_ns[1]


def test_a_destination_that_was_set_while_an_iteration_was_running() -> None:
    """A line of before the step may only be answered long after it: the step lies where the pass was running."""
    at, size, answered = 10 * _S, _HOUR, 32 * _S
    exact = {seconds: exact_offset(seconds * _S, 0 if seconds * _S < at else -size) for seconds in (0, 1, 33, 34)}
    late = Constraint(at_ns=answered, bound_ns=2 * _S - answered, upper=False, rule="r", first=SEEN, second=SEEN)
    constraints = [*exact[0], *exact[1], late, *exact[33], *exact[34]]
    ranks = {id(each): rank for rank, each in enumerate(constraints)}
    settable = [SettableClock(on_source=on_source, order=lambda each: ranks[id(each)]) for on_source in (True, False)]
    found = _conflict(constraints, 100_000, *settable)
    assert found is not None
    assert found.step is not None
    assert found.step.window_ns[0] <= at <= found.step.window_ns[1]
    assert found.step.lo_ns is not None
    assert found.step.hi_ns is not None
    assert found.step.lo_ns <= -size <= found.step.hi_ns


def test_the_named_lines_hold_whichever_clock_was_set() -> None:
    """The source's clock put on between its third and fourth message, or the destination's put back between its own."""
    sent = [  # true times at the source and at the destination, and what the destination's clock was put back by
        (0, 151, 0),
        (218, 151, 0),
        (153, 222, 20 * _MS),
        (257, 222, 20 * _MS),
    ]
    blur = 245 * _US
    ranks = {
        at: rank for rank, at in enumerate(sorted({each for source, other, _ in sent for each in (source, other)}))
    }
    constraints = []
    for source_at, destination_at, back in sent:
        source = _end(between(2 * _HOUR + source_at - blur, 2 * _HOUR + source_at + blur), ranks[source_at])
        reads = 2 * _HOUR + destination_at - back
        destination = _end(between(reads - blur, reads + blur), ranks[destination_at])
        if source_at < destination_at:
            constraints.append(source_first("f", source, destination))
        else:
            constraints.append(destination_first("b", destination, source))
    settable = [
        SettableClock(on_source=True, order=lambda each: each.on_source.where.line),
        SettableClock(on_source=False, order=lambda each: each.on_destination.where.line),
    ]
    first, _, _, last = constraints
    for clocks_of, named in ((settable, (first, last)), (settable[1:], (constraints[1], constraints[2]))):
        found = _conflict(constraints, 0, *clocks_of)
        assert found is not None
        assert found.step is not None
        assert (found.step.last_before, found.step.first_after) == named
