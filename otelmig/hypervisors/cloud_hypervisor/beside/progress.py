"""Statistics of the Cyberus fork: answers of ``GET /api/v1/vm.migration-progress``, polled and kept one a line.

Each answer is null or an object with wall-clock milliseconds of the source host: when the migration began
(``timestamp_begin_ms``), when the answer was made (``timestamp_snapshot_ms``), how far it was. What happened between
two answers happened at an instant that is known to within the two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from otelmig.hypervisors.cloud_hypervisor.failures import error_type
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import NO_STATISTICS, UnparsedLine
from otelmig.hypervisors.cloud_hypervisor.releases import FORK, SYSTEM, since
from otelmig.migration.observation import Observation, Value
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.migration.vmm import Vmm
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.inputs import Line, Stream
    from otelmig.inputs.line import Where

__all__ = ["Progress", "ProgressLines", "is_progress", "joined"]

_PAGE: Final = 4096
_LATEST_MS: Final = 7_258_118_400_000
"""The year 2200: a later time is not one that a migration was at."""
_SAME_START_NS: Final = 5 * 10**9
"""The log's first line of a migration and ``timestamp_begin_ms`` lie within this."""
_MOST_AT_ONCE: Final = 64
"""At most this many memory iterations are believed to have passed between two answers."""
_MOST_ITERATIONS: Final = 4096
"""At most this many memory iterations of a migration are kept."""
_MOST_KEPT: Final = 64
"""At most this many migrations of a growing stream are kept, the latest ones."""
_ENDED: Final = {"Finished": Kind.SEND_FINISHED, "Cancelled": Kind.SEND_CANCELLED, "Failed": Kind.SEND_FAILED}


@dataclass(slots=True, kw_only=True)
class Progress:
    """One migration, as its statistics tell it."""

    stream: Stream
    begin_ms: int
    observations: list[Observation] = field(default_factory=list)
    last_ms: int = 0
    passes: int = 0
    completing: bool = False
    ended: bool = False


def is_progress(head: bytes) -> bool:
    """Return whether a file that begins like this holds such answers."""
    return b'"timestamp_begin_ms"' in head and b'"memory_transmission_info"' in head


@dataclass(slots=True, kw_only=True)
class ProgressLines:
    """Reads the answers of one stream, line by line."""

    stream: Stream
    _by_begin: dict[int, Progress] = field(default_factory=dict)

    @property
    def migrations(self) -> list[Progress]:
        """Each migration that the answers speak of, in the order in which they began."""
        return [self._by_begin[begin] for begin in sorted(self._by_begin)]

    def take(self, line: Line) -> UnparsedLine | Progress | None:
        """Read one answer; return the migration that it tells of, or that it is none; None where there is nothing."""
        text = line.text.strip()
        if not text or text == "null":
            return None
        answer = _answer(text)
        if answer is None:
            return UnparsedLine(where=line.where, reason=NO_STATISTICS)
        begin = answer["timestamp_begin_ms"]
        progress = self._by_begin.get(begin)
        if progress is None:
            progress = self._by_begin[begin] = Progress(stream=self.stream, begin_ms=begin, last_ms=begin)
            progress.observations += _beginning(answer, line.where)
            if self.stream.mtime_ns is None and len(self._by_begin) > _MOST_KEPT:
                del self._by_begin[min(self._by_begin)]
        progress.observations += _since(progress, answer, line.where)
        progress.last_ms = max(progress.last_ms, answer["timestamp_snapshot_ms"])
        return progress


