"""The guest is stopped: the pause, the snapshot, and the downtime by the hypervisor's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.facts.instant import at, device_instants, printed
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.facts import (
    Downtime,
    DowntimeParts,
    ErrorType,
    Pause,
    Snapshot,
    Stretch,
    VcpuWait,
    Window,
)
from otelmig.migration.side import Result

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.facts import Instant
    from otelmig.migration.observation import Observation

__all__ = ["before_downtime", "downtime", "downtime_parts", "pause", "snapshot"]


_AFTER_PAUSE: Final = (
    Kind.FINAL_DELTA_SENT,
    Kind.SNAPSHOTTING,
    Kind.SNAPSHOTTED,
    Kind.POSTCOPY_SERVING,
    Kind.COMPLETED,
    Kind.SEND_FINISHED,
)
"""What follows a pause that worked."""


def before_downtime(attempt: AttemptLines) -> Instant | None:
    """Return the last line about memory: the downtime's timer starts after it."""
    return at(attempt.last(Kind.PRECOPY_CONVERGED, Kind.CONVERGENCE_DECIDED, Kind.ITERATION_SENT))


def pause(attempt: AttemptLines) -> Pause:
    """Return how the migration stopped the guest; without events the paused devices are its two ends."""
    sign = attempt.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING)
    paused = attempt.first(Kind.VM_PAUSED)
    end = paused or attempt.last(Kind.DEVICE_PAUSING)
    stretch = None
    if sign is not None and end is not None:
        stretch = Stretch(begin=sign.instant, end=end.instant, inferred=paused is None)
    return Pause(
        pausing=at(attempt.first(Kind.VM_PAUSING)),
        sign=at(sign),
        after=at(attempt.first(Kind.VM_PAUSING) or _before(attempt, sign)),
        stretch=stretch,
        paused=at(paused),
        devices=device_instants(attempt.all(Kind.DEVICE_PAUSING)),
        stop=_stop(attempt),
        broken_off=sign is not None and _broken_off(attempt, sign),
        waited=None if sign is None else _waited(attempt, sign, paused or attempt.failure),
    )


def _broken_off(attempt: AttemptLines, sign: Observation) -> bool:
    """Return whether the pause that began with ``sign`` is what failed, or where the log stops.

    A missing ``paused`` alone does not say so, for its line may be lost: nothing that follows a pause may be there,
    and the error must be one of pausing.
    """
    if attempt.first(Kind.VM_PAUSED, *_AFTER_PAUSE) is not None or attempt.first(Kind.VM_PAUSING) is None:
        return False
    if any(observation.stamp.ns >= sign.stamp.ns for observation in attempt.all(Kind.CPUID_GENERATED)):
        return False
    if attempt.failure is None:
        return attempt.result is Result.UNKNOWN
    types = {observation.word("error_type") for observation in attempt.all(Kind.SEND_FAILED)}
    return ErrorType.PAUSE_FAILED in types


def _waited(attempt: AttemptLines, begin: Observation, end: Observation | None) -> VcpuWait | None:
    """Return that the pause waited for a vCPU, between ``begin`` and ``end`` (None: the end of the log)."""
    lines = [
        observation
        for observation in attempt.all(Kind.VCPU_SLOW)
        if begin.stamp.ns <= observation.stamp.ns and (end is None or observation.stamp.ns <= end.stamp.ns)
    ]
    if not lines:
        return None
    longest = max(observation.number("waited_ns") or 0 for observation in lines)
    return VcpuWait(at=lines[-1].instant, waited_ns=longest, count=len(lines))


def _before(attempt: AttemptLines, sign: Observation | None) -> Observation | None:
    """Return the last line that the thread of ``sign`` wrote before it."""
    last = None
    for observation in attempt.observations:
        if observation is sign:
            return last
        if sign is not None and observation.thread == sign.thread:
            last = observation
    return None


def _stop(attempt: AttemptLines) -> Window | None:
    """Return where the vCPUs stopped: after ``pausing``, before the first device is paused, or the guest said to be.

    Who says so twice (the fork does, before the event and in it) had not stopped them when it said so last.
    """
    pausing = attempt.first(Kind.VM_PAUSING)
    if pausing is None:
        return None
    later = [
        observation
        for kind in (Kind.DEVICE_PAUSING, Kind.VM_PAUSED)
        if (observation := attempt.first(kind)) is not None
    ]
    stopped = [observation for observation in later if observation.stamp.ns >= pausing.stamp.ns]
    if not stopped:
        return None
    last = min(stopped, key=lambda observation: observation.stamp.hi_ns)
    first = max(
        (observation for observation in attempt.all(Kind.VM_PAUSING) if observation.stamp.ns <= last.stamp.ns),
        key=lambda observation: observation.stamp.lo_ns,
    )
    return Window(first=first.instant, last=last.instant)


def snapshot(attempt: AttemptLines) -> Snapshot:
    """Return when the state was taken; the second CPUID line is printed inside the snapshot."""
    begin = attempt.first(Kind.SNAPSHOTTING)
    cpuid = attempt.all(Kind.CPUID_GENERATED)
    return Snapshot(
        begin=at(begin),
        sign=at(begin or (cpuid[1] if len(cpuid) > 1 else None)),
        end=at(attempt.first(Kind.SNAPSHOTTED)),
    )


def downtime(attempt: AttemptLines) -> Downtime | None:
    """Return the downtime that ended as it should, with what is printed of it (v52.0 on)."""
    completed = attempt.first(Kind.COMPLETED)
    if completed is None:
        return None
    return Downtime(
        end=completed.instant,
        duration=printed(completed, "downtime_ns"),
        migration_ns=completed.number("total_ns"),
        target_ns=completed.number("target_ns"),
    )


def downtime_parts(attempt: AttemptLines) -> DowntimeParts | None:
    """Return the printed parts of the downtime (v52.0 on, at ``-vv``)."""
    breakdown = attempt.first(Kind.DOWNTIME_BREAKDOWN)
    if breakdown is None:
        return None
    return DowntimeParts(
        at=breakdown.instant,
        total=printed(breakdown, "downtime_ns"),
        final_delta=printed(breakdown, "final_delta_ns"),
        snapshot=printed(breakdown, "snapshot_ns"),
        send=printed(breakdown, "send_ns"),
        complete=printed(breakdown, "complete_ns"),
    )
