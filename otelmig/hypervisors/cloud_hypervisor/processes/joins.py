"""Logs, event streams, statistics and crash reports -> the processes that they tell of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import FIRST_WITH_MIGRATION_EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.processes.merging import merged
from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
from otelmig.hypervisors.cloud_hypervisor.processes.statistics_fit import with_statistics
from otelmig.hypervisors.cloud_hypervisor.processes.stream_choice import joins_of
from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import killed_after
from otelmig.hypervisors.cloud_hypervisor.releases import DRAFT, SYSTEM, Releases, send_blocks, until
from otelmig.migration.stamp import ClockDomain
from otelmig.migration.vmm import Vmm, fingerprint
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.beside.crash import Crash
    from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import EventProcess
    from otelmig.hypervisors.cloud_hypervisor.beside.progress import Progress
    from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import Fit
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import Stamp

__all__ = [
    "BesideLogs",
    "fitting_streams",
    "is_migration",
    "process_of_events",
    "process_of_log",
    "processes_of",
    "silent_streams",
    "without_copies",
]

_WITHOUT_VERSION: Final = until("v51.0")
_MIGRATION_EVENTS: Final = frozenset({Kind.SEND_ANNOUNCED, Kind.ACCEPTED})
"""Events that only a migration fires (v52.0 on); ``paused`` and ``snapshotted`` alone may be anything."""


class BesideLogs(Struct, kw_only=True):
    """What was read besides logs."""

    events: list[EventProcess] = field(default_factory=list)
    statistics: list[Progress] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)


def processes_of(logs: Sequence[LogProcess], beside: BesideLogs) -> Iterator[Process]:
    """Join each event stream, statistics and crash report to the one log that it fits; yield all processes.

    What fits no log alone is a process of its own, if it tells of a migration.
    """
    # what fits one of two copies fits the other, so only one may be asked
    streams = dict(zip(reversed(_contents(beside.events)), reversed(beside.events), strict=True))
    with_events = _joined(logs, list(reversed(streams.values())))
    yield from _with_crashes(with_statistics(with_events, beside.statistics), beside.crashes)


def _with_crashes(processes: Iterable[Process], crashes: Iterable[Crash]) -> Iterator[Process]:
    """Yield the processes, each with the crash report whose file is called like its log, if it was the last in that."""
    by_stem = {crash.stream.stem: crash for crash in crashes}
    all_processes = list(processes)
    last = {process.stem: process.vmm.key for process in all_processes}
    for process in all_processes:
        crash = by_stem.get(process.stem) if process.vmm.key == last[process.stem] else None
        if crash is None or not process.observations:
            yield process
        else:
            killed = killed_after(process.observations[-1], crash.where, crash.report)
            yield process.joined(crash.stream, (*process.observations, killed))


def _contents(processes: Sequence[LogProcess] | Sequence[EventProcess]) -> list[str]:
    """Return of each process what only its copies have, too: looked at where another one tells of as many things."""
    sizes = Counter(len(process.observations) for process in processes)
    return [
        fingerprint(process.observations) if sizes[len(process.observations)] > 1 else process.key
        for process in processes
    ]


def without_copies(logs: Sequence[LogProcess], notes: list[str]) -> list[LogProcess]:
    """Return each process once: the first of those that said the same at the same times."""
    first: dict[str, LogProcess] = {}
    for log, content in zip(logs, _contents(logs), strict=True):
        other = first.setdefault(content, log)
        if other is not log:
            notes.append(f"{log.name}: the same as {other.name}, read once")
    return list(first.values())


def silent_streams(events: Iterable[EventProcess]) -> Iterator[str]:
    """Yield a note for each stream that holds what a migration does and cannot say that it was one."""
    for process in events:
        kinds = {observation.kind for observation in process.observations}
        if kinds.isdisjoint(_MIGRATION_EVENTS) and not kinds.isdisjoint({Kind.SNAPSHOTTED, Kind.RESTORED}):
            yield (
                f"{process.stream.name}: until v51 no event says that it was a migration (a snapshot looks the same); "
                "give the log too"
            )


def fitting_streams(logs: Sequence[LogProcess], streams: Sequence[EventProcess]) -> Iterator[tuple[str, str]]:
    """Yield the key of each event stream that fits one log alone, and that of the log."""
    joins = joins_of(logs, [_corrected(log) for log in logs], streams)
    for i, (j, _) in joins.chosen.items():
        yield streams[j].stream.key, logs[i].stream.key


def _joined(logs: Sequence[LogProcess], streams: Sequence[EventProcess]) -> Iterator[Process]:
    """Join each log with the one event stream that fits it; unmatched streams become processes of their own."""
    observations = [_corrected(log) for log in logs]
    joins = joins_of(logs, observations, streams)
    for i, log in enumerate(logs):
        process = process_of_log(log, observations[i])
        if i in joins.chosen:
            j, shift = joins.chosen[i]
            stream = streams[j]
            process = process.with_events(stream, merged(observations[i], stream.observations, shift))
            process = process.doubting(*_lacking(log, stream, shift))
        yield process
    taken = {j for j, _ in joins.chosen.values()}
    for j, stream in enumerate(streams):
        if j in taken:
            continue
        note = (
            "fits several logs, so it is read by itself"
            if j in joins.possible
            else "fits no log, so it is read by itself"
        )
        if is_migration(stream.observations):
            yield process_of_events(stream, note if logs else "")


def _lacking(log: LogProcess, stream: EventProcess, shift: Fit) -> Iterator[str]:
    """Yield what one of the two tells that the other should tell, too."""
    if shift.lines_lacking:
        events = f"{shift.lines_lacking} events that {stream.stream.name} holds"
        yield f"{log.name} has no lines of {events}: lines are missing"
    if shift.events_lacking:
        events = f"{shift.events_lacking} events that {log.name} tells of"
        yield f"{stream.stream.name} lacks {events}: events are missing"


def is_migration(events: Iterable[Observation]) -> bool:
    """Return whether ``events`` say that they are a migration's."""
    return any(observation.kind in _MIGRATION_EVENTS for observation in events)


