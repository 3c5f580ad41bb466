"""Properties that the clock bounds must have, whatever two clocks and their stamps did within the assumed drift."""

from __future__ import annotations

import math
import os
import random
import struct
import time
from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.constraint import Constraint, Endpoint, destination_first, source_first
from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.hypervisors.cloud_hypervisor.stamps import f32_error_ns
from otelmig.observation import Kind, Observation, Where
from otelmig.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.clock.bounds import ClockBounds

    Make = Callable[[str, Endpoint, Endpoint], Constraint]

_S: Final = 10**9
_US: Final = 10**3
_MS: Final = 10**6
_PPM: Final = 10**3
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 60
_RATES: Final = st.sampled_from((0, 20 * _PPM, 100 * _PPM, 1000 * _PPM, 181_819 * _PPM))
"""Drift limits in ppb: none, that of two good clocks, and what ntpd and chrony may slew."""
_LONGEST_UP: Final = 30 * 86_400 * _S

_SEEN: Final = Observation(
    kind=Kind.CONNECTING,
    stamp=Stamp(ns=0, error_ns=0, text="0s", domain=ClockDomain.BOOTTIME),
    where=Where(file="x.log", line=1),
    thread="vmm",
    text="",
)

_checked = settings(max_examples=_EXAMPLES, deadline=None)


def _between(lo_ns: int, hi_ns: int) -> Endpoint:
    return Endpoint(lo_ns=lo_ns, hi_ns=hi_ns, seen=_SEEN)


# --- how a clock is printed: true reading -> the interval that its text stands for -------------------------------


def _f32(value: float) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


def _as_secs_f32(ns: int) -> str:
    """Rust's ``Duration::as_secs_f32``, every step in 32 bits, printed as ``{:>10.6}``."""
    seconds, nanos = divmod(ns, _S)
    return f"{_f32(_f32(float(seconds)) + _f32(_f32(float(nanos)) / _f32(1e9))):>10.6f}"


def _printed_ns(text: str) -> int:
    whole, _, fraction = text.strip().partition(".")
    return int(whole) * _S + int(fraction) * _US


def _read_ns(true: Fraction) -> Endpoint:
    return _between(math.floor(true), math.ceil(true))


def _read_us(true: Fraction) -> Endpoint:
    printed = math.floor(true) // _US * _US
    return _between(printed - _US, printed + _US)


def _read_ms(true: Fraction) -> Endpoint:
    printed = math.floor(true) // _MS * _MS
    return _between(printed, printed + _MS)


def _read_f32(true: Fraction) -> Endpoint:
    """The clock counts whole nanoseconds, which the interval of the text must contain."""
    count = math.floor(true)
    printed = _printed_ns(_as_secs_f32(count))
    error = f32_error_ns(printed)
    assert printed - error <= count <= printed + error
    return _between(printed - error, max(printed + error, math.ceil(true)))


_READERS: Final = (_read_ns, _read_us, _read_ms, _read_f32)

# --- two clocks and what passed between them ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Message:
    """``source`` happened before ``destination``, or after it."""

    forward: bool
    source: Endpoint
    destination: Endpoint

    def constraint(self, forward: Make = source_first, backward: Make | None = None) -> Constraint:
        """What this message proves, made by the given makers: of (source, destination), in that order."""
        if self.forward:
            return forward("f", self.source, self.destination)
        return (backward or _backward)("b", self.source, self.destination)


def _backward(rule: str, source: Endpoint, destination: Endpoint) -> Constraint:
    return destination_first(rule, destination, source)


@dataclass(frozen=True, slots=True)
class _World:
    """Clocks, messages, and instants at which to look."""

    drift_ppb: int
    knots: tuple[tuple[int, int], ...]
    """Source time and offset: linear between two of them, constant before and after all."""
    messages: tuple[_Message, ...]
    probes: tuple[int, ...]

    def theta(self, at: int) -> Fraction:
        """The true offset at source time ``at``, exactly."""
        return _interpolated(self.knots, at)

    def constraints(self, forward: Make = source_first, backward: Make | None = None) -> list[Constraint]:
        """What all messages prove."""
        return [each.constraint(forward, backward) for each in self.messages]


