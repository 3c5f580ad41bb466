"""What the order of lines and events says of the shift between their clocks: for logs without ``Event:`` lines."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import Stamp

__all__ = ["order_bounds"]

# looked at for every line: as attributes of their enumeration they take eight times as long to look up
_PAUSING: Final = Kind.DEVICE_PAUSING
_CPUID: Final = Kind.CPUID_GENERATED
_COMMAND: Final = Kind.COMMAND_RECEIVED


def order_bounds(log: Sequence[Observation], events: Sequence[Observation]) -> tuple[int, int, int] | None:
    """Return the least and the greatest shift of the events' clock that no event excludes, and how many say so."""
    anchors = _Anchors(log)
    counts: dict[str, int] = defaultdict(int)
    # lo, hi: the shifts of the stream's clock that no event excludes; pairs: events between lines; counts: by kind
    lo, hi, pairs = -(1 << 62), 1 << 62, 0
    for event in events:
        number, counts[event.kind] = counts[event.kind], counts[event.kind] + 1
        before, after = anchors.around(event.kind, number)
        if before is not None:
            lo = max(lo, before.lo_ns - event.stamp.ns)
        if after is not None:
            hi = min(hi, after.hi_ns - event.stamp.ns)
        pairs += before is not None or after is not None
    if pairs == 0 or lo == -(1 << 62) or hi == 1 << 62:
        return None
    return lo, hi, pairs


class _Anchors:
    """For each event the latest line before it and the earliest line after it."""

    def __init__(self, log: Sequence[Observation]) -> None:
        pauses: list[tuple[Stamp, Stamp]] = []
        snapshots: list[Stamp] = []
        states: list[Stamp] = []
        completes: list[tuple[Stamp, Stamp | None]] = []
        pausing = False
        for index, observation in enumerate(log):
            kind = observation.kind
            if kind is _PAUSING:
                first = pauses.pop()[0] if pausing else observation.stamp
                pauses.append((first, observation.stamp))
            elif kind is _CPUID and len(snapshots) < len(pauses):
                snapshots.append(observation.stamp)
            elif kind is _COMMAND and observation.word("command") == Command.STATE:
                states.append(observation.stamp)
            elif kind is _COMMAND and observation.word("command") == Command.COMPLETE:
                resumed = (later.stamp for later in log[index : index + 2] if later.kind is Kind.DEVICE_RESUMING)
                completes.append((observation.stamp, next(resumed, None)))
            pausing = kind is _PAUSING
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
