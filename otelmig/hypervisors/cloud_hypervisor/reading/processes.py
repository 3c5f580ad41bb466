"""All logs and event streams of Cloud Hypervisor -> the processes that wrote them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import MonitorEvent, is_event_stream, monitor_events
from otelmig.hypervisors.cloud_hypervisor.reading.crash import Crash, crashed, is_crash, read_crash
from otelmig.hypervisors.cloud_hypervisor.reading.log import read_log
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted
from otelmig.hypervisors.cloud_hypervisor.reading.progress import Progress, is_progress, joined, read_progress
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import NO_EVENT
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_for
from otelmig.hypervisors.cloud_hypervisor.reading.streams import event_observations, fit, merged
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES, SYSTEM, Releases, since, until
from otelmig.migration.observation import Kind
from otelmig.migration.stamp import ClockDomain
from otelmig.migration.vmm import Note, UnparsedLine, Vmm, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.reading.demultiplexer import LogProcess
    from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
    from otelmig.hypervisors.cloud_hypervisor.reading.streams import Fit
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog
    from otelmig.migration.observation import Observation

__all__ = ["is_beside_logs", "is_one_sided", "read_processes"]

_FIRST_WITH_MIGRATION_EVENTS: Final = since("v52.0")
_WITHOUT_VERSION: Final = until("v51.0")
_LAST_WITH_VCPUS_FIRST: Final = RELEASES.index("v51.0")
"""Until v51 ``Vm::resume`` starts the vCPUs before the devices, from v52.0 after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    log: InputLog
    name: str
    content: LogProcess
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    log: InputLog
    events: tuple[Observation, ...]


def read_processes(inputs: Sequence[InputLog], options: LogOptions) -> Iterator[Vmm | UnparsedLine | Note]:
    """Read every input; join each event stream to the one log that it fits; yield the processes.

    Without event streams each process is given once it is over, so that memory does not grow with their number.
    """
    found: list[_Stream | Progress | Crash] = []
    for log in inputs:
        for item in _beside_logs(log):
            if isinstance(item, UnparsedLine):
                yield item
            else:
                found.append(item)
    logs: list[_Log] = []
    told: dict[int, _Log] = {}
    for log in inputs:
        reader = None if is_beside_logs(log) else reader_for(log, options)
        for named in _named(log, read_log(log, reader), reader) if reader is not None else ():
            if isinstance(named, UnparsedLine):
                yield named
            elif found:
                first = told.setdefault(fingerprint(named.content.observations), named)
                if first is named:
                    logs.append(named)
                else:
                    yield Note(text=f"{named.name}: the same as {first.name}, read once")
            else:
                yield _process(named, None)
    # what fits one of two copies fits the other, so only one may be asked
    streams = {fingerprint(each.events): each for each in reversed(found) if isinstance(each, _Stream)}
    with_events = _joined(logs, list(reversed(streams.values())))
    with_statistics = joined(
        with_events,
        [each for each in found if isinstance(each, Progress)],
    )
    yield from crashed(with_statistics, [each for each in found if isinstance(each, Crash)])
    yield from _silent(found, logs)


def is_beside_logs(log: InputLog) -> bool:
    """Whether an input is no log: an event stream, statistics, a crash report."""
    return is_event_stream(log.head) or is_progress(log.head) or is_crash(log.head)


def _beside_logs(log: InputLog) -> Iterable[_Stream | Progress | Crash | UnparsedLine]:
    """What an input holds that is no log."""
    if is_event_stream(log.head):
        return _read_stream(log)
    if is_progress(log.head):
        return read_progress(log)
    return read_crash(log) if is_crash(log.head) else ()


def _silent(found: Iterable[_Stream | Progress | Crash], logs: Sequence[_Log]) -> Iterator[Note]:
    """Streams that hold what a migration does and cannot say that it was one."""
    for each in found:
        if not isinstance(each, _Stream) or logs:
            continue
        kinds = {seen.kind for seen in each.events}
        if kinds.isdisjoint(_MIGRATION_EVENTS) and not kinds.isdisjoint({Kind.SNAPSHOTTED, Kind.RESTORED}):
            yield Note(
                text=f"{each.log.name}: until v51 no event says that it was a migration (a snapshot looks the same); "
                "give the log too"
            )


def _named(
    log: InputLog, items: Iterable[LogProcess | UnparsedLine], reader: RecordReader
) -> Iterator[_Log | UnparsedLine]:
    """Each process under the log's name, told apart by its writer and its number where there are several."""
    counts: Counter[str] = Counter()
    for item in items:
        if isinstance(item, UnparsedLine):
            yield item
        elif item.observations:
            counts[item.writer] += 1
            number = counts[item.writer]
            name = log.name if not item.one_of_several else f"{log.name}[{item.writer}]"
            yield _Log(
                log=log,
                name=name if number == 1 else f"{name}#{number}",
                content=item,
                assumed=tuple(sorted(reader.assumed)),
            )


def is_one_sided(inputs: Sequence[InputLog], options: LogOptions) -> bool:
    """Whether no line speaks of receiving, or none of sending: two quick scans, each up to the first such line."""
    roles = 0
    for kinds in (_OF_SOURCE, _OF_DESTINATION):
        for log in inputs:
            reader = None if is_beside_logs(log) else reader_for(log, options)
            if reader is None:
                return False
            if any(True for _ in log.lines(wanted(reader.literals, kinds))):
                roles += 1
                break
    return roles < len((_OF_SOURCE, _OF_DESTINATION))


