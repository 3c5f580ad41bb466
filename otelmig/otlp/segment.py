"""A segment of the spool: records, one a line, only ever appended; :mod:`otelmig.otlp.spool` says what they mean.

A line without an end was being written when its process died. It is not read, and nothing is appended to its file.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from otelmig.errors import SpoolError, SpoolFullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DROPPED", "FAILED", "KEPT", "SENDING", "AppendFile", "Entry", "Record", "read_records", "spool_error"]

KEPT: Final = "T"
SENDING: Final = "S"
FAILED: Final = "F"
DROPPED: Final = "D"
_FIELDS: Final = 7
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True, kw_only=True)
class Entry:
    """What the spool knows of one parcel that is meant for one endpoint and not known to be there."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a segment or of the receipts: ``KIND TIME IDENT DIGEST SPANS ENDPOINT REST``."""

    kind: str
    time_s: int
    ident: str
    digest: str
    spans: int
    endpoint: str
    rest: bytes = b""
    offset: int = 0
    """Where ``rest`` begins in its file."""

    def encoded(self) -> bytes:
        """The line."""
        head = f"{self.kind} {self.time_s} {self.ident} {self.digest} {self.spans} {quote(self.endpoint, safe=':/[]')} "
        return head.encode() + self.rest + b"\n"


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, in order; what is no record is passed over."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(b" ", _FIELDS - 1)
            if line.endswith(b"\n") and len(fields) == _FIELDS:
                kind, time_s, ident, digest, spans, endpoint, rest = fields
                if time_s.isdigit() and spans.isdigit():
                    yield Record(
                        kind=kind.decode("ascii", "replace"),
                        time_s=int(time_s),
                        ident=ident.decode("ascii", "replace"),
                        digest=digest.decode("ascii", "replace"),
                        spans=int(spans),
                        endpoint=unquote(endpoint.decode("ascii", "replace")),
                        rest=rest,
                        offset=offset + len(line) - 1 - len(rest),
                    )
            offset += len(line)


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

    def sync(self) -> None:
        """Have everything that was appended on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise spool_error(self.path.parent, error) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def spool_error(directory: Path, error: OSError) -> SpoolError:
    """One line about what the operating system said."""
    kind = SpoolFullError if error.errno in _FULL else SpoolError
    return kind(f"cannot use the spool {directory}: {os.strerror(error.errno or 0).lower()}")
