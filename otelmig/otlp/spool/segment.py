"""A segment of the spool: records, one a line, appended; :mod:`otelmig.otlp.spool.spool` says what they mean.

A line without an end was being written when its process died. It is not read, and nothing is appended to its file.
A line that changed on the disk fits its checksum no longer. If it kept a trace, that is lost, and its line is struck
out once that was counted; so is a receipt that holds no longer. Nothing else is ever written over.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

from otelmig.errors import SpoolError, SpoolFullError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "DROPPED",
    "FAILED",
    "KEPT",
    "LOST",
    "SENDING",
    "AppendFile",
    "Entry",
    "Record",
    "read_records",
    "spool_error",
    "strike_out",
]

KEPT: Final = "T"
SENDING: Final = "S"
FAILED: Final = "F"
DROPPED: Final = "D"
LOST: Final = "?"
"""Never written: a line that kept a trace, and whose head is damaged."""
_STRUCK: Final = b"X "
_FIELDS: Final = 8
_LINE: Final = b'"resourceSpans"'
"""What only a line that keeps a trace has in it."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True, kw_only=True)
class Entry:
    """What the spool knows of one payload that is meant for one endpoint and not known to be there."""

    ident: str
    digest: str
    spans: int
    endpoint: str
    time_s: int
    """When it came into the spool, since the Unix epoch."""
    uncertain: bool = False
    """It was sent, and whether it was taken is not known."""
    reason: str = ""
    """Why the last send failed; empty if there was none."""
    path: Path | None = None
    """The segment that has its line; None if the line is in an archive of the user's."""
    offset: int = 0
    size: int = 0


class Record(NamedTuple):
    """One line of a segment or of the receipts: ``KIND TIME IDENT DIGEST SPANS ENDPOINT CHECK REST``."""

    kind: str
    time_s: int
    ident: str
    digest: str
    spans: int
    endpoint: str
    rest: bytes = b""
    offset: int = 0
    """Where ``rest`` begins in its file."""
    line_offset: int = 0
    """Where its line begins."""

    def encoded(self) -> bytes:
        """The line."""
        head = f"{self.kind} {self.time_s} {self.ident} {self.digest} {self.spans} {_quoted(self.endpoint)}".encode()
        return b"%b %b %b\n" % (head, _check(head, self.rest), self.rest)


@lru_cache(maxsize=16)
def _quoted(endpoint: str) -> str:
    return quote(endpoint, safe=":/[]")


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, in order; what is no record, and no trace is lost with, is passed over."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            record = _record(line, offset) if line.endswith(b"\n") else None
            if record is not None:
                yield record
            offset += len(line)


def _record(line: bytes, offset: int) -> Record | None:
    fields = line[:-1].split(b" ", _FIELDS - 1)
    if len(fields) == _FIELDS and fields[-2] == _check(b" ".join(fields[:-2]), fields[-1]):
        kind, time_s, ident, digest, spans, endpoint = (each.decode() for each in fields[:-2])
        return Record(
            kind=kind,
            time_s=int(time_s),
            ident=ident,
            digest=digest,
            spans=int(spans),
            endpoint=unquote(endpoint),
            rest=fields[-1],
            offset=offset + len(line) - 1 - len(fields[-1]),
            line_offset=offset,
        )
    if line.startswith(_STRUCK) or _LINE not in line:
        return None
    return Record(kind=LOST, time_s=0, ident="", digest="", spans=0, endpoint="", line_offset=offset)


def _check(head: bytes, rest: bytes) -> bytes:
    """The checksum of a record; a line of OTLP/JSON has its digest."""
    return b"%08x" % crc32(head if head.startswith(KEPT.encode()) else head + rest)


def strike_out(path: Path, offsets: Iterable[int]) -> None:
    """Mark the lines that begin there, so that they are not read again; on the disk when this returns.

    Raises:
        SpoolError: they cannot be marked.
    """
    try:
        with path.open("r+b") as file:
            for offset in offsets:
                file.seek(offset)
                file.write(_STRUCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise spool_error(path.parent, error) from error


class AppendFile:
    """A file that grows by whole writes: one that fails leaves nothing of itself behind."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, which is made if it is not there; an unfinished last line is ended.

        Raises:
            SpoolError: it cannot be opened.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self.size = os.fstat(self._descriptor).st_size
            if not self.size:
                _sync_directory(path.parent)  # the file is new: its name is to be on the disk before what it holds
            if self.size and os.pread(self._descriptor, 1, self.size - 1) != b"\n":
                self.append(b"\n", durable=False)
        except OSError as error:
            raise spool_error(path.parent, error) from error

    def append(self, data: bytes, *, durable: bool) -> None:
        """Write all of ``data``; if ``durable``, it is on the disk when this returns.

        Raises:
            SpoolError: it could not be written; the file is as long as it was.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            if durable:
                os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise spool_error(self.path.parent, error) from error
        self.size += len(data)

    @property
    def is_there(self) -> bool:
        """Whether its path still leads to it: its directory may have been removed, or moved away."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def sync(self) -> None:
        """Have everything that was appended on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise spool_error(self.path.parent, error) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            SpoolError: what was written may not be on the disk.
        """
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise spool_error(self.path.parent, error) from error


def _sync_directory(path: Path) -> None:
    """As far as the file system can: some refuse it, and most do it with the file."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def spool_error(directory: Path, error: OSError) -> SpoolError:
    """One line about what the operating system said."""
    kind = SpoolFullError if error.errno in _FULL else SpoolError
    return kind(f"cannot use the spool {directory}: {os.strerror(error.errno or 0).lower()}")
