"""The guest is stopped: the pause, the snapshot, and the downtime by the hypervisor's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.facts.instant import at, device_instants, printed
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.facts import Downtime, DowntimeParts, Pause, Snapshot, Stretch, Window

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.facts import Instant

__all__ = ["before_downtime", "downtime", "downtime_parts", "pause", "snapshot"]


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
        stretch=stretch,
        paused=at(paused),
        devices=device_instants(attempt.all(Kind.DEVICE_PAUSING)),
        stop=_stop(attempt),
    )


def _stop(attempt: AttemptLines) -> Window | None:
    """Return where the vCPUs stopped: after ``pausing``, before the first device is paused, or the guest said to be."""
    pausing = attempt.first(Kind.VM_PAUSING)
    if pausing is None:
        return None
    later = [seen for kind in (Kind.DEVICE_PAUSING, Kind.VM_PAUSED) if (seen := attempt.first(kind)) is not None]
    stopped = [seen for seen in later if seen.stamp.ns >= pausing.stamp.ns]
    if not stopped:
        return None
    return Window(first=pausing.instant, last=min(stopped, key=lambda seen: seen.stamp.hi_ns).instant)


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
