"""Why a line was not understood, in the words that every command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import is_family

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader

__all__ = ["NO_EVENT", "no_meaning", "no_record"]

NO_EVENT: Final = "no event in this JSON"
_IMPOSSIBLE_TIME: Final = "an impossible time"
_NO_LINE_FORM: Final = "no known line form"
_NO_MESSAGE_FORM: Final = "no known form of this message"


def no_record(reader: RecordReader) -> str:
    """Why the line that ``reader`` found no record in is none."""
    return _IMPOSSIBLE_TIME if reader.impossible else _NO_LINE_FORM


def no_meaning(message: str) -> str | None:
    """Why a message that no row explains should have one; None if it is about something else."""
    return _NO_MESSAGE_FORM if is_family(message) else None
