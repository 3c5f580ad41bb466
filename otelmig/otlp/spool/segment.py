"""Files of records that only grow: one of them, and the numbered segments of a spool."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolFullError
from otelmig.otlp.spool.format import STRUCK, Record, parsed_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["AppendFile", "Segments", "open_plain", "read_records", "spool_error", "strike_out", "sync_directory"]

_NAME: Final = re.compile(r"segment-\d{8,}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers that mean that there is no space."""


def open_plain(path: Path, flags: int) -> BinaryIO:
    """Open a file of a spool, to read it or (``O_WRONLY``) to write it; a link is not followed.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "r+b" if flags & os.O_RDWR else "rb")


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file in order, and one of kind ``LOST`` for each damaged line that kept a trace.

    Raises:
        OSError: the file cannot be read.
    """
    offset = 0
    with open_plain(path, os.O_RDONLY) as file:
        for line in file:
            record = parsed_record(line, offset) if line.endswith(b"\n") else None
            if record is not None:
                yield record
            offset += len(line)


def strike_out(path: Path, offsets: Iterable[int]) -> None:
    """Mark the lines that begin at ``offsets``, so that no version reads them; durable on return.

    Raises:
        SpoolError: the file cannot be written.
    """
    try:
        with open_plain(path, os.O_RDWR) as file:
            for offset in offsets:
                file.seek(offset)
                file.write(STRUCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise spool_error(path.parent, error) from error


class AppendFile:
    """A file that grows by whole writes: one that fails leaves nothing of itself behind."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, creating it if necessary, and end an unfinished last line.

        Raises:
            SpoolError: it cannot be opened.
        """
        self.path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
            self.size = os.fstat(self._descriptor).st_size
            if not self.size:
                sync_directory(path.parent)  # the file is new: its name must be durable before its content
            if self.size and os.pread(self._descriptor, 1, self.size - 1) != b"\n":
                self.append(b"\n", durable=False)
        except OSError as error:
            raise spool_error(path.parent, error) from error

    @property
    def exists(self) -> bool:
        """Whether the path still leads to this file: its directory may have been removed or replaced."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def append(self, data: bytes, *, durable: bool) -> None:
        """Write all of ``data``; with ``durable``, fsync it.

        Raises:
            SpoolError: it could not be written; the file is as long as before.
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
        """Fsync everything that was appended.

        Raises:
            SpoolError: it may not be durable.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise spool_error(self.path.parent, error) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            SpoolError: what was written may not be durable.
        """
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise spool_error(self.path.parent, error) from error


class Segments:
    """The segments of a spool, the oldest first; records are appended to a new one, which is open until closed."""

    def __init__(self, directory: Path) -> None:
        """Find the segments in ``directory``; none is opened.

        Raises:
            OSError: the directory cannot be read.
        """
        self._directory = directory
        self.paths = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
        self._sizes = {path: path.stat().st_size for path in self.paths}
        self._current: AppendFile | None = None

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(self._sizes.values())

    @property
    def current_size(self) -> int:
        """Bytes of the open segment; 0 if none is open."""
        return 0 if self._current is None else self._current.size

    @property
    def exist(self) -> bool:
        """Whether every segment is still where it was found or written."""
        try:
            closed = all(path.exists() for path in self.paths)
        except OSError:
            return False
        return closed and (self._current is None or self._current.exists)

    def records(self) -> Iterator[tuple[Record, Path]]:
        """Yield the records of all segments in order, each with the path of its segment.

        Raises:
            OSError: a segment cannot be read.
        """
        for path in self.paths:
            for record in read_records(path):
                yield record, path

    def append(self, records: Sequence[Record], *, durable: bool) -> list[tuple[Record, Path]]:
        """Write ``records``; with ``durable``, fsync them. Return each with its offset, and the path of its segment.

        Raises:
            SpoolError: they could not be written; the segment is as long as before.
        """
        segment = self._open()
        lines = [record.encoded() for record in records]
        end = segment.size
        segment.append(b"".join(lines), durable=durable)
        self._sizes[segment.path] = segment.size
        written = []
        for record, line in zip(records, lines, strict=True):
            end += len(line)
            written.append((record._replace(offset=end - 1 - len(record.rest)), segment.path))
        return written

    def sync(self) -> None:
        """Fsync the open segment, if any.

        Raises:
            SpoolError: what was appended may not be durable.
        """
        if self._current is not None:
            self._current.sync()

    def close(self) -> None:
        """Close the open segment, if any.

        Raises:
            SpoolError: what was written may not be durable.
        """
        if self._current is not None:
            segment, self._current = self._current, None
            segment.close()

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove closed segments, the oldest first: an earlier one's entries need what a later one says of them.

        Raises:
            SpoolError: one could not be removed; those after it are still there.
        """
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise spool_error(self._directory, error) from error
            del self._sizes[path]
            self.paths.remove(path)

    def _open(self) -> AppendFile:
        """Return the open segment; a new one if none is open."""
        if self._current is None:
            number = int(self.paths[-1].name.rpartition("-")[2]) + 1 if self.paths else 1
            self._current = AppendFile(self._directory / f"segment-{number:08d}")
            self.paths.append(self._current.path)
            self._sizes[self._current.path] = 0
        return self._current


def sync_directory(path: Path) -> None:
    """Fsync a directory as far as its file system can: some refuse it, and most do it along with the file."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def spool_error(directory: Path, error: OSError) -> SpoolError:
    """Return the error for what the operating system said about the spool in ``directory``."""
    kind = SpoolFullError if error.errno in _FULL else SpoolError
    why = "a link in it is not followed" if error.errno == errno.ELOOP else os.strerror(error.errno or 0).lower()
    return kind(f"cannot use the spool {directory}: {why}")
