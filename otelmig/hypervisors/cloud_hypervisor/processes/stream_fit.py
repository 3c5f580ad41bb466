"""Which event stream belongs to which log, and what the stream adds to it.

Both are stamped from the same clock of the same process, with zeros that lie some milliseconds apart: a stream
and a log fit if one constant shift ``d`` (log time = event time + d) satisfies everything that must be so:

- a log line of an event (v50.0 on) is written before the event is stamped, and the thread's next line after it;
- without such lines, ``pausing``/``paused`` enclose the ``Pausing virtio-*`` lines, ``snapshotting``/``snapshotted``
  the CPUID line of the snapshot, and on the destination the command lines come before their events.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.migration.stamp import COARSE_NS, ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.migration.observation import Observation

__all__ = ["Fit", "fit", "merged"]

_LATEST_WRITE_NS: Final = 100 * 10**6
"""An event is stamped within this time after its line was (31 ms is the most seen)."""
_LATEST_MONITOR_NS: Final = 10 * 10**9
"""The monitor is installed within this time after the logger (some milliseconds are usual)."""
_EVENT_KINDS: Final = frozenset(
    kind for form in EVENTS.values() for kind in (form.kind, form.renamed) if kind is not None
) - {Kind.PROCESS_STARTED, Kind.IRRELEVANT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The shift from event time to log time lies in ``[lo_ns, hi_ns]``; ``pairs`` say so."""

    lo_ns: int
    hi_ns: int
    pairs: int

    @property
    def spread_ns(self) -> int:
        """How well it is known."""
        return self.hi_ns - self.lo_ns


def fit(log: Sequence[Observation], events: Sequence[Observation]) -> Fit | None:
    """Return the shift that makes ``events`` the events of the process that wrote ``log``; None if there is none."""
    if not log:
        return None
    lines = [seen for seen in log if seen.kind in _EVENT_KINDS]
    found = _fit_lines(log, lines, events) if lines else _fit_order(log, events)
    if found is None or found.lo_ns > found.hi_ns:
        return None
    if log[0].stamp.domain is ClockDomain.BOOTTIME and not -COARSE_NS <= found.hi_ns <= _LATEST_MONITOR_NS:
        return None
    return found


def _fit_lines(log: Sequence[Observation], lines: Sequence[Observation], events: Sequence[Observation]) -> Fit | None:
    """Fit by the log's own ``Event:`` lines: the n-th line of a kind is the n-th event of that kind."""
    following = _next_on_thread(log)
    stamped = defaultdict(list)
    for event in events:
        stamped[event.kind].append(event.stamp)
    # lo, hi: the shifts of the stream's clock that no pair excludes; pairs: lines that have an event;
    # stamped: the events that no line was compared with yet
    lo, hi, pairs = -(1 << 62), 1 << 62, 0
    for kind, group in groupby(sorted(lines, key=lambda seen: seen.kind), key=lambda seen: seen.kind):
        for line, stamp in zip(group, stamped.pop(kind, ()), strict=False):
            lo = max(lo, line.stamp.lo_ns - stamp.ns)
            latest = line.stamp.hi_ns + _LATEST_WRITE_NS
            after = following.get(id(line))
            hi = min(hi, latest - stamp.ns if after is None else min(after.stamp.hi_ns, latest) - stamp.ns)
            pairs += 1
    missing = sum(len(rest) for kind, rest in stamped.items() if kind is not Kind.PROCESS_STARTED)
    if pairs == 0 or missing > pairs:
        return None
    return Fit(lo_ns=lo, hi_ns=hi, pairs=pairs)


def _next_on_thread(log: Sequence[Observation]) -> dict[int, Observation]:
    """Return, for each observation (by identity), the next one of the same thread."""
    last: dict[str, Observation] = {}
    following: dict[int, Observation] = {}
    for seen in log:
        before = last.get(seen.thread)
        if before is not None:
            following[id(before)] = seen
        last[seen.thread] = seen
    return following