def _interpolated(knots: Sequence[tuple[int, int]], at: int) -> Fraction:
    if at <= knots[0][0]:
        return Fraction(knots[0][1])
    if at >= knots[-1][0]:
        return Fraction(knots[-1][1])
    index = bisect_left(knots, at, key=lambda knot: knot[0])
    (x0, y0), (x1, y1) = knots[index - 1 : index + 1]
    return y0 + Fraction((y1 - y0) * (at - x0), x1 - x0)


@st.composite
def _clocks(draw: st.DrawFn, drift_ppb: int) -> tuple[tuple[int, int], ...]:
    """Both clocks count from some start; their difference changes by at most ``drift_ppb``."""
    begin = draw(st.integers(0, _LONGEST_UP))
    knots = [(begin, draw(st.integers(0, _LONGEST_UP)) - begin)]
    for _ in range(draw(st.integers(1, 6))):
        length = draw(st.integers(1, 100 * _S))
        most = length * drift_ppb // _S
        at, offset = knots[-1]
        knots.append((at + length, offset + draw(st.integers(-most, most))))
    return tuple(knots)


@st.composite
def _messages(draw: st.DrawFn, knots: tuple[tuple[int, int], ...]) -> _Message:
    """A message at a random time, of random latency; each of its ends is printed by a random reader."""
    first = draw(st.integers(knots[0][0], knots[-1][0]))
    second = first + draw(st.one_of(st.integers(0, 10 * _US), st.integers(0, 20 * _MS)))
    forward = draw(st.booleans())
    source_at, destination_at = (first, second) if forward else (second, first)
    read_source, read_destination = draw(st.sampled_from(_READERS)), draw(st.sampled_from(_READERS))
    return _Message(
        forward,
        read_source(Fraction(source_at)),
        read_destination(destination_at + _interpolated(knots, destination_at)),
    )


@st.composite
def _worlds(draw: st.DrawFn, rates: st.SearchStrategy[int] = _RATES) -> _World:
    drift_ppb = draw(rates)
    knots = draw(_clocks(drift_ppb))
    messages = draw(st.lists(_messages(knots), min_size=1, max_size=14))
    begin, end = knots[0][0], knots[-1][0]
    probes = draw(st.lists(st.integers(begin - _S, end + _S), min_size=1, max_size=6))
    return _World(drift_ppb, knots, tuple(messages), (*probes, begin, end))


def _shift(message: _Message, source_ns: int, destination_ns: int) -> _Message:
    def moved(end: Endpoint, by_ns: int) -> Endpoint:
        return _between(end.lo_ns + by_ns, end.hi_ns + by_ns)

    return _Message(message.forward, moved(message.source, source_ns), moved(message.destination, destination_ns))


def _contains_truth(world: _World, bounds: ClockBounds) -> bool:
    """Whether the true offset is inside at every probe and at every knot."""
    for at in (*world.probes, *(x for x, _ in world.knots)):
        lo, hi, truth = bounds.lo_ns(at), bounds.hi_ns(at), world.theta(at)
        if (lo is not None and lo > truth) or (hi is not None and hi < truth):
            return False
    return True


# --- soundness ---------------------------------------------------------------------------------------------------


@_checked
@given(_worlds())
def test_the_truth_is_inside(world: _World) -> None:
    """No world that obeys the drift limit is contradicted, and none has its true offset outside of the bounds."""
    bounds = clock_bounds(world.constraints(), drift_ppb=world.drift_ppb)
    assert bounds.contradiction is None
    assert _contains_truth(world, bounds)


@_checked
@given(_worlds())
def test_a_destination_stamp_is_found_on_the_source(world: _World) -> None:
    """The source time of what the destination's clock reads lies between the earliest and the latest possible."""
    bounds = clock_bounds(world.constraints(), drift_ppb=world.drift_ppb)
    for at in world.probes:
        reading = at + world.theta(at)
        earliest, latest = bounds.earliest_source_ns(math.floor(reading)), bounds.latest_source_ns(math.ceil(reading))
        assert earliest is None or earliest <= at
        assert latest is None or at <= latest


