"""Where connecting, Start and Config are found in the lines of an attempt, whichever of its lines are missing.

A line that is printed several times (connects, TLS handshakes, the CPUID line of Start and of the snapshot) is the
first of its kind only where something else says so: the one before it may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.releases import since
from otelmig.migration.constraint import Endpoint
from otelmig.migration.side import Mode, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.observation import Observation

__all__ = [
    "AFTER_CONFIG",
    "acknowledged_config",
    "acknowledged_start",
    "endpoint_of",
    "first_tls",
    "has_one_connection",
    "main_connect",
    "snapshot_cpuid",
    "start_read",
]

_MANY_CONNECTIONS: Final = since("v52.0")
"""Releases that may connect more than once (the Cyberus fork does, too)."""
_AFTER_START: Final = (Kind.PROTOCOL_AGREED, Kind.CPUID_GENERATED, Kind.START_ACKNOWLEDGED)
_COPYING: Final = (Kind.ITERATION_SENT, Kind.ITERATION_ANNOUNCED, Kind.DIRTY_ROUND)
_STOPPING: Final = (
    Kind.CONVERGENCE_DECIDED,
    Kind.PRECOPY_CONVERGED,
    Kind.VM_PAUSING,
    Kind.DEVICE_PAUSING,
    Kind.VM_PAUSED,
    Kind.FINAL_DELTA_SENT,
    Kind.SNAPSHOTTING,
)
AFTER_CONFIG: Final = (*_COPYING, Kind.DIRTY_TABLE, *_STOPPING)
"""Lines that are printed once Config was acknowledged; all but a dirty table also before the snapshot's CPUID line."""
_AFTER_ACCEPT: Final = (
    Kind.ACCEPTED,
    Kind.PROTOCOL_AGREED,
    Kind.CPUID_GENERATED,
    Kind.CPU_COMPATIBLE,
    Kind.MEMORY_MAPPED,
)


def _earliest(lines: Iterable[Observation | None]) -> Observation | None:
    return min(
        (observation for observation in lines if observation is not None),
        key=lambda observation: observation.stamp.ns,
        default=None,
    )


def _latest(lines: Iterable[Observation | None]) -> Observation | None:
    return max(
        (observation for observation in lines if observation is not None),
        key=lambda observation: observation.stamp.ns,
        default=None,
    )


def endpoint_of(observation: Observation | None) -> Endpoint | None:
    """Return the instant of a line as an end of a constraint; None where there is no line."""
    return None if observation is None else Endpoint.of(observation)


def _first_cpuid(source: AttemptLines) -> Observation | None:
    """Return the CPUID line of Start: one of two, or one that lies before what lies before the snapshot.

    An attempt that failed and shows nothing between the two has only come as far as the first.
    """
    lines = source.all(Kind.CPUID_GENERATED)
    if not lines:
        return None
    later = _latest(source.last(kind) for kind in (*_COPYING, *_STOPPING, Kind.CONNECTING))
    if len(lines) > 1 or source.precedes(lines[0], later):
        return lines[0]
    begun = source.first(*AFTER_CONFIG, Kind.SNAPSHOTTED)
    return lines[0] if begun is None and source.result is not Result.SUCCESS else None


def snapshot_cpuid(source: AttemptLines) -> Observation | None:
    """Return the CPUID line that is printed inside the snapshot: the second one, or one after the pause."""
    lines = source.all(Kind.CPUID_GENERATED)
    if len(lines) > 1:
        return lines[1]
    begun = source.first(Kind.SNAPSHOTTING, Kind.FINAL_DELTA_SENT, Kind.VM_PAUSED, Kind.DEVICE_PAUSING)
    return lines[0] if lines and source.precedes(begun, lines[0]) else None


def start_read(source: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's last line before the request after Start; if those in between are missing, the connect's."""
    observation = _first_cpuid(source) or source.first(Kind.PROTOCOL_AGREED)
    return main_connect(source, destination) if observation is None else (Endpoint.of(observation),)


def acknowledged_start(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's first line after Start was acknowledged."""
    observation = _earliest(source.first(kind) for kind in _AFTER_START)
    if observation is None:  # no CPUID is generated on other architectures, and events carry none
        observation = _earliest(source.first(kind) for kind in AFTER_CONFIG)
    return (endpoint_of(observation),)


def acknowledged_config(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the source's first line after Config was acknowledged: a further connect, an iteration, or the pause."""
    connects = source.all(Kind.CONNECTING)
    further = connects[1] if source.mode is Mode.PRECOPY and source.connections > 1 and len(connects) > 1 else None
    return (endpoint_of(_earliest((further, *(source.first(kind) for kind in AFTER_CONFIG)))),)


def has_one_connection(source: AttemptLines) -> bool:
    """Return whether the source is known to have connected once: memory and page faults need no connection more."""
    if source.mode is Mode.POSTCOPY:
        return False
    requested = source.first(Kind.SEND_REQUESTED)
    number = None if requested is None else requested.number("connections")
    if number is not None:
        return number == 1
    return not source.releases.meet(_MANY_CONNECTIONS) and len(source.all(Kind.CONNECTING)) <= 1


def main_connect(source: AttemptLines, _: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the last line before the first connect: its own, where it is known to be the first, else the start's."""
    connect = source.first(Kind.CONNECTING)
    if connect is not None:
        handshake = (_first_cpuid(source), source.first(Kind.PROTOCOL_AGREED))
        if has_one_connection(source) or any(source.precedes(connect, observation) for observation in handshake):
            return (Endpoint.of(connect),)
    announced = None if source.may_be_after_head else source.first(Kind.SEND_ANNOUNCED)
    return (endpoint_of(announced or source.first(Kind.SEND_STARTED)),)


def first_tls(_: AttemptLines, destination: AttemptLines) -> Sequence[Endpoint | None]:
    """Return the TLS handshake of the main connection: what follows it is only there once."""
    tls = destination.first(Kind.TLS_ESTABLISHED)
    later = (*(destination.first(kind) for kind in _AFTER_ACCEPT), *map(destination.command, _FIRST_COMMANDS))
    return (endpoint_of(tls) if any(destination.precedes(tls, observation) for observation in later) else None,)


_FIRST_COMMANDS: Final = (Command.START, Command.CONFIG)