def _corrected(log: LogProcess) -> Sequence[Observation]:
    corrected = log.corrected
    return log.observations if corrected is None else [corrected(observation) for observation in log.observations]


def process_of_log(log: LogProcess, observations: Sequence[Observation] | None = None) -> Process:
    """Return the process that wrote ``log``, as it is known by now; ``observations`` are its own, corrected."""
    stamped = log.stamped
    domain = ClockDomain.BOOTTIME if stamped.by_another else log.domain
    # times of receipt that the lines themselves have lack nothing
    no_wall_clock = () if stamped.by_another else log.dates_assumed
    assumed = log.assumed if domain is ClockDomain.REALTIME else no_wall_clock
    notes = []
    if stamped.by_another:
        notes.append(
            f"{log.name}: the wall-clock times of its lines are not the hypervisor's, whose own time on "
            f"{stamped.contradicted} lines contradicts them: they say when a line was received, at most"
        )
    if log.taken_in_turns:
        notes.append(f"{log.name}: several processes write to this log; their lines were told apart by their times")
    notes += [f"{log.name}: its times have {assumption}" for assumption in assumed]
    releases = _releases(log)
    vmm = Vmm(
        key=log.key,
        system=SYSTEM,
        name=log.name,
        inputs=(log.stream.key,),
        domain=domain,
        version=log.version,
        releases_text=", ".join([str(releases), *sorted(log.variants)]),
        send_blocks=None if log.variants else send_blocks(releases),
        last_ns=log.last_ns if stamped.last is None or not stamped.by_another else _elapsed_ns(stamped.last),
        last_written_ns=log.stream.mtime_ns,
        shared_log=None if log.taken_in_turns else f"{log.stream.key}\n{log.writer}",
        latest_zero_ns=stamped.latest_zero_ns if stamped.by_another else log.latest_zero_ns,
        host=log.host,
        assumed=assumed,
        doubts=tuple(_out_of_order(log)),
        notes=tuple(notes),
    )
    return Process(
        vmm=vmm,
        stem=log.stream.stem,
        observations=_corrected(log) if observations is None else observations,
        releases=releases,
        log=log,
    )


def _elapsed_ns(stamp: Stamp) -> int:
    return stamp.ns if stamp.elapsed is None else stamp.elapsed.ns


def _out_of_order(log: LogProcess) -> Iterator[str]:
    late_ns, observation = log.order.most_late
    if observation is not None:
        by = f"by {late_ns / MILLISECOND_NS:.3f} ms ({observation.where})"
        if log.order.moved > 1:
            text = f"{log.order.moved} lines stand out of order, the most late {by}"
            yield f"{text}: they are read where their timestamps place them, unless these are wrong"
        else:
            yield f"a line stands out of order, {by}: it is read where its timestamp places it, unless that is wrong"


def _releases(log: LogProcess) -> Releases:
    """Return the releases that print all of this, also by what is missing: v52.0 on prints its version at its start.

    Without that line, others show v52.0, too; of a build between v51 and v52 nothing is known but what it prints.
    """
    releases = log.releases
    if log.started and log.version is None and DRAFT not in log.variants:
        releases = releases & _WITHOUT_VERSION or releases
    return releases


def process_of_events(events: EventProcess, note: str = "") -> Process:
    """Return the process that an event stream alone tells of."""
    vmm = Vmm(
        key=events.key,
        system=SYSTEM,
        name=events.stream.name,
        inputs=(events.stream.key,),
        domain=ClockDomain.BOOTTIME,
        version=None,
        releases_text=str(FIRST_WITH_MIGRATION_EVENTS),
        send_blocks=send_blocks(FIRST_WITH_MIGRATION_EVENTS),
        last_ns=max((observation.stamp.ns for observation in events.observations), default=0),
        last_written_ns=events.stream.mtime_ns,
        latest_zero_ns=events.latest_zero_ns,
        host=events.host,
        event_stream=events.stream.key,
        notes=(f"{events.stream.name}: {note}",) if note else (),
    )
    return Process(
        vmm=vmm,
        stem=events.stream.stem,
        observations=tuple(events.observations),
        releases=FIRST_WITH_MIGRATION_EVENTS,
        events=events,
    )
