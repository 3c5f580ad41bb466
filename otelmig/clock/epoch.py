"""Where absolute time comes from, for logs that count from the start of their process.

Processes that took part in one migration are tied by its clock offset, so one known epoch serves them all: a wall
clock in either log, an instant that the caller gives (``anchors``), the times at which a journal, syslog or a container
runtime took the lines over (or at which the migration's statistics began), or those at which the files were last
written, each a bound on its last line. Which it was is said in the trace.
"""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.migration.vmm import Vmm

__all__ = ["Anchor", "Epoch", "EpochOrigin", "Tie", "epochs"]

_EARLIEST_NS: Final = SECOND_NS
"""Nothing is placed before the first second of 1970: OTLP times are unsigned."""


class EpochOrigin(StrEnum):
    """How a log's clock got its place in absolute time."""

    WALLCLOCK = "wallclock"
    PEER_WALLCLOCK = "peer_wallclock"
    PARTIAL_WALLCLOCK = "partial_wallclock"
    """The log's wall clock, of which a year, a date or a zone had to be assumed."""
    ANCHOR = "anchor"
    RECEIPT = "receipt"
    """When the journal, syslog or the container runtime took the lines over; when the statistics began."""
    FILE_TIME = "file_time"

    @property
    def is_estimate(self) -> bool:
        """Whether the same log, read elsewhere, later or with other options, may get another place."""
        return self in (EpochOrigin.PARTIAL_WALLCLOCK, EpochOrigin.RECEIPT, EpochOrigin.FILE_TIME)


class Epoch(Struct, frozen=True, kw_only=True):
    """What to add to a process's stamps to get nanoseconds since the Unix epoch: whole microseconds."""

    ns: int
    origin: EpochOrigin
    error_ns: int | None = None
    """How far it may be from the clock that ``origin`` names; None where it is only known not to be later."""


class Anchor(Struct, frozen=True, kw_only=True):
    """When a process's clock read zero, as the user knows it."""

    ns: int
    error_ns: int
    """The worth of the last digit that was given: it may have been cut or rounded."""


class Tie(Struct, frozen=True, kw_only=True):
    """Two processes of one migration: the second's clock minus the first's."""

    source: Vmm
    destination: Vmm
    offset_ns: int
    error_ns: int | None
    """How far the true offset may be from that; None where it is not bounded."""


def epochs(processes: Iterable[Vmm], ties: Iterable[Tie], anchors: Mapping[str, Anchor]) -> dict[str, Epoch]:
    """Return the epoch of every process, by its key; ``anchors`` gives the Unix time of some processes' zero."""
    by_key = {process.key: process for process in processes}
    by_process = {
        key: Epoch(ns=0, origin=EpochOrigin.PARTIAL_WALLCLOCK)
        if process.assumed
        else Epoch(ns=0, origin=EpochOrigin.WALLCLOCK, error_ns=0)
        for key, process in by_key.items()
        if process.domain is ClockDomain.REALTIME
    }
    for key, anchor in anchors.items():
        by_process.setdefault(key, Epoch(ns=_grid(anchor.ns), origin=EpochOrigin.ANCHOR, error_ns=anchor.error_ns))
    by_process |= {
        key: Epoch(ns=_grid(process.latest_zero_ns), origin=EpochOrigin.RECEIPT)
        for key, process in by_key.items()
        if key not in by_process and process.latest_zero_ns is not None
    }
    neighbours: dict[str, list[tuple[str, int, int | None]]] = defaultdict(list)
    for tie in ties:
        one, other = tie.source.key, tie.destination.key
        # epoch of the second = epoch of the first - offset
        neighbours[one].append((other, -tie.offset_ns, tie.error_ns))
        neighbours[other].append((one, tie.offset_ns, tie.error_ns))
    _spread(by_process, neighbours)
    for key in by_key:
        if key not in by_process:
            by_process.update(_by_file_times(key, by_key, neighbours))
    return by_process


def _spread(by_process: dict[str, Epoch], neighbours: Mapping[str, list[tuple[str, int, int | None]]]) -> None:
    """Carry known epochs over ties to processes that have none."""
    queue = list(by_process)
    for key in queue:
        for other, step, step_error_ns in neighbours.get(key, ()):
            if other not in by_process:
                known = by_process[key]
                origin = EpochOrigin.PEER_WALLCLOCK if known.origin is EpochOrigin.WALLCLOCK else known.origin
                unknown = known.error_ns is None or step_error_ns is None
                error_ns = None if unknown else (known.error_ns or 0) + (step_error_ns or 0)
                by_process[other] = Epoch(ns=_grid(known.ns + step), origin=origin, error_ns=error_ns)
                queue.append(other)


def _by_file_times(
    key: str, by_key: Mapping[str, Vmm], neighbours: Mapping[str, list[tuple[str, int, int | None]]]
) -> dict[str, Epoch]:
    """Return the latest epoch that puts no line of the tied processes after the time its file was last written."""
    steps = {key: 0}
    queue = [key]
    for tied in queue:
        for other, step, _ in neighbours.get(tied, ()):
            if other not in steps:
                steps[other] = steps[tied] + step
                queue.append(other)
    bounds = [
        written_ns - by_key[tied].last_ns - step
        for tied, step in steps.items()
        if (written_ns := by_key[tied].last_written_ns) is not None
    ]
    earliest = _EARLIEST_NS - min(steps.values())
    base = _grid(max(min(bounds, default=earliest), earliest))
    return {tied: Epoch(ns=_grid(base + step), origin=EpochOrigin.FILE_TIME) for tied, step in steps.items()}


def _grid(ns: int) -> int:
    return ns // MICROSECOND_NS * MICROSECOND_NS
