"""What came in of files and units that are followed: lines, and the news that nobody writes a log any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs.record import FileKey, LogRecord

__all__ = ["FileGone", "Tailed"]


class FileGone(NamedTuple):
    """A file, or a unit, that nobody writes any more: its process is over."""

    key: FileKey
    name: str
    """For a person."""


class Tailed(Struct):
    """What came in."""

    records: list[LogRecord] = field(default_factory=list)
    """Those of one file one after the other, in order."""
    gone: list[FileGone] = field(default_factory=list)
    """Files whose last line is among the records, or came earlier."""
