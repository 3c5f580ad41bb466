"""Observations as the instants and printed durations that facts are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import DEVICES_FIRST, until
from otelmig.migration.facts import DeviceInstant, Killed, Printed, Window
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.facts import Instant
    from otelmig.migration.observation import Observation

__all__ = ["at", "device_instants", "killed", "killer", "printed", "ran_by", "run_window"]

_TRUNCATED_NS: Final = MILLISECOND_NS
"""Cloud Hypervisor truncates the durations that it prints in ms: the true one is up to this much longer."""
_VCPUS_FIRST: Final = until("v51.0")
"""Releases whose ``Vm::resume`` starts the vCPUs before the devices."""

_AFTER_RUN: Final = (Kind.VM_RESUMED, Kind.RESUME_TIMED, Kind.FINAL_STATE_TIMED, Kind.RECEIVE_FINISHED)
"""What a destination says once its guest runs."""


def at(seen: Observation | None) -> Instant | None:
    """Return when ``seen`` was observed."""
    return None if seen is None else seen.instant


def printed(seen: Observation | None, name: str) -> Printed | None:
    """Return the duration ``name`` of a line, which prints it in whole milliseconds."""
    ns = None if seen is None else seen.number(name)
    return None if ns is None else Printed(ns, _TRUNCATED_NS)


def device_instants(observations: Iterable[Observation]) -> tuple[DeviceInstant, ...]:
    """Return when each device was paused or resumed."""
    return tuple(DeviceInstant(seen.instant, seen.word("device") or "") for seen in observations)


def killed(attempt: AttemptLines) -> Killed | None:
    """Return what killed the process, where something says so."""
    seen = attempt.first(Kind.PROCESS_KILLED)
    return None if seen is None else Killed(at=seen.instant, by=killer(seen))


def killer(seen: Observation) -> str:
    """Return what killed a process, as a phrase that follows "killed by"."""
    detail = seen.word("detail")
    return f"a panic: {detail}" if seen.word("by") == "panic" else f"its {seen.word('by')} filter ({detail})"


def run_window(attempt: AttemptLines) -> Window | None:
    """Return where the vCPUs ran again, after the resume that belongs to the migration.

    Until v51 ``Vm::resume`` starts the vCPUs first, right after ``resuming``; from v52.0 on it starts them last, right
    before ``resumed``. A process that may be of either kind (the beginning of its log is missing) did one or the other.
    """
    resuming, resumed = attempt.first(Kind.VM_RESUMING), attempt.first(Kind.VM_RESUMED)
    if resuming is None or resumed is None:
        return None
    devices = [
        seen for seen in attempt.all(Kind.DEVICE_RESUMING) if resuming.stamp.ns <= seen.stamp.ns <= resumed.stamp.ns
    ]
    first, last = resuming, resumed
    if not attempt.releases.meet(DEVICES_FIRST):
        last = min((*devices[:1], resumed), key=lambda seen: seen.stamp.hi_ns)
    if not attempt.releases.meet(_VCPUS_FIRST):
        first = max((*devices[-1:], resuming), key=lambda seen: seen.stamp.lo_ns)
    return Window(first=first.instant, last=last.instant)


def ran_by(attempt: AttemptLines) -> Observation | None:
    """Return the first line that was surely written after the vCPUs ran; None for a guest that was left paused."""
    if attempt.first(Kind.PAUSED_STATE_RECEIVED) is not None:
        return None
    signs = [seen for kind in _AFTER_RUN if (seen := attempt.first(kind)) is not None]
    if not attempt.releases.meet(DEVICES_FIRST):
        signs += attempt.all(Kind.DEVICE_RESUMING)[:1]
    return min(signs, key=lambda seen: seen.stamp.hi_ns, default=None)
