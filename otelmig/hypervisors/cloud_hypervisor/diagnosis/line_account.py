"""What became of every line of a log: used, about something else, or not understood."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import MonitorEvent, monitor_events
from otelmig.hypervisors.cloud_hypervisor.beside.progress import ProgressLines, is_progress
from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import CrashReport
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import NO_EVENT, no_meaning, no_record
from otelmig.hypervisors.diagnosis import LineAccount, Sample
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Container

    from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
    from otelmig.inputs import InputLog, Line
    from otelmig.migration.stamp import Stamp

__all__ = ["Reading", "read_every_answer", "read_every_event", "read_every_line"]

_CONTINUED: Final = "further lines of a record"
_OTHER: Final = "records about other things"
_FOREIGN: Final = "lines of other programs"
_EMPTY: Final = "empty lines"
_MOST_OF_REPORT: Final = 3
"""Lines of a report about the death of a process, after its first."""


class Reading(Struct):
    """What looking at every line finds besides the account."""

    account: LineAccount = field(default_factory=LineAccount)
    levels: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    last: Stamp | None = None
    coarsest_ns: int = 0


def read_every_line(log: InputLog, reader: RecordReader) -> Reading:
    """Read ``log`` whole."""
    reading = Reading()
    strangers: Counter[tuple[str, str]] = Counter()
    samples: dict[tuple[str, str], Sample] = {}
    writers: set[str] = set()
    open_records: set[str] = set()
    report: CrashReport | None = None
    left = 0
    for line in log.lines(None):
        if not line.text.strip():
            reading.account.irrelevant[_EMPTY] += 1
            continue
        record = reader.record(line.text)
        if record is not None:
            writers.add(line.writer)
            open_records.add(line.writer)
            _take(reading, line, record.message, record.level, record.stamp)
            report = None
        elif (begun := _crash(line, writers)) is not None:
            report, left = begun, _MOST_OF_REPORT
            reading.account.used += 1
        elif report is not None and left and (report.take(line.text, None) or report.panic is None):
            left -= 1
            reading.account.used += 1
        elif line.writer in open_records and not reader.impossible and not _looks_like_ours(line.text):
            reading.account.irrelevant[_CONTINUED] += 1
        else:
            if reader.impossible:
                writers.add(line.writer)
            stranger = line.writer, no_record(line.text, impossible=reader.impossible)
            strangers[stranger] += 1
            samples.setdefault(stranger, Sample(where=line.where, text=line.text))
    for (writer, reason), number in strangers.items():
        if writer and writer not in writers:
            reading.account.irrelevant[_FOREIGN] += number
            continue
        reading.account.not_understood(reason, samples[writer, reason])
        reading.account.unknown[reason] += number - 1
    return reading


def _crash(line: Line, writers: Container[str]) -> CrashReport | None:
    """Return the report of a death that begins with ``line``; a panic may be any program's."""
    report = CrashReport.beginning(line.text)
    return report if report is not None and (report.panic is None or line.writer in writers) else None


def _looks_like_ours(text: str) -> bool:
    return " -- " in text or text.startswith("cloud-hypervisor:")


def _take(reading: Reading, line: Line, message: str, level: str, stamp: Stamp) -> None:
    reading.levels[level] += 1
    reading.last = stamp
    reading.coarsest_ns = max(reading.coarsest_ns, 2 * stamp.error_ns)
    meaning = meaning_of(message)
    if meaning is None:
        reason = no_meaning(message)
        if reason is None:
            reading.account.irrelevant[_OTHER] += 1
        else:
            reading.account.not_understood(reason, Sample(where=line.where, text=message))
        return
    reading.kinds[meaning.kind] += 1
    if meaning.event is not None:
        reading.events[meaning.event] += 1
    if meaning.kind is Kind.IRRELEVANT:
        reading.account.irrelevant[_OTHER] += 1
    else:
        reading.account.used += 1


def read_every_answer(log: InputLog) -> Reading:
    """Read statistics or a crash report whole."""
    reading = Reading()
    statistics = ProgressLines(stream=log.stream) if is_progress(log.head) else None
    for line in log.whole_lines():
        unparsed = [] if statistics is None else statistics.take(line)
        if not line.text.strip():
            reading.account.irrelevant[_EMPTY] += 1
        elif unparsed:
            for unparsed_line in unparsed:
                reading.account.not_understood(unparsed_line.reason, Sample(where=unparsed_line.where, text=line.text))
        elif line.text.strip() == "null":
            reading.account.irrelevant["answers without a migration"] += 1
        else:
            reading.account.used += 1
    return reading


def read_every_event(log: InputLog) -> Reading:
    """Read an event stream whole; its account counts objects."""
    reading = Reading()
    for item in monitor_events(log.whole_lines()):
        if not isinstance(item, MonitorEvent):
            reading.account.not_understood(NO_EVENT, Sample(where=item, text=""))
            continue
        reading.last = item.stamp
        reading.events[item.name] += 1
        form = EVENTS.get((item.source, item.name))
        if form is None:
            reading.account.irrelevant["events of other kinds"] += 1
        elif form.kind is Kind.IRRELEVANT:
            reading.account.irrelevant["events about other things"] += 1
        else:
            reading.kinds[form.kind] += 1
            reading.account.used += 1
    return reading