_OF_SOURCE: Final = frozenset(
    {
        Kind.SEND_REQUESTED,
        Kind.SEND_STARTED,
        Kind.SEND_ANNOUNCED,
        Kind.ITERATION_SENT,
        Kind.DIRTY_ROUND,
        Kind.FINAL_DELTA_SENT,
        Kind.COMPLETED,
        Kind.SEND_FAILED,
    }
)
_OF_DESTINATION: Final = frozenset(
    {
        Kind.RECEIVE_REQUESTED,
        Kind.RECEIVE_STARTED,
        Kind.RECEIVE_READY,
        Kind.ACCEPTED,
        Kind.COMMAND_RECEIVED,
        Kind.STATE_RECEIVED,
        Kind.RECEIVE_ABORTED,
    }
)


def _read_stream(log: InputLog) -> list[_Stream | UnparsedLine]:
    """One stream per process: a file that was appended to holds several."""
    found: list[_Stream | UnparsedLine] = []
    events: list[MonitorEvent] = []
    for item in monitor_events(log.text(), log.name):
        if not isinstance(item, MonitorEvent):
            found.append(UnparsedLine(where=item, reason=NO_EVENT))
            continue
        if (item.source, item.name) == ("vmm", "starting") and events:
            found.append(_Stream(log=log, events=tuple(event_observations(events))))
            events = []
        events.append(item)
    found.append(_Stream(log=log, events=tuple(event_observations(events))))
    return found


def _joined(logs: Sequence[_Log], streams: Sequence[_Stream]) -> Iterator[Vmm]:
    """Each log with the stream that fits it alone; streams that fit none stand for themselves."""
    fits: list[tuple[int, int, Fit]] = []
    for i, log in enumerate(logs):
        for j, stream in enumerate(streams):
            found = fit(log.content.observations, stream.events)
            if found is not None:
                fits.append((i, j, found))
    chosen = {i: (j, found) for i, j, found in fits if _stands_out(i, j, found, fits)}
    for i, log in enumerate(logs):
        j_and_fit = chosen.get(i)
        yield _process(log, None if j_and_fit is None else (streams[j_and_fit[0]], j_and_fit[1]))
    taken = {j for j, _ in chosen.values()}
    possible = {j for _, j, _ in fits}
    for j, stream in enumerate(streams):
        if j in taken:
            continue
        note = "fits several logs, so it is read by itself" if j in possible else "fits no log, so it is read by itself"
        if any(seen.kind in _MIGRATION_EVENTS for seen in stream.events):
            yield _stream_process(stream, note if logs else "")


_MIGRATION_EVENTS: Final = frozenset({Kind.SEND_ANNOUNCED, Kind.ACCEPTED})
"""Events that only a migration fires (v52.0 on); ``paused`` and ``snapshotted`` alone may be anything."""


def _stands_out(i: int, j: int, own: Fit, fits: Iterable[tuple[int, int, Fit]]) -> bool:
    """Whether no other log or stream fits as well: another must rest on fewer events, or be twice as loose."""
    return all(
        own.pairs > other.pairs or (own.pairs == other.pairs and 2 * own.spread_ns < other.spread_ns)
        for k, m, other in fits
        if (k, m) != (i, j) and (k == i or m == j)
    )


def _process(log: _Log, stream: tuple[_Stream, Fit] | None) -> Vmm:
    content = log.content
    observations = tuple(content.observations)
    if stream is not None:
        observations = merged(content.observations, stream[0].events, stream[1])
    releases = _releases(content)
    notes = []
    if content.taken_in_turns:
        notes.append(f"{log.name}: several processes write to this log; their lines were told apart by their times")
    notes += [f"{log.name}: its times have {each}" for each in log.assumed if content.domain is ClockDomain.REALTIME]
    return Vmm(
        system=SYSTEM,
        name=log.name,
        inputs=(log.log.key,) if stream is None else (log.log.key, stream[0].log.key),
        observations=observations,
        domain=content.domain,
        version=content.version,
        releases_text=", ".join([str(releases), *sorted(content.variants)]),
        vcpus_resume_first=releases.last <= _LAST_WITH_VCPUS_FIRST,
        last_ns=content.last_ns,
        last_written_ns=log.log.mtime_ns,
        shared_log=None if content.taken_in_turns else f"{log.log.key}\n{content.writer}",
        latest_zero_ns=content.latest_zero_ns,
        host=content.host,
        event_stream=None if stream is None else stream[0].log.key,
        assumed=log.assumed if content.domain is ClockDomain.REALTIME else (),
        notes=tuple(notes),
    )


def _releases(content: LogProcess) -> Releases:
    """The releases that print all of this, also by what is missing: v52.0 on prints its version at its start."""
    releases = content.releases
    started = any(seen.kind is Kind.PROCESS_STARTED for seen in content.observations)
    if started and content.version is None:
        releases = releases & _WITHOUT_VERSION or releases
    return releases


def _stream_process(stream: _Stream, note: str) -> Vmm:
    return Vmm(
        system=SYSTEM,
        name=stream.log.name,
        inputs=(stream.log.key,),
        observations=stream.events,
        domain=ClockDomain.BOOTTIME,
        version=None,
        releases_text=str(_FIRST_WITH_MIGRATION_EVENTS),
        vcpus_resume_first=False,
        last_ns=max((seen.stamp.ns for seen in stream.events), default=0),
        last_written_ns=stream.log.mtime_ns,
        event_stream=stream.log.key,
        notes=(f"{stream.log.name}: {note}",) if note else (),
    )