def _answer(text: str) -> dict[str, Any] | None:
    """Return an answer with both of its times; None if the text holds none."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match answer:
        case {"timestamp_begin_ms": int(begin), "timestamp_snapshot_ms": int(at), **_rest}:
            return dict(answer) if 0 < begin <= at < _LATEST_MS else None
        case _:
            return None


def _number(value: object) -> int | None:
    small = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
    return value if small and isinstance(value, int) else None


def _between(first_ms: int, last_ms: int) -> Stamp:
    """Return an instant between two printed milliseconds (both truncated)."""
    lo, hi = first_ms * MILLISECOND_NS, (last_ms + 1) * MILLISECOND_NS
    text = f"{first_ms}ms" if first_ms == last_ms else f"{first_ms}ms..{last_ms}ms"
    return Stamp(ns=(lo + hi) // 2, error_ns=(hi - lo + 1) // 2, text=text, domain=ClockDomain.REALTIME)


def _seen(kind: Kind, stamp: Stamp, where: Where, text: str = "", **values: Value | None) -> Observation:
    known = {name: value for name, value in values.items() if value is not None}
    return Observation(kind=kind, stamp=stamp, where=where, thread="", text=text, values=known)


def _beginning(answer: Mapping[str, Any], where: Where) -> Iterator[Observation]:
    begin = answer["timestamp_begin_ms"]
    mode = answer.get("transportation_mode")
    tcp = mode.get("Tcp") if isinstance(mode, dict) else None
    tcp = tcp if isinstance(tcp, dict) else {}
    tls, target = tcp.get("tls"), _number(answer.get("downtime_configured_ms"))
    stamp = _between(begin, begin)
    yield _seen(Kind.SEND_REQUESTED, stamp, where, connections=_number(tcp.get("connections")))
    yield _seen(
        Kind.SEND_STARTED,
        stamp,
        where,
        f"timestamp_begin_ms={begin}",
        local=mode == "Local",
        tls=tls if isinstance(tls, bool) else None,
        target_ns=None if target is None or target > _LATEST_MS else target * MILLISECOND_NS,
    )


def _since(progress: Progress, answer: Mapping[str, Any], where: Where) -> Iterator[Observation]:
    """Yield what happened since the answer before."""
    if progress.ended:
        return
    stamp = _between(progress.last_ms, max(answer["timestamp_snapshot_ms"], progress.last_ms))
    info = answer.get("memory_transmission_info")
    info = info if isinstance(info, dict) else {}
    state = answer.get("state")
    name, detail = next(iter(state.items()), ("", {})) if isinstance(state, dict) else ("", {})
    detail = detail if isinstance(detail, dict) else {}
    passes = min(_number(info.get("memory_iteration")) or 0, progress.passes + _MOST_AT_ONCE, _MOST_ITERATIONS)
    dirty, estimate = _number(info.get("memory_dirty_rate_pps")), _number(answer.get("downtime_estimated_ms"))
    for index in range(progress.passes, passes):
        yield _seen(
            Kind.ITERATION_SENT,
            stamp,
            where,
            iteration=index,
            total_bytes=_number(info.get("memory_bytes_transmitted")),
            dirty_rate=None if dirty is None else float(dirty * _PAGE),
            estimate_ns=estimate * MILLISECOND_NS if estimate is not None and estimate < _LATEST_MS else None,
            throttle=_number(detail.get("vcpu_throttle_percent")),
        )
    progress.passes = max(progress.passes, passes)
    if detail.get("phase") == "Completing" and not progress.completing:
        progress.completing = True
        yield _seen(Kind.VM_PAUSING, stamp, where)
    kind = _ENDED.get(name)
    if kind is not None:
        progress.ended = True
        error = str(detail.get("error_msg") or "the migration failed") if kind is Kind.SEND_FAILED else None
        yield _seen(kind, stamp, where, error=error, error_type=None if error is None else error_type(error))


def _alone(progress: Progress) -> Process:
    """Return statistics without a log as a source of their own."""
    observations = tuple(progress.observations)
    vmm = Vmm(
        key=f"{progress.stream.key}\n{progress.begin_ms}",
        system=SYSTEM,
        name=progress.stream.name,
        inputs=(progress.stream.key,),
        domain=ClockDomain.REALTIME,
        version=None,
        releases_text=f"{since('v50.0')}, {FORK}",
        last_ns=progress.last_ms * MILLISECOND_NS,
        last_written_ns=progress.stream.mtime_ns,
    )
    return Process(vmm=vmm, stem=progress.stream.stem, observations=observations)


def joined(processes: Iterable[Process], statistics: Sequence[Progress]) -> Iterator[Process]:
    """Yield each process with the statistics of the migration that it alone began then; the others come first."""
    given = list(processes)
    taken: dict[int, list[Progress]] = {}
    for progress in statistics:
        fits = [at for at, process in enumerate(given) if _began(process, progress) is not None]
        if len(fits) == 1:
            taken.setdefault(fits[0], []).append(progress)
        else:
            yield _alone(progress)
    for at, process in enumerate(given):
        whole = process
        for progress in taken.get(at, ()):
            whole = _with(whole, progress)
        yield whole


def _began(process: Process, progress: Progress) -> Observation | None:
    """Return the line of ``process`` with which the migration of ``progress`` began."""
    starts = [seen for seen in process.observations if seen.kind is Kind.SEND_STARTED]
    if process.vmm.domain is ClockDomain.BOOTTIME:
        return starts[0] if len(starts) == 1 else None
    near = [seen for seen in starts if abs(seen.stamp.ns - progress.begin_ms * MILLISECOND_NS) <= _SAME_START_NS]
    return near[0] if len(near) == 1 else None


def _with(process: Process, progress: Progress) -> Process:
    """Return what the log lacks: how many connections, absolute time, and how the migration ended."""
    start = _began(process, progress)
    if start is None:
        return process
    domain = process.vmm.domain
    at = process.observations.index(start)
    observations = list(process.observations)
    has = {seen.kind for seen in observations[at:]}
    shift = 0 if domain is ClockDomain.REALTIME else start.stamp.ns - progress.begin_ms * MILLISECOND_NS
    for seen in progress.observations:
        stamp = seen.stamp._replace(ns=seen.stamp.ns + shift, domain=domain)
        moved = seen._replace(stamp=stamp, text="")
        if seen.kind is Kind.SEND_REQUESTED:
            if at and observations[at - 1].kind is Kind.SEND_REQUESTED:
                requested = observations[at - 1]
                observations[at - 1] = requested._replace(values={**seen.values, **requested.values})
            else:
                observations.insert(at, moved._replace(stamp=start.stamp))
        elif seen.kind in _ENDED.values() and has.isdisjoint({*_ENDED.values(), Kind.COMPLETED}):
            observations.append(moved)
    whole = process.joined(progress.stream, observations)
    if domain is ClockDomain.BOOTTIME:
        return replace(
            whole, vmm=replace(whole.vmm, latest_zero_ns=progress.begin_ms * MILLISECOND_NS - start.stamp.lo_ns)
        )
    return whole
