"""One record of a log that somebody sent: a line of a file, and where it stood in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from otelmig.inputs.line import Host

__all__ = ["JOURNAL", "FileKey", "LogRecord"]

JOURNAL: Final = "journald:"
"""What stands before the name of a unit whose lines are in the journal, where that of a file would stand."""


class FileKey(NamedTuple):
    """What a file that grows elsewhere is known by: the machine and the name that it has there.

    Two files that had the same name one after the other have the same key.
    """

    host: str
    """The machine's id, or else its name; empty where the sender names no machine."""
    path: str
    """The file's path on that machine, or what else tells it from others (``journald:UNIT``). It is never opened."""


class LogRecord(NamedTuple):
    """One line of a file, as a sender of OTLP logs gives it."""

    text: str
    """The line without its end; bytes that are no text are escaped in hex or replaced."""
    file: FileKey
    host: Host | None = None
    offset: int | None = None
    """Where the line begins in its file, in bytes (of a journal: the sequence number); None if the sender is silent."""
    number: int | None = None
    """Which record of the file it is, counted from 1; records that the sender left out count."""
    size: int = 0
    """Bytes of the line as it was sent, without its end."""
    received_ns: int | None = None
    """When it was read from the file, or entered the journal (Unix epoch): at or after it was written."""
    is_sequel: bool = False
    """Whether its sender gave it in one batch with the record before it of this file.

    What lies between the two was left out by the sender and does not come later.
    """
    writer: str = ""
    """Who wrote it, where the record says so apart from the line (a process id, a container)."""
    epoch: str = ""
    """Tells files of one key from each other where offsets start again and the sender says so (a boot, a journal)."""
