"""Which log the statistics of a migration belong to, and what they add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.beside.progress import ENDED
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
from otelmig.hypervisors.cloud_hypervisor.releases import FORK, SYSTEM, since
from otelmig.migration.stamp import ClockDomain
from otelmig.migration.vmm import Vmm
from otelmig.units import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.beside.progress import Progress
    from otelmig.migration.observation import Observation

__all__ = ["with_statistics"]

_SAME_START_NS: Final = 5 * SECOND_NS
"""The log's first line of a migration and ``timestamp_begin_ms`` lie within this."""


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
    return Process(vmm=vmm, stem=progress.stream.stem, observations=observations, releases=since("v50.0"))


def with_statistics(processes: Iterable[Process], statistics: Sequence[Progress]) -> Iterator[Process]:
    """Yield each process with the statistics of the migration that it alone began then; the others come first."""
    all_processes = list(processes)
    taken: dict[int, list[Progress]] = {}
    for progress in statistics:
        fits = [at for at, process in enumerate(all_processes) if _began(process, progress) is not None]
        if len(fits) == 1:
            taken.setdefault(fits[0], []).append(progress)
        else:
            yield _alone(progress)
    for at, process in enumerate(all_processes):
        whole = process
        for progress in taken.get(at, ()):
            whole = _with(whole, progress)
        yield whole


def _began(process: Process, progress: Progress) -> Observation | None:
    """Return the line of ``process`` with which the migration of ``progress`` began."""
    starts = [observation for observation in process.observations if observation.kind is Kind.SEND_STARTED]
    if process.vmm.domain is ClockDomain.BOOTTIME:
        return starts[0] if len(starts) == 1 else None
    near = [
        observation
        for observation in starts
        if abs(observation.stamp.ns - progress.begin_ms * MILLISECOND_NS) <= _SAME_START_NS
    ]
    return near[0] if len(near) == 1 else None


def _with(process: Process, progress: Progress) -> Process:
    """Return what the log lacks: how many connections, absolute time, and how the migration ended."""
    start = _began(process, progress)
    if start is None:
        return process
    domain = process.vmm.domain
    at = process.observations.index(start)
    observations = list(process.observations)
    has = {observation.kind for observation in observations[at:]}
    # shift, blur: from the statistics' clock to the log's, if the start was logged in the millisecond that they print
    shift = blur = 0
    if domain is ClockDomain.BOOTTIME:
        shift = start.stamp.ns - progress.begin_ms * MILLISECOND_NS
        blur = start.stamp.error_ns + MILLISECOND_NS
    for observation in progress.observations:
        stamp = replace(
            observation.stamp,
            ns=observation.stamp.ns + shift,
            error_ns=observation.stamp.error_ns + blur,
            domain=domain,
        )
        moved = replace(observation, stamp=stamp, text="")
        if observation.kind is Kind.SEND_REQUESTED:
            if at and observations[at - 1].kind is Kind.SEND_REQUESTED:
                requested = observations[at - 1]
                observations[at - 1] = replace(requested, values={**observation.values, **requested.values})
            else:
                observations.insert(at, replace(moved, stamp=start.stamp))
        elif observation.kind in ENDED.values() and has.isdisjoint({*ENDED.values(), Kind.COMPLETED}):
            observations.append(moved)
    whole = process.joined(progress.stream, observations)
    if domain is ClockDomain.BOOTTIME:
        return replace(
            whole, vmm=replace(whole.vmm, latest_zero_ns=progress.begin_ms * MILLISECOND_NS - start.stamp.lo_ns)
        )
    return whole
