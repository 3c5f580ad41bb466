"""What a log of Cloud Hypervisor is and tells, by the attempts and the lines that were found in it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.beside.crash import is_crash
from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import is_event_stream
from otelmig.hypervisors.cloud_hypervisor.beside.progress import is_progress
from otelmig.hypervisors.cloud_hypervisor.diagnosis.diagnosed_log import DiagnosedLog
from otelmig.hypervisors.cloud_hypervisor.diagnosis.gaps import GAPS, recommendation
from otelmig.hypervisors.cloud_hypervisor.diagnosis.line_account import (
    read_every_answer,
    read_every_event,
    read_every_line,
)
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.log_format import KNOWN_FORMS
from otelmig.hypervisors.cloud_hypervisor.reader import is_beside_logs
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_for
from otelmig.hypervisors.cloud_hypervisor.releases import last_release
from otelmig.hypervisors.diagnosis import Diagnosis
from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog
    from otelmig.migration.side import Side

__all__ = ["diagnose"]


def diagnose(log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
    """Examine one input, given the attempts that were found in it."""
    stream = is_event_stream(log.head)
    reader = None if is_beside_logs(log.head) else reader_for(log.stream.head, options, log.mtime_ns)
    if reader is not None:
        reading = read_every_line(log, reader)
    else:
        reading = read_every_event(log) if stream else read_every_answer(log)
    diagnosed = DiagnosedLog(
        input=log,
        reading=reading,
        sides=sides,
        last_release=last_release(side.vmm.releases_text for side in sides),
        event_stream=reader is None,
        with_stream=not stream and any(side.vmm.event_stream is not None for side in sides),
    )
    versions = sorted({side.vmm.version or side.vmm.releases_text for side in sides})
    boot = reading.last is not None and reading.last.domain is ClockDomain.BOOTTIME
    return Diagnosis(
        name=log.name,
        kind=_kind(log),
        release=", ".join(versions) or "not told",
        line_format=None if reader is None else ", ".join(_format_names(reader.forms_used)),
        framing=log.framing,
        verbosity=None
        if reader is None
        else ("-" + "v" * diagnosed.level if diagnosed.level else "default (warnings)"),
        clock=_clock_name(diagnosed, stream=stream),
        resolution_ns=reading.coarsest_ns or None,
        uptime_ns=reading.last.ns if boot and reading.last is not None else None,
        attempts=Counter(str(side.role) for side in sides),
        events=tuple(sorted(reading.events)),
        account=reading.account,
        tells=tuple(text for holds, text in _TELLS if holds(diagnosed)),
        gaps=tuple(gap for rule in GAPS for gap in rule(diagnosed)),
        recommendation=recommendation(diagnosed.last_release),
    )


def _clock_name(diagnosed: DiagnosedLog, *, stream: bool) -> str:
    if diagnosed.reading.last is None:
        return "none"
    if diagnosed.wall:
        return "wall clock"
    return "time since the event monitor's start" if stream else "time since start"


def _kind(log: InputLog) -> str:
    if is_event_stream(log.head):
        return "event stream"
    if is_progress(log.head):
        return "migration statistics"
    return "crash report" if is_crash(log.head) else "log"


def _format_names(texts: set[str]) -> list[str]:
    names = {KNOWN_FORMS[0].text: "default (v49.0 on)", KNOWN_FORMS[1].text: "default (until v48.0)"}
    return sorted(names.get(text, text) for text in texts)


_TELLS: Final[tuple[tuple[Callable[[DiagnosedLog], bool], str], ...]] = (
    (lambda log: bool(log.sides), "that there was a migration, and how it ended as far as this side knows"),
    (lambda log: log.has(Kind.ITERATION_SENT), "every memory iteration with its size and bandwidth"),
    (
        lambda log: not log.has(Kind.ITERATION_SENT) and log.has(Kind.ITERATION_ANNOUNCED, Kind.DIRTY_ROUND),
        "when every memory iteration ended",
    ),
    (
        lambda log: log.has(Kind.COMPLETED) and not log.old and not log.event_stream,
        "the downtime, by the hypervisor's word",
    ),
    (lambda log: log.has(Kind.DOWNTIME_BREAKDOWN), "what the downtime was spent on, by the hypervisor's word"),
    (lambda log: any(side.sent.pause.stop is not None for side in log.sides), "when the vCPUs stopped"),
    (lambda log: log.has(Kind.VM_RESUMED) and log.is_(Role.DESTINATION), "when the guest ran again"),
    (
        lambda log: log.has(Kind.COMMAND_RECEIVED),
        "when each request arrived: the tightest bounds on the other host's clock",
    ),
    (lambda log: log.has(Kind.STATE_RECEIVED), "how long restoring took, by the hypervisor's word"),
    (lambda log: log.wall, "absolute time"),
)
