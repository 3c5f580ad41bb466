"""One log file -> the observations of each process that wrote to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.messages import FAMILIES, TABLE, meaning_of
from otelmig.observation import Kind, Observation, Value
from otelmig.process import NotUnderstood
from otelmig.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.hypervisors.cloud_hypervisor.records import RecordReader
    from otelmig.hypervisors.cloud_hypervisor.releases import Releases
    from otelmig.inputs import InputFile

__all__ = ["LogProcess", "read_log"]

_IDENTIFYING: Final = frozenset(
    {
        Kind.SEND_STARTED,
        Kind.SEND_ANNOUNCED,
        Kind.CONNECTING,
        Kind.RECEIVE_STARTED,
        Kind.RECEIVE_READY,
        Kind.ACCEPTED,
    }
)
"""The first records of an attempt: their printed text is its identity."""
_RESTART_NS: Final = 10**9
"""A time since start that falls back by more than this belongs to another process that writes to the same file."""


def _wanted() -> re.Pattern[bytes]:
    """What makes a record worth parsing: ``-- `` and the beginning of a message of the table.

    The shared literal head lets the regular expression engine skip to it with a plain search.
    """
    heads = {row.head for row in TABLE if row.head} | set(FAMILIES)
    heads |= {f"Event: source = {source} event = {name}" for source, name in EVENTS}
    shortest = sorted(head for head in heads if not any(head != other and head.startswith(other) for other in heads))
    alternatives = [re.escape(head) for head in shortest]
    alternatives += [
        r"v\d[\w.+-]{0,63} starting",
        r"\w{1,64} Command Received",
    ]  # the rows that begin with a value
    return re.compile("-- (?:{})".format("|".join(alternatives)).encode())


WANTED: Final = _wanted()


@dataclass(slots=True, kw_only=True)
class LogProcess:
    """What one process wrote to a log, as it is being read."""

    observations: list[Observation] = field(default_factory=list)
    releases: Releases
    version: str | None = None
    last_ns: int = 0

    @property
    def domain(self) -> ClockDomain:
        """The clock that the process's lines are stamped with."""
        return self.observations[0].stamp.domain if self.observations else ClockDomain.BOOTTIME

    @property
    def begun(self) -> bool:
        """Whether anything but the process's own start was seen."""
        return any(seen.kind is not Kind.PROCESS_STARTED for seen in self.observations[:3])


def read_log(file: InputFile, reader: RecordReader) -> Iterator[LogProcess | NotUnderstood]:
    """Yield each process that wrote to ``file`` when its part ends, and every line that was not understood."""
    process = LogProcess(releases=reader.releases)
    tables = _DirtyTables()
    for line in file.lines(WANTED):
        record = reader.record(line)
        if record is None:
            yield NotUnderstood(where=line.where, reason="no known line form")
            continue
        meaning = meaning_of(record.message)
        if meaning is None:
            if record.message.startswith(FAMILIES):
                yield NotUnderstood(where=line.where, reason="no known form of this message")
            continue
        restarted = record.stamp.domain is ClockDomain.BOOTTIME and record.stamp.ns < process.last_ns - _RESTART_NS
        if restarted or (meaning.kind is Kind.PROCESS_STARTED and process.begun):
            process.observations += tables.flush()
            yield process
            process, tables = LogProcess(releases=reader.releases), _DirtyTables()
        process.last_ns = max(process.last_ns, record.stamp.ns)
        process.releases = process.releases & meaning.releases or process.releases
        observation = Observation(
            kind=meaning.kind,
            stamp=record.stamp,
            where=record.where,
            thread=record.thread,
            text=record.text if meaning.kind in _IDENTIFYING else "",
            values=meaning.values,
        )
        if meaning.kind is Kind.PROCESS_STARTED and (version := observation.word("version")):
            process.version = version
        process.observations += tables.add(observation)
    process.observations += tables.flush()
    process.last_ns = max(process.last_ns, _last_stamp_ns(file, reader))
    yield process


def _last_stamp_ns(file: InputFile, reader: RecordReader) -> int:
    """The time of the last record of the file, whatever it says; 0 if the tail has none."""
    for line in file.tail():
        record = reader.record(line)
        if record is not None:
            return record.stamp.ns
    return 0


@dataclass(slots=True)
class _DirtyTables:
    """Gathers the lines of a dirty table (one per run of dirty pages, thousands of them) into one observation.

    The table of each memory slot begins anew; tables that follow each other on one thread are one reading.
    """

    open: dict[str, Observation] = field(default_factory=dict)

    def add(self, seen: Observation) -> list[Observation]:
        """What is complete once ``seen`` is known."""
        table = self.open.get(seen.thread)
        if seen.kind is not Kind.DIRTY_TABLE:
            if table is None:
                return [seen]
            del self.open[seen.thread]
            return [table, seen]
        size, ranges = (seen.number("dirty_bytes"), 1) if seen.word("part") == "range" else (0, 0)
        if table is not None:
            size, ranges = (
                (size or 0) + (table.number("dirty_bytes") or 0),
                ranges + (table.number("ranges") or 0),
            )
        values: dict[str, Value] = {"dirty_bytes": size or 0, "ranges": ranges}
        since = seen.stamp if table is None else table.since
        where = seen.where if table is None else table.where
        self.open[seen.thread] = replace(seen, values=values, since=since, where=where)
        return []

    def flush(self) -> list[Observation]:
        """Whatever is still open."""
        tables = list(self.open.values())
        self.open.clear()
        return tables
