"""Records -> observations: values of one line, of a run of lines, of a record that goes on over several lines."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.dirty_table import dirty_bytes
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of
from otelmig.hypervisors.cloud_hypervisor.reading.stamps import boottime_stamp
from otelmig.migration.observation import Observation, Value
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.hypervisors.cloud_hypervisor.events import Vocabulary
    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record, RecordReader
    from otelmig.inputs import Line

__all__ = ["MOST_LINES", "RecordTexts", "exact", "observation_of"]

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
MOST_LINES: Final = 64
"""At most this many lines follow the first line of a record."""
_CAUSE: Final = re.compile(r"\s{1,8}\d{1,3}: ")
"""How the causes of an error are listed, one a line."""
_EXACT_NS: Final = MICROSECOND_NS
"""A stamp of v36.0-v48.0 stands for no more than this."""


def observation_of(
    line: Line, record: Record, meaning: Meaning, vocabulary: Vocabulary, reader: RecordReader
) -> Observation:
    """Return what a line (or a run of lines that were taken together) says."""
    kind, values, stamp, since = meaning.kind, meaning.values, record.stamp, None
    if meaning.event is not None:
        form = EVENTS.get(("vm", meaning.event))
        kind = kind if form is None else vocabulary.kind(meaning.event, form)
    if meaning.multiline and line.lookahead is not None:
        values = _whole(line, record, meaning, reader)
    if line.run:
        end = reader.record(line.last)
        since, stamp = stamp, stamp if end is None else end.stamp
        values = {"dirty_bytes": dirty_bytes(line.run), "ranges": len(line.run)}
    text = record.text if kind in _IDENTIFYING else ""
    return Observation(kind, stamp, line.where, record.thread, text, values, since)


def _whole(line: Line, record: Record, meaning: Meaning, reader: RecordReader) -> Mapping[str, Value]:
    """Return the values of a message that goes on over several lines: up to where the next record begins."""
    texts = RecordTexts(record=record, meaning=meaning)
    for text in islice(line.lookahead() if line.lookahead is not None else (), MOST_LINES):
        if not texts.take(text, reader.record(text)):
            break
    return texts.values()


class RecordTexts(Struct, kw_only=True):
    """A record of several lines: the causes of an error, which follow it."""

    record: Record
    meaning: Meaning
    causes: list[str] = field(default_factory=list)

    def take(self, text: str, following: Record | None) -> bool:
        """Add the next line, in which ``following`` was found, if it is one of this record's; return whether it is."""
        if following is None:
            self.causes.append(text)
            return True
        if _CAUSE.match(following.message) and following.thread == self.record.thread:
            self.causes.append(following.message)
            return True
        return False

    def values(self) -> Mapping[str, Value]:
        """Return what all of it says."""
        whole = meaning_of("\n".join((self.record.message, *self.causes)).rstrip())
        return dict(whole.values if whole is not None and whole.kind is self.meaning.kind else self.meaning.values)


def exact(observation: Observation) -> Observation:
    """Return ``observation`` with its stamp as v36.0-v48.0 print it.

    At 100 s and more only the rest of the log tells that form from the one that came after it.
    """
    stamp = observation.stamp
    if stamp.domain is not ClockDomain.BOOTTIME or not stamp.text.endswith("s") or stamp.error_ns <= _EXACT_NS:
        return observation
    exact = boottime_stamp(stamp.text.removesuffix("s"), "s")
    return observation if exact is None else replace(observation, stamp=exact)