@_checked
@given(_worlds())
def test_inversion_is_as_tight_as_the_bounds(world: _World) -> None:
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
    return _between(at, at)


_WRONG: Final[dict[str, tuple[Make, Make]]] = {
    "a source stamp's late end in an upper bound": (
        lambda rule, source, destination: source_first(rule, _ends(source, late=True), destination),
        _backward,
    ),
    "a destination stamp's early end in an upper bound": (
        lambda rule, source, destination: source_first(rule, source, _ends(destination, late=False)),
        _backward,
    ),
    "a source stamp's early end in a lower bound": (
        source_first,
        lambda rule, source, destination: _backward(rule, _ends(source, late=False), destination),
    ),
    "a destination stamp's late end in a lower bound": (
        source_first,
        lambda rule, source, destination: _backward(rule, source, _ends(destination, late=True)),
    ),
    "an upper bound taken for a lower one": (
        lambda rule, source, destination: replace(source_first(rule, source, destination), upper=False),
        _backward,
    ),
    "a lower bound taken for an upper one": (
        source_first,
        lambda rule, source, destination: replace(_backward(rule, source, destination), upper=True),
    ),
    "an upper bound of a message that went the other way": (source_first, source_first),
    "a lower bound of a message that went the other way": (_backward, _backward),
}


@pytest.mark.parametrize("mistake", _WRONG)
def test_a_mistake_in_a_constraint_would_be_noticed(mistake: str) -> None:
    """With each way of confusing ends or directions there is a world whose truth falls out of the bounds."""
    forward, backward = _WRONG[mistake]

    def wrong(world: _World) -> bool:
        return not _contains_truth(world, clock_bounds(world.constraints(forward, backward), drift_ppb=world.drift_ppb))

    budget = settings(max_examples=2000, deadline=None, phases=[Phase.generate], derandomize=True, database=None)
    assert wrong(find(_worlds(), wrong, settings=budget))


