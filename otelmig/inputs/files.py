"""Finished files: read in blocks, so that memory does not grow with the file.

A record may span several text lines (a hypervisor that ends records with CRLF prints bare LF inside them),
so records are split on the terminator that the file uses; line numbers count LF, as editors and ``grep -n`` do.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelmig.errors import InputError
from otelmig.observation import Where

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["InputFile", "Line", "open_input"]

_BLOCK = 1 << 20
"""Bytes read at once: large enough that Python's share of a scan is small, small enough to stay in cache."""
_HEAD = 1 << 16
"""Bytes shown to the hypervisors, which say whether the file is theirs."""
_LONGEST_RECORD = 1 << 24
"""A record longer than this is cut; its pieces are read like records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record as text, without its terminator; undecodable bytes are escaped in hex."""

    text: str
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A readable, non-empty regular file.

    ``mtime_ns`` is when it was last written (Unix epoch): a bound on its last line's wall-clock time.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int
    head: bytes

    def lines(self, wanted: re.Pattern[bytes]) -> Iterator[Line]:
        """Yield each record in which ``wanted`` matches, in file order; one pass, bounded memory."""
        end_of_record = b"\r\n" if b"\r\n" in self.head else b"\n"
        number = 1
        for block in self._blocks(end_of_record):
            position = counted = 0
            for match in wanted.finditer(block):
                if match.start() < position:
                    continue  # a second match inside a record already given
                before = block.rfind(end_of_record, position, match.start())
                begin = position if before < 0 else before + len(end_of_record)
                end = block.find(end_of_record, match.start())
                end = len(block) if end < 0 else end
                number += block.count(b"\n", counted, begin)
                counted = begin
                text = block[begin:end].decode("utf-8", "backslashreplace")
                yield Line(text=text, where=Where(file=self.name, line=number))
                position = min(end + len(end_of_record), len(block))
            number += block.count(b"\n", counted)

    def tail(self) -> Iterator[Line]:
        """Yield the last records of the file, the last one first; their line numbers are not known."""
        with self.path.open("rb") as file:
            file.seek(max(self.size - _HEAD, 0))
            data = file.read(_HEAD)
        for raw in reversed(data.split(b"\r\n" if b"\r\n" in self.head else b"\n")):
            yield Line(text=raw.decode("utf-8", "backslashreplace"), where=Where(file=self.name, line=0))

    def text(self) -> str:
        """The whole file as text, for the small files that are no logs."""
        return self.path.read_bytes().decode("utf-8", "backslashreplace")

    def _blocks(self, end_of_record: bytes) -> Iterator[bytes]:
        """Yield the bytes in blocks of whole records; what follows the last terminator comes last."""
        rest = b""
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(_BLOCK):
                data = rest + chunk
                cut = data.rfind(end_of_record)
                if cut < 0 and len(data) < _LONGEST_RECORD:
                    rest = data
                    continue
                cut = len(data) if cut < 0 else cut + len(end_of_record)
                rest = data[cut:]
                yield data[:cut]
        if rest:
            yield rest


def open_input(path: Path) -> InputFile:
    """Open ``path`` for reading; :class:`InputError` says in one line why it cannot serve as an input."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InputError(f"{path}: {what}")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: {os.strerror(error.errno or 0)}") from error
    return InputFile(path=path, name=path.name, size=status.st_size, mtime_ns=status.st_mtime_ns, head=head)
