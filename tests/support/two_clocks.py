"""Two clocks that drift within a limit, what passed between them, and how their stamps were printed: for properties."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.stamps import f32_error_ns
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Constraint, Endpoint, destination_first, source_first
from otelmig.migration.observation import Observation
from otelmig.migration.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Make = Callable[[str, Endpoint, Endpoint], Constraint]


__all__ = [
    "ANY_CONSTRAINT",
    "CLOSE_CONSTRAINT",
    "LONGEST_UP",
    "RATES",
    "READERS",
    "SEEN",
    "Message",
    "World",
    "as_secs_f32",
    "backward",
    "between",
    "clocks",
    "exact_offset",
    "interpolated",
    "printed_ns",
    "worlds",
    "worst_excess",
]

_S: Final = 10**9
_US: Final = 10**3
_MS: Final = 10**6
_PPM: Final = 10**3
RATES: Final = st.sampled_from((0, 20 * _PPM, 100 * _PPM, 1000 * _PPM, 181_819 * _PPM))
"""Drift limits in ppb: none, that of two good clocks, and what ntpd and chrony may slew."""
LONGEST_UP: Final = 30 * 86_400 * _S

SEEN: Final = Observation(
    kind=Kind.CONNECTING,
    stamp=Stamp(ns=0, error_ns=0, text="0s", domain=ClockDomain.BOOTTIME),
    where=Where(file="x.log", line=1),
    thread="vmm",
    text="",
)


def between(lo_ns: int, hi_ns: int) -> Endpoint:
    """An endpoint of which only its interval matters."""
    return Endpoint(lo_ns=lo_ns, hi_ns=hi_ns, evidence=SEEN)


# --- how a clock is printed: true reading -> the interval that its text stands for -------------------------------


def f32(value: float) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


def as_secs_f32(ns: int) -> str:
    """Rust's ``Duration::as_secs_f32``, every step in 32 bits, printed as ``{:>10.6}``."""
    seconds, nanos = divmod(ns, _S)
    return f"{f32(f32(float(seconds)) + f32(f32(float(nanos)) / f32(1e9))):>10.6f}"


def printed_ns(text: str) -> int:
    """Seconds with six decimals, as nanoseconds."""
    whole, _, fraction = text.strip().partition(".")
    return int(whole) * _S + int(fraction) * _US


def _read_ns(true: Fraction) -> Endpoint:
    return between(math.floor(true), math.ceil(true))


def _read_us(true: Fraction) -> Endpoint:
    printed = math.floor(true) // _US * _US
    return between(printed - _US, printed + _US)


def _read_ms(true: Fraction) -> Endpoint:
    printed = math.floor(true) // _MS * _MS
    return between(printed, printed + _MS)


def _read_f32(true: Fraction) -> Endpoint:
    """The clock counts whole nanoseconds, which the interval of the text must contain."""
    count = math.floor(true)
    printed = printed_ns(as_secs_f32(count))
    error = f32_error_ns(printed)
    assert printed - error <= count <= printed + error
    return between(printed - error, max(printed + error, math.ceil(true)))


READERS: Final = (_read_ns, _read_us, _read_ms, _read_f32)

# --- two clocks and what passed between them ---------------------------------------------------------------------


def backward(rule: str, source: Endpoint, destination: Endpoint) -> Constraint:
    """``destination`` happened before ``source``."""
    return destination_first(rule, destination, source)


@dataclass(frozen=True, slots=True)
class Message:
    """``source`` happened before ``destination``, or after it."""

    forward: bool
    source: Endpoint
    destination: Endpoint

    def constraint(self, forward: Make = source_first, back: Make = backward) -> Constraint:
        """What this message proves, made by the given makers: of (source, destination), in that order."""
        if self.forward:
            return forward("f", self.source, self.destination)
        return back("b", self.source, self.destination)


@dataclass(frozen=True, slots=True)
class World:
    """Clocks, messages, and instants at which to look."""

    drift_ppb: int
    knots: tuple[tuple[int, int], ...]
    """Source time and offset: linear between two of them, constant before and after all."""
    messages: tuple[Message, ...]
    probes: tuple[int, ...]

    def theta(self, at: int) -> Fraction:
        """The true offset at source time ``at``, exactly."""
        return interpolated(self.knots, at)

    def constraints(self, forward: Make = source_first, back: Make = backward) -> list[Constraint]:
        """What all messages prove."""
        return [each.constraint(forward, back) for each in self.messages]


