"""Why a line was not understood, in the words that every command uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import is_family

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
    from otelmig.inputs.line import Where

__all__ = ["NO_EVENT", "NO_STATISTICS", "UnparsedLine", "no_meaning", "no_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnparsedLine:
    """A line that looks like a migration's and was not understood, and why."""

    where: Where
    reason: str


NO_STATISTICS: Final = "no migration statistics in this JSON"
NO_EVENT: Final = "no event in this JSON"
_IMPOSSIBLE_TIME: Final = "an impossible time"
_NO_LINE_FORM: Final = "no known line form"
_NO_MESSAGE_FORM: Final = "no known form of this message"


def no_record(reader: RecordReader) -> str:
    """Return why the line that ``reader`` found no record in is none."""
    return _IMPOSSIBLE_TIME if reader.impossible else _NO_LINE_FORM


def no_meaning(message: str) -> str | None:
    """Return why a message that no row explains should have one; None if it is about something else."""
    return _NO_MESSAGE_FORM if is_family(message) else None
