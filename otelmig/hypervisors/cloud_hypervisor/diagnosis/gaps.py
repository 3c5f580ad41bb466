"""What a log of Cloud Hypervisor does not tell, and which of its flags would tell it, at which cost.

Verbosity: no ``-v`` gives warnings, ``-v`` INFO, ``-vv`` DEBUG, ``-vvv`` TRACE, in every release. Until v51 the dirty
tables are INFO, from v52.0 DEBUG; the ``Command`` lines of the destination are INFO until v49, TRACE until v52 and
DEBUG from v53.0. ``--event-monitor`` is in every release, ``--log-format`` from v52.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import is_event_stream
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.log_format import DEFAULT_FORMAT
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES
from otelmig.hypervisors.diagnosis import Gap
from otelmig.migration.side import Result, Role
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.hypervisors.cloud_hypervisor.diagnosis.diagnosed_log import DiagnosedLog

__all__ = ["GAPS", "recommendation"]

_FLEET_FORMAT: Final = f"{{wallclock}} {DEFAULT_FORMAT}"
"""What we recommend: the default line with a wall clock before it; every reader of the default line still works."""
_V49: Final = RELEASES.index("v49.0")
_V50: Final = RELEASES.index("v50.0")
_V52: Final = RELEASES.index("v52.0")
_MONITOR: Final = "--event-monitor path=FILE"
_FLEET: Final = (
    f"for a fleet, on both sides: -v {_MONITOR} --log-format '{_FLEET_FORMAT}'; "
    "-vv only for the one VM under study: it writes dirty tables inside the downtime"
)
_FLEET_OLD: Final = (
    f"for a fleet, on both sides: {_MONITOR}, and -v only where its cost is known: until v51 it writes dirty tables "
    "inside the downtime; v52.0 prints the downtime itself"
)


def recommendation(last_release: int) -> str:
    """Return what to run a fleet with whose last release (an index into ``RELEASES``) is this."""
    return _FLEET if last_release >= _V52 else _FLEET_OLD


def _nothing(log: DiagnosedLog) -> Iterator[Gap]:
    if log.event_stream or log.level:
        return
    yield Gap(
        missing="anything of a migration but its failure: only warnings are logged",
        remedy="-v",
        cost="some 50 lines per migration; until v51 the dirty tables too, written while the guest stands still",
    )


def _breakdown(log: DiagnosedLog) -> Iterator[Gap]:
    if not log.is_(Role.SOURCE) or log.event_stream:
        return
    if log.old:
        yield Gap(
            missing="the downtime and its parts by the hypervisor's word: until v51 it prints neither; they are "
            "inferred from timestamps",
            remedy="Cloud Hypervisor v52.0 or later",
        )
    elif log.level == 1 and log.has(Kind.COMPLETED, Kind.FINAL_DELTA_SENT):
        yield Gap(
            missing="size and bandwidth of each memory iteration, and the printed parts of the downtime",
            remedy="-vv",
            cost="it writes the dirty tables inside the downtime (57 of 533 ms in one recording): "
            "for the one VM under study, not for a fleet",
        )


def _logging(log: DiagnosedLog) -> Iterator[Gap]:
    """Yield what logging itself cost, measured on this log."""
    spent = max((side.sent.logging_ns for side in log.sides if side.role is Role.SOURCE), default=0)
    if spent < MILLISECOND_NS or log.event_stream:
        return
    remedy = f"-v with {_MONITOR}" if not log.old else f"no -v, with {_MONITOR}"
    yield Gap(
        missing="a downtime without the cost of logging: writing dirty tables took "
        f"{spent // MILLISECOND_NS} ms of it here",
        remedy=remedy,
        cost="only failures in the log" if log.old else "no figures of memory iterations, no printed parts",
    )


def _resolution(log: DiagnosedLog) -> Iterator[Gap]:
    width = log.reading.coarsest_ns
    if log.event_stream or log.with_stream or width <= MILLISECOND_NS:
        return
    yield Gap(
        missing=f"anything shorter than {width / MILLISECOND_NS:.3g} ms: at this uptime no default timestamp is finer",
        remedy=_MONITOR,
        cost="a file of some 2 kB per migration; its timestamps are exact to the nanosecond",
    )
    if log.last_release >= _V52:
        yield Gap(missing="the same", remedy=f"--log-format '{_FLEET_FORMAT}'", cost="28 bytes a line")


def _wall_clock(log: DiagnosedLog) -> Iterator[Gap]:
    if log.wall or log.event_stream or not log.level or log.dated:
        return
    if log.last_release >= _V52:
        yield Gap(
            missing="absolute time: it comes from when the file was last written",
            remedy=f"--log-format '{_FLEET_FORMAT}'",
            cost="28 bytes a line",
        )
    else:
        yield Gap(
            missing="absolute time: it comes from when the file was last written",
            remedy="log to stderr under systemd (journalctl -o json), or say when the process started (`anchors`)",
            cost="nothing",
        )


def _dates(log: DiagnosedLog) -> Iterator[Gap]:
    assumed = () if log.wall else sorted({assumption for side in log.sides for assumption in side.vmm.assumed})
    if assumed:
        yield Gap(
            missing=f"absolute time to better than a second: the dates of the transport have {'; '.join(assumed)}",
            remedy="journalctl -o short-iso-precise (or -o json), of the journal that is there",
            cost="nothing",
        )


def _events(log: DiagnosedLog) -> Iterator[Gap]:
    if log.event_stream or log.with_stream or not log.sides or log.has(Kind.VM_PAUSING, Kind.VM_RESUMED):
        return
    if log.last_release <= _V49:
        what = "stopped" if log.is_(Role.SOURCE) else "ran again"
        yield Gap(
            missing=f"when the vCPUs {what}: until v49 the log carries no events, so there is no blackout",
            remedy=_MONITOR,
            cost="a file of some 2 kB per migration",
        )


def _commands(log: DiagnosedLog) -> Iterator[Gap]:
    if not log.is_(Role.DESTINATION) or log.event_stream or log.has(Kind.COMMAND_RECEIVED):
        return
    flag = "-vvv" if _V50 <= log.last_release <= _V52 else "-vv"
    yield Gap(
        missing="when each request arrived: the bounds on the clocks are wider",
        remedy=flag if log.last_release > _V49 else "-v",
        cost="nothing that the guest notices: on the destination few of these lines are written in the downtime",
    )


def _beginning(log: DiagnosedLog) -> Iterator[Gap]:
    if log.event_stream or not log.sides:
        return
    sources = [side for side in log.sides if side.role is Role.SOURCE]
    if log.level and not all(side.paused_before or side.sent.ran_before for side in sources):
        yield Gap(
            missing="whether the guest ran before its migration: the log does not reach back to its boot, or to its "
            "last pause or resume",
            remedy="give its older rotations too",
        )
    if any(side.vm is None for side in log.sides) and log.level:
        yield Gap(
            missing="which VM it is: the log does not reach back to where its configuration was printed",
            remedy="give its older rotations too",
        )
    elif any(side.vm is not None and side.vm.id is None for side in log.sides):
        yield Gap(
            missing="vm.id: the VM has no UUID, so two VMs of one shape migrated at once are hard to tell apart",
            remedy="--platform uuid=UUID",
            cost="nothing; the guest sees it",
        )


def _stream_alone(log: DiagnosedLog) -> Iterator[Gap]:
    if not is_event_stream(log.input.head):
        return
    if not log.sides:
        yield Gap(
            missing="whether these events were a migration: until v51 no event says so, and a snapshot looks the same",
            remedy="give the log too, at -v",
        )
    elif all(side.vmm.inputs[0] == log.input.key for side in log.sides):
        yield Gap(
            missing="the other host, sizes, the downtime by the hypervisor's word, and errors: no event carries them",
            remedy="give the log too, at -v",
        )


def _endings(log: DiagnosedLog) -> Iterator[Gap]:
    if any(side.result is Result.UNKNOWN for side in log.sides):
        yield Gap(
            missing="how a migration ended: the log stops before it says so",
            remedy="give the rest of the log, or the other side's",
        )


GAPS: Final = (
    _nothing,
    _endings,
    _breakdown,
    _logging,
    _resolution,
    _events,
    _commands,
    _wall_clock,
    _dates,
    _beginning,
    _stream_alone,
)
