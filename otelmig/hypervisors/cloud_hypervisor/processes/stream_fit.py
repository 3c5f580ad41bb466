"""Which event stream belongs to which log, and what the stream adds to it.

Both are stamped from the same clock of the same process, with zeros that lie some milliseconds apart: a stream
and a log fit if one constant shift ``d`` (log time = event time + d) satisfies everything that must be so:

- a log line of an event (v50.0 on) is written before the event is stamped, and the thread's next line after it;
- without such lines, ``pausing``/``paused`` enclose the ``Pausing virtio-*`` lines, ``snapshotting``/``snapshotted``
  the CPUID line of the snapshot, and on the destination the command lines come before their events.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.processes.alignment import Pair, alignment
from otelmig.hypervisors.cloud_hypervisor.processes.order_fit import order_bounds
from otelmig.migration.stamp import COARSE_NS, ClockDomain
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otelmig.migration.observation import Observation, Value

__all__ = ["LATEST_WRITE_NS", "OF_EVENTS", "Fit", "ToldEvents", "fit", "fit_what_is_there"]

LATEST_WRITE_NS: Final = 100 * MILLISECOND_NS
"""An event is stamped within this time after its line was (31 ms is the most seen)."""
_LATEST_MONITOR_NS: Final = 10 * SECOND_NS
"""The monitor is installed within this time after the logger (some milliseconds are usual)."""
_MOST_APART: Final = 64
"""At most so many places further in its list than a line is in its own, counted from either end, its event stands."""
OF_EVENTS: Final = frozenset(
    kind for form in EVENTS.values() for kind in (form.kind, form.renamed) if kind is not None
) - {Kind.PROCESS_STARTED, Kind.PROCESS_READY, Kind.IRRELEVANT}


class Fit(Struct, frozen=True, kw_only=True):
    """The shift from event time to log time lies in ``[lo_ns, hi_ns]``; ``pairs`` say so."""

    lo_ns: int
    hi_ns: int
    pairs: int
    same: Mapping[int, int] = field(default_factory=dict)
    """The place of each event of the stream that is told by a line of the log, too, by the place of that line."""
    uncertain: frozenset[int] = frozenset()
    """Places of lines of which only the order says which event they are."""
    lines_lacking: int = 0
    """Events that should be told by a line of the log, too, and are not."""
    events_lacking: int = 0
    """Lines of the log that tell of an event which should be in the stream, and is not."""

    @property
    def spread_ns(self) -> int:
        """How well it is known."""
        return self.hi_ns - self.lo_ns

    @property
    def lacking(self) -> int:
        """How much is told by one of the two alone."""
        return self.lines_lacking + self.events_lacking

    def on_clock_of(self, log: Sequence[Observation]) -> bool:
        """Return whether the shift can be one between the logger and the monitor of one process."""
        if self.lo_ns > self.hi_ns:
            return False
        return log[0].stamp.domain is not ClockDomain.BOOTTIME or -COARSE_NS <= self.hi_ns <= _LATEST_MONITOR_NS


class ToldEvents(Struct, frozen=True, eq=False, dict=True):
    """Observations of a log, or of an event stream, and which of them tell of events.

    Each log is compared with each stream, so what they are compared by is found once.
    """

    observations: Sequence[Observation]

    @cached_property
    def places(self) -> Mapping[tuple[str, Value | None], Sequence[int]]:
        """The places of lines of events, or of events, by what tells them apart."""
        places: dict[tuple[str, Value | None], list[int]] = defaultdict(list)
        for at, observation in enumerate(self.observations):
            if observation.kind in OF_EVENTS:
                places[observation.kind, observation.values.get("iteration")].append(at)
        return places

    @cached_property
    def counts(self) -> Mapping[tuple[str, Value | None], int]:
        """How many there are of each."""
        return {key: len(places) for key, places in self.places.items()}

    @cached_property
    def following(self) -> Mapping[int, Observation]:
        """The next observation of the same thread, by the place of each that has one."""
        last: dict[str, int] = {}
        following: dict[int, Observation] = {}
        for at, observation in enumerate(self.observations):
            before = last.get(observation.thread)
            if before is not None:
                following[before] = observation
            last[observation.thread] = at
        return following


def fit(told: ToldEvents, stamped: ToldEvents) -> Fit | None:
    """Return the shift that makes the ``stamped`` events those of the process whose log ``told`` of them.

    Neither of the two lacks anything. None if there is no such shift.
    """
    log, events = told.observations, stamped.observations
    if not log:
        return None
    if not told.places:
        bounds = order_bounds(log, events)
        best = None if bounds is None else Fit(lo_ns=bounds[0], hi_ns=bounds[1], pairs=bounds[2])
    elif told.counts == stamped.counts:
        best = _fit_in_turn(told, stamped)
    else:
        best = None
    return best if best is not None and best.on_clock_of(log) else None


def fit_what_is_there(told: ToldEvents, stamped: ToldEvents, *, alike: bool) -> Fit | None:
    """Return the shift by which a log ``told`` of most of the ``stamped`` events, if either lacks some of them.

    Where the two are named ``alike``, half of what both can tell is enough for one process; else two of three, and two
    events at least.
    """
    log, events = told.observations, stamped.observations
    if not log:
        return None
    pairs = [pair for key in told.places.keys() & stamped.places.keys() for pair in _possible_pairs(told, stamped, key)]
    boottime = bool(log) and log[0].stamp.domain is ClockDomain.BOOTTIME
    if boottime:
        pairs = [pair for pair in pairs if pair.hi_ns >= -COARSE_NS and pair.lo_ns <= _LATEST_MONITOR_NS]
    aligned = alignment(pairs, prefer_usual=boottime)
    if aligned is None:
        return None
    same = {pair.line: pair.event for pair in (*aligned.certain, *aligned.uncertain)}
    middle = (aligned.lo_ns + aligned.hi_ns) // 2
    # what lies before the beginning of either, or after its end, is not to be expected in it
    first = max(log[0].stamp.ns, events[0].stamp.ns + middle) + LATEST_WRITE_NS
    last = min(log[-1].stamp.ns, events[-1].stamp.ns + middle) - LATEST_WRITE_NS
    by_a_line = set(same.values())
    whole = Fit(
        lo_ns=aligned.lo_ns,
        hi_ns=aligned.hi_ns,
        pairs=len(same),
        same=same,
        uncertain=frozenset(pair.line for pair in aligned.uncertain),
        lines_lacking=sum(
            first <= events[at].stamp.ns + middle <= last
            for places in stamped.places.values()
            for at in places
            if at not in by_a_line
        ),
        events_lacking=sum(
            first <= log[at].stamp.ns <= last for places in told.places.values() for at in places if at not in same
        ),
    )
    enough = whole.lacking <= whole.pairs if alike else whole.pairs > 1 and 2 * whole.lacking <= whole.pairs
    return whole if enough and whole.on_clock_of(log) else None


def _fit_in_turn(told: ToldEvents, stamped: ToldEvents) -> Fit:
    """Fit by the log's own ``Event:`` lines: the n-th line of a kind is the n-th event of that kind."""
    same = {
        line: event
        for key, lines in told.places.items()
        for line, event in zip(lines, stamped.places[key], strict=True)
    }
    pairs = [_pair(told, stamped, line, event) for line, event in same.items()]
    return Fit(
        lo_ns=max(pair.lo_ns for pair in pairs), hi_ns=min(pair.hi_ns for pair in pairs), pairs=len(pairs), same=same
    )


def _possible_pairs(told: ToldEvents, stamped: ToldEvents, key: tuple[str, Value | None]) -> Iterator[Pair]:
    """Yield each line of one ``key`` with each event that it may tell of."""
    lines, events = told.places[key], stamped.places[key]
    for number, line in enumerate(lines):
        nearest = slice(max(0, number - _MOST_APART), number + _MOST_APART + 1)
        latest = slice(max(0, len(events) - len(lines) + number - _MOST_APART), None)
        for event in sorted({*events[nearest], *events[latest][: 2 * _MOST_APART + 1]}):
            yield _pair(told, stamped, line, event)


def _pair(told: ToldEvents, stamped: ToldEvents, line: int, event: int) -> Pair:
    """Return the shifts by which an event is stamped after its line, and before the next line of its thread."""
    own, stamp = told.observations[line].stamp, stamped.observations[event].stamp
    latest_ns = own.hi_ns + LATEST_WRITE_NS
    after = told.following.get(line)
    if after is not None:
        latest_ns = min(after.stamp.hi_ns, latest_ns)
    return Pair(own.lo_ns - stamp.ns, latest_ns - stamp.ns, line, event)