def test_a_drift_above_the_limit_would_be_noticed() -> None:
    """The limit is needed: clocks that drift twice as fast leave the bounds."""

    def wrong(world: _World) -> bool:
        return not _contains_truth(world, clock_bounds(world.constraints(), drift_ppb=world.drift_ppb // 2))

    budget = settings(max_examples=2000, deadline=None, phases=[Phase.generate], derandomize=True, database=None)
    assert wrong(find(_worlds(), wrong, settings=budget))


# --- what does not matter ----------------------------------------------------------------------------------------


@_checked
@given(_worlds(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(world: _World, pick: random.Random) -> None:
    """Shuffled and partly repeated constraints give the same bounds."""
    constraints = world.constraints()
    others = constraints + pick.choices(constraints, k=pick.randrange(4))
    pick.shuffle(others)
    one, other = (clock_bounds(each, drift_ppb=world.drift_ppb) for each in (constraints, others))
    for at in world.probes:
        assert one.lo_ns(at) == other.lo_ns(at)
        assert one.hi_ns(at) == other.hi_ns(at)


_ANY_CONSTRAINT: Final = st.builds(
    Constraint,
    at_ns=st.integers(0, 100 * _S),
    bound_ns=st.one_of(st.integers(-100, 100), st.integers(-(10**8), 10**8)),
    upper=st.booleans(),
    rule=st.just("r"),
    first=st.just(_SEEN),
    second=st.just(_SEEN),
)
"""Consistent with others or not."""
_ANY_TIME: Final = st.integers(-10 * _S, 110 * _S)


@_checked
@given(st.lists(_ANY_CONSTRAINT, max_size=25), st.lists(_ANY_CONSTRAINT, max_size=5), _RATES, _ANY_TIME)
def test_more_constraints_never_widen(some: list[Constraint], more: list[Constraint], drift_ppb: int, at: int) -> None:
    """What is known stays known."""
    before, after = clock_bounds(some, drift_ppb=drift_ppb), clock_bounds(some + more, drift_ppb=drift_ppb)
    lo, hi = before.lo_ns(at), before.hi_ns(at)
    assert lo is None or _known(after.lo_ns(at)) >= lo
    assert hi is None or _known(after.hi_ns(at)) <= hi


@_checked
@given(st.lists(_ANY_CONSTRAINT, max_size=25), _RATES, _ANY_TIME)
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
@given(st.lists(_ANY_CONSTRAINT, max_size=25), _RATES)
def test_the_worst_contradiction_is_named(constraints: list[Constraint], drift_ppb: int) -> None:
    """A contradiction is reported exactly if two constraints cannot both hold, and it is the worst of all pairs."""
    found = clock_bounds(constraints, drift_ppb=drift_ppb).contradiction
    worst = _worst_excess(constraints, drift_ppb)
    assert (found.excess_ns if found else 0) == worst
    if found is not None:
        assert _worst_excess([found.upper, found.lower], drift_ppb) == worst


def _worst_excess(constraints: Iterable[Constraint], drift_ppb: int) -> int:
    """By how much the worst pair of constraints cannot both hold; 0 if every pair can."""
    all_of_them = list(constraints)
    worst = 0
    for upper in (each for each in all_of_them if each.upper):
        for lower in (each for each in all_of_them if not each.upper):
            slack = math.ceil(Fraction(abs(upper.at_ns - lower.at_ns) * drift_ppb, _S))
            worst = max(worst, lower.bound_ns - slack - upper.bound_ns)
    return worst


# --- symmetries --------------------------------------------------------------------------------------------------

_SHIFTS: Final = st.integers(-(10**16), 10**16)


def _bounds_of(messages: Iterable[_Message], drift_ppb: int) -> ClockBounds:
    return clock_bounds([each.constraint() for each in messages], drift_ppb=drift_ppb)


def _plus(bound: int | None, by: int) -> int | None:
    return None if bound is None else bound + by


@_checked
@given(_worlds(), _SHIFTS, _SHIFTS)
def test_shifted_clocks_shift_the_bounds(world: _World, source_ns: int, destination_ns: int) -> None:
    """The destination's zero moves the bounds, the source's also moves where they hold."""
    plain = _bounds_of(world.messages, world.drift_ppb)
    shifted = _bounds_of((_shift(each, source_ns, destination_ns) for each in world.messages), world.drift_ppb)
    for at in world.probes:
        assert shifted.lo_ns(at + source_ns) == _plus(plain.lo_ns(at), destination_ns - source_ns)
        assert shifted.hi_ns(at + source_ns) == _plus(plain.hi_ns(at), destination_ns - source_ns)


@_checked
@given(_worlds(), st.integers(2, 1000))
def test_a_larger_unit_scales_the_bounds(world: _World, factor: int) -> None:
    """Times in a unit that is ``factor`` times smaller give bounds that are as much larger, but for rounding."""
    plain = _bounds_of(world.messages, world.drift_ppb)
    scaled = _bounds_of((_scaled(each, factor) for each in world.messages), world.drift_ppb)
    for at in world.probes:
        lo, hi = plain.lo_ns(at), plain.hi_ns(at)
        assert lo is None or 0 <= _known(scaled.lo_ns(at * factor)) - lo * factor < factor
        assert hi is None or 0 <= hi * factor - _known(scaled.hi_ns(at * factor)) < factor


def _scaled(message: _Message, factor: int) -> _Message:
    source, destination = (
        _between(end.lo_ns * factor, end.hi_ns * factor) for end in (message.source, message.destination)
    )
    return _Message(message.forward, source, destination)


@_checked
@given(_worlds(rates=st.just(0)))
def test_swapped_hosts_mirror_the_bounds(world: _World) -> None:
    """Without drift, what the destination knows of the source is the same with the other sign."""
    plain = _bounds_of(world.messages, 0)
    swapped = _bounds_of((_Message(not each.forward, each.destination, each.source) for each in world.messages), 0)
    lo, hi = plain.lo_ns(0), plain.hi_ns(0)
    assert swapped.hi_ns(0) == (None if lo is None else -lo)
    assert swapped.lo_ns(0) == (None if hi is None else -hi)


@_checked
@given(st.lists(_ANY_CONSTRAINT, min_size=1, max_size=25), _RATES, _ANY_TIME, _ANY_TIME)
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
@given(st.integers(0, _LONGEST_UP), st.integers(-_LONGEST_UP, _LONGEST_UP), *[st.integers(0, _S)] * 3)
def test_one_exact_exchange_is_ntp(begin: int, offset: int, there: int, served: int, back: int) -> None:
    """The middle of the interval is NTP's offset, its half width half of NTP's delay."""
    t1, t2 = begin, begin + there + offset
    t3, t4 = t2 + served, begin + there + served + back
    request = _Message(True, _between(t1, t1), _between(t2, t2))  # noqa: FBT003 - a record in order
    answer = _Message(False, _between(t4, t4), _between(t3, t3))  # noqa: FBT003 - the same
    bounds = _bounds_of((request, answer), 0)
    lo, hi = _known(bounds.lo_ns(t1)), _known(bounds.hi_ns(t1))
    assert lo + hi == (t2 - t1) + (t3 - t4)
    assert hi - lo == (t4 - t1) - (t3 - t2)


# --- 32-bit stamps -----------------------------------------------------------------------------------------------

_BINADES: Final = range(-1, 24)
"""Powers of two of seconds: half a second to 2^24 s, which is 194 days."""


def _binade(power: int) -> tuple[int, int]:
    """The first and the last nanosecond from ``2^power`` to ``2^(power + 1)`` seconds."""
    first = (_S << (power + 1)) // 2
    return first, 2 * first - 1


def _error(ns: int) -> tuple[int, int]:
    """How far the printed text is from ``ns``, and how far it may be."""
    printed = _printed_ns(_as_secs_f32(ns))
    return abs(printed - ns), f32_error_ns(printed)


@_checked
@given(st.sampled_from(_BINADES).flatmap(lambda power: st.integers(*_binade(power))))
def test_a_32_bit_stamp_contains_the_instant(ns: int) -> None:
    """What ``as_secs_f32`` makes of a duration is within the stated error of it."""
    error, allowed = _error(ns)
    assert error <= allowed


@pytest.mark.parametrize("power", _BINADES)
def test_a_32_bit_stamp_is_little_too_wide(power: int) -> None:
    """The stated error is less than a quarter above the largest one that occurs, and never below it."""
    pick = random.Random(power)  # noqa: S311 - no secret
    first, last = _binade(power)
    quantum = Fraction(_S) * Fraction(2) ** (power - 23)
    worst = Fraction()
    for _ in range(max(_EXAMPLES, 1000)):
        steps = pick.randrange(1 << 23)
        halfway = first + math.floor((steps + Fraction(1, 2)) * quantum)  # as far as possible from two 32-bit floats
        for ns in (min(halfway + pick.randint(-40, 40), last), pick.randint(first, last)):
            error, allowed = _error(ns)
            assert error <= allowed
            worst = max(worst, Fraction(error, allowed))
    assert worst * 5 > 4, f"{float(worst):.3f} of the stated error is used"


# --- cost --------------------------------------------------------------------------------------------------------


def _crowd(count: int, *, exact: bool) -> list[Constraint]:
    """Constraints of which all survive (``exact``) or most are dominated."""
    pick = random.Random(count)  # noqa: S311 - no secret
    noise = 0 if exact else 50 * _MS
    return [
        Constraint(
            at_ns=index * _MS,
            bound_ns=pick.randint(0, noise) * (1 if upper else -1),
            upper=upper,
            rule="r",
            first=_SEEN,
            second=_SEEN,
        )
        for index in range(count // 2)
        for upper in (False, True)
    ]


def _seconds(constraints: list[Constraint]) -> float:
    best = math.inf
    for _ in range(3):
        begin = time.process_time()
        clock_bounds(constraints, drift_ppb=DEFAULT_DRIFT_PPB)
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize("exact", [True, False])
def test_cost_grows_little_faster_than_the_input(*, exact: bool) -> None:
    """Twice as many constraints take little more than twice as long."""
    some, twice = _crowd(20_000, exact=exact), _crowd(40_000, exact=exact)
    ratios = []
    for _ in range(6):
        ratios.append(_seconds(twice) / _seconds(some))
        if ratios[-1] < 2.6:
            return
    pytest.fail(f"ratios {ratios}")
