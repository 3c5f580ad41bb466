"""One log -> the observations of each process that wrote to it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.demultiplexer import LogProcess, LogWriters
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP, meaning_of, wanted
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import no_meaning, no_record
from otelmig.migration.observation import Kind
from otelmig.migration.vmm import UnparsedLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
    from otelmig.inputs import InputLog, Line

__all__ = ["read_log"]

_KNOWN: Final = Kind.IRRELEVANT
"""Looked at for every line: as an attribute of its enumeration it takes four times as long to look up."""


def read_log(log: InputLog, reader: RecordReader) -> Iterator[LogProcess | UnparsedLine]:
    """Yield each process that wrote to ``log`` once it is over, and every line that was not understood."""
    writers: dict[tuple[str, str], LogWriters] = {}
    last: LogWriters | None = None
    for line in log.lines(wanted(reader.literals)):
        record = reader.record(line.text)
        if record is None and SECCOMP in line.text:
            _killed(line, writers, last)
            continue
        meaning = None if record is None else meaning_of(record.message)
        if record is None or meaning is None:
            reason = no_record(reader) if record is None else no_meaning(record.message)
            if reason is not None:
                yield UnparsedLine(where=line.where, reason=reason)
        elif meaning.kind is not _KNOWN:
            key = (line.writer, record.pid)
            last = writers.get(key)
            if last is None:
                last = writers[key] = LogWriters(name=line.writer or record.pid)
            for process in last.take(line, record, meaning, reader):
                process.one_of_several = len(writers) > 1
                yield process
    _end_at_tail(log, reader, writers)
    for writer in writers.values():
        for process in writer.finish():
            process.one_of_several = len(writers) > 1
            yield process


def _killed(line: Line, writers: dict[tuple[str, str], LogWriters], last: LogWriters | None) -> None:
    """The report of a SIGSYS handler is no record: it is the last thing that its process printed."""
    writer = next((writer for (name, _), writer in writers.items() if name == line.writer), last)
    if writer is not None:
        detail = " ".join(islice(line.lookahead(), 1)) if line.lookahead is not None else ""
        writer.killed(line, detail)


def _end_at_tail(log: InputLog, reader: RecordReader, writers: dict[tuple[str, str], LogWriters]) -> None:
    """The time of the last record of the log, whatever it says."""
    for line in log.tail():
        record = reader.record(line.text)
        if record is not None:
            writer = writers.get((line.writer, record.pid))
            if writer is not None and writer.current is not None:
                process = writer.current.process
                process.last_ns = max(process.last_ns, record.stamp.ns)
            return