def _fit_order(log: Sequence[Observation], events: Sequence[Observation]) -> Fit | None:
    """Fit by the order of lines and events, for releases that print no ``Event:`` lines."""
    anchors = _Anchors(log)
    seen: dict[str, int] = defaultdict(int)
    # lo, hi: the shifts of the stream's clock that no event excludes; pairs: events between lines; seen: events by kind
    lo, hi, pairs = -(1 << 62), 1 << 62, 0
    for event in events:
        number, seen[event.kind] = seen[event.kind], seen[event.kind] + 1
        before, after = anchors.around(event.kind, number)
        if before is not None:
            lo = max(lo, before.lo_ns - event.stamp.ns)
        if after is not None:
            hi = min(hi, after.hi_ns - event.stamp.ns)
        pairs += before is not None or after is not None
    if pairs == 0 or lo == -(1 << 62) or hi == 1 << 62:
        return None
    return Fit(lo_ns=lo, hi_ns=hi, pairs=pairs)


class _Anchors:
    """For each event the latest line before it and the earliest line after it."""

    def __init__(self, log: Sequence[Observation]) -> None:
        pauses: list[tuple[Stamp, Stamp]] = []
        snapshots: list[Stamp] = []
        states: list[Stamp] = []
        completes: list[tuple[Stamp, Stamp | None]] = []
        pausing = False
        for index, seen in enumerate(log):
            if seen.kind is Kind.DEVICE_PAUSING:
                first = pauses.pop()[0] if pausing else seen.stamp
                pauses.append((first, seen.stamp))
            elif seen.kind is Kind.CPUID_GENERATED and len(snapshots) < len(pauses):
                snapshots.append(seen.stamp)
            elif seen.kind is Kind.COMMAND_RECEIVED and seen.word("command") == Command.STATE:
                states.append(seen.stamp)
            elif seen.kind is Kind.COMMAND_RECEIVED and seen.word("command") == Command.COMPLETE:
                resumed = (later.stamp for later in log[index : index + 2] if later.kind is Kind.DEVICE_RESUMING)
                completes.append((seen.stamp, next(resumed, None)))
            pausing = seen.kind is Kind.DEVICE_PAUSING
        self._around: dict[str, list[tuple[Stamp | None, Stamp | None]]] = {
            Kind.VM_PAUSING: [(None, first) for first, _ in pauses],
            Kind.VM_PAUSED: [(last, None) for _, last in pauses],
            Kind.SNAPSHOTTING: [(None, stamp) for stamp in snapshots],
            Kind.SNAPSHOTTED: [(stamp, None) for stamp in snapshots],
            Kind.RESTORING: [(stamp, None) for stamp in states],
            Kind.RESTORED: [(None, stamp) for stamp, _ in completes],
            Kind.VM_RESUMING: [(stamp, resumed) for stamp, resumed in completes],
            Kind.VM_RESUMED: [(resumed, None) for _, resumed in completes],
        }

    def around(self, kind: str, number: int) -> tuple[Stamp | None, Stamp | None]:
        """Return the lines around the event number ``number`` (from 0) of its kind."""
        around = self._around.get(kind, ())
        return around[number] if number < len(around) else (None, None)


def merged(log: Sequence[Observation], events: Sequence[Observation], shift: Fit) -> tuple[Observation, ...]:
    """Return the log's observations with the stream's: where a line is missing, or known to less than a millisecond."""
    pending = defaultdict(list)
    for event in events:
        if event.kind in _EVENT_KINDS:
            pending[event.kind].append(_on_log_clock(event, shift, log[0].stamp.domain))
    result = []
    for seen in log:
        own = pending[seen.kind].pop(0) if seen.kind in _EVENT_KINDS and pending[seen.kind] else None
        if own is not None and seen.stamp.error_ns > max(COARSE_NS, own.stamp.error_ns):
            result.append(own._replace(thread=seen.thread, text=seen.text))
        else:
            result.append(seen)
    for event in (event for rest in pending.values() for event in rest):
        at = len(result)
        while at and result[at - 1].stamp.ns > event.stamp.ns:
            at -= 1
        result.insert(at, event)
    return tuple(result)


def _on_log_clock(event: Observation, shift: Fit, domain: ClockDomain) -> Observation:
    middle = (shift.lo_ns + shift.hi_ns) // 2
    stamp = Stamp(
        ns=event.stamp.ns + middle,
        error_ns=event.stamp.error_ns + shift.hi_ns - middle,
        text=event.stamp.text,
        domain=domain,
    )
    return event._replace(stamp=stamp, text="")