def interpolated(knots: Sequence[tuple[int, int]], at: int) -> Fraction:
    """The offset at source time ``at``: linear between two knots, constant before and after all."""
    if at <= knots[0][0]:
        return Fraction(knots[0][1])
    if at >= knots[-1][0]:
        return Fraction(knots[-1][1])
    index = bisect_left(knots, at, key=lambda knot: knot[0])
    (x0, y0), (x1, y1) = knots[index - 1 : index + 1]
    return y0 + Fraction((y1 - y0) * (at - x0), x1 - x0)


@st.composite
def clocks(draw: st.DrawFn, drift_ppb: int) -> tuple[tuple[int, int], ...]:
    """Both clocks count from some start; their difference changes by at most ``drift_ppb``."""
    begin = draw(st.integers(0, LONGEST_UP))
    knots = [(begin, draw(st.integers(0, LONGEST_UP)) - begin)]
    for _ in range(draw(st.integers(1, 6))):
        length = draw(st.integers(1, 100 * _S))
        most = length * drift_ppb // _S
        at, offset = knots[-1]
        knots.append((at + length, offset + draw(st.integers(-most, most))))
    return tuple(knots)


@st.composite
def messages_between(draw: st.DrawFn, knots: tuple[tuple[int, int], ...]) -> Message:
    """A message at a random time, of random latency; each of its ends is printed by a random reader."""
    first = draw(st.integers(knots[0][0], knots[-1][0]))
    second = first + draw(st.one_of(st.integers(0, 10 * _US), st.integers(0, 20 * _MS)))
    forward = draw(st.booleans())
    source_at, destination_at = (first, second) if forward else (second, first)
    read_source, read_destination = draw(st.sampled_from(READERS)), draw(st.sampled_from(READERS))
    return Message(
        forward,
        read_source(Fraction(source_at)),
        read_destination(destination_at + interpolated(knots, destination_at)),
    )


@st.composite
def worlds(draw: st.DrawFn, rates: st.SearchStrategy[int] = RATES) -> World:
    """Clocks within a drift limit, with messages between them."""
    drift_ppb = draw(rates)
    knots = draw(clocks(drift_ppb))
    messages = draw(st.lists(messages_between(knots), min_size=1, max_size=14))
    begin, end = knots[0][0], knots[-1][0]
    probes = draw(st.lists(st.integers(begin - _S, end + _S), min_size=1, max_size=6))
    return World(drift_ppb, knots, tuple(messages), (*probes, begin, end))


# --- constraints, whether they can hold or not ---


def _constraints(at_ns: st.SearchStrategy[int], bound_ns: st.SearchStrategy[int]) -> st.SearchStrategy[Constraint]:
    return st.builds(
        Constraint,
        at_ns=at_ns,
        bound_ns=bound_ns,
        upper=st.booleans(),
        rule=st.just("r"),
        first=st.just(SEEN),
        second=st.just(SEEN),
    )


ANY_CONSTRAINT: Final = _constraints(
    st.integers(0, 100 * _S), st.one_of(st.integers(-100, 100), st.integers(-(10**8), 10**8))
)
"""Consistent with others or not."""
CLOSE_CONSTRAINT: Final = _constraints(st.integers(0, 3), st.integers(-3, 3))
"""The same, where one nanosecond decides."""


def worst_excess(constraints: Iterable[Constraint], drift_ppb: int) -> int:
    """By how much the worst pair of constraints cannot both hold; 0 if every pair can."""
    all_of_them = list(constraints)
    worst = 0
    for upper in (each for each in all_of_them if each.upper):
        for lower in (each for each in all_of_them if not each.upper):
            slack = math.ceil(Fraction(abs(upper.at_ns - lower.at_ns) * drift_ppb, _S))
            worst = max(worst, lower.bound_ns - slack - upper.bound_ns)
    return worst


def exact_offset(at: int, offset: int) -> list[Constraint]:
    """The offset at an instant, exactly."""
    return [
        Constraint(at_ns=at, bound_ns=offset, upper=upper, rule="r", first=SEEN, second=SEEN) for upper in (True, False)
    ]
