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


def at(observation: Observation | None) -> Instant | None:
    """Return when ``observation`` was observed."""
    return None if observation is None else observation.instant


def printed(observation: Observation | None, name: str) -> Printed | None:
    """Return the duration ``name`` of a line, which prints it in whole milliseconds."""
    ns = None if observation is None else observation.number(name)
    return None if ns is None else Printed(ns, _TRUNCATED_NS)


def device_instants(observations: Iterable[Observation]) -> tuple[DeviceInstant, ...]:
    """Return when each device was paused or resumed."""
    return tuple(DeviceInstant(observation.instant, observation.word("device") or "") for observation in observations)


def killed(attempt: AttemptLines) -> Killed | None:
    """Return what killed the process, where something says so."""
    observation = attempt.first(Kind.PROCESS_KILLED)
    return None if observation is None else Killed(at=observation.instant, by=killer(observation))


def killer(observation: Observation) -> str:
    """Return what killed a process, as a phrase that follows "killed by"."""
    detail = observation.word("detail")
    return (
        f"a panic: {detail}" if observation.word("by") == "panic" else f"its {observation.word('by')} filter ({detail})"
    )


def run_window(attempt: AttemptLines) -> Window | None:
    """Return where the vCPUs ran again, after the resume that belongs to the migration.

    Until v51 ``Vm::resume`` starts the vCPUs first, right after ``resuming``; from v52.0 on it starts them last, right
    before ``resumed``. A process that may be of either kind (the beginning of its log is missing) did one or the other.
    """
    resuming, resumed = attempt.first(Kind.VM_RESUMING), attempt.first(Kind.VM_RESUMED)
    if resuming is None or resumed is None:
        return None
    devices = [
        observation
        for observation in attempt.all(Kind.DEVICE_RESUMING)
        if resuming.stamp.ns <= observation.stamp.ns <= resumed.stamp.ns
    ]
    first, last = resuming, resumed
    if not attempt.releases.meet(DEVICES_FIRST):
        last = min((*devices[:1], resumed), key=lambda observation: observation.stamp.hi_ns)
    if not attempt.releases.meet(_VCPUS_FIRST):
        first = max((*devices[-1:], resuming), key=lambda observation: observation.stamp.lo_ns)
    return Window(first=first.instant, last=last.instant)


def ran_by(attempt: AttemptLines) -> Observation | None:
    """Return the first line that was surely written after the vCPUs ran; None for a guest that was left paused."""
    if attempt.first(Kind.PAUSED_STATE_RECEIVED) is not None:
        return None
    signs = [observation for kind in _AFTER_RUN if (observation := attempt.first(kind)) is not None]
    if not attempt.releases.meet(DEVICES_FIRST):
        signs += attempt.all(Kind.DEVICE_RESUMING)[:1]
    return min(signs, key=lambda observation: observation.stamp.hi_ns, default=None)
