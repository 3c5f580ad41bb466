"""Finished files, plain or compressed, and standard input: read in blocks, so that memory does not grow with them.

Blocks rather than a memory map: the resident pages of a map count as the process's memory, and a file that is
truncated while it is mapped kills the process. Line numbers count LF, as editors and ``grep -n`` do.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import stringzilla
from msgspec import field
from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.inputs.block_scan import BlockScan, FollowingLines, backwards, every_line, text_behind, text_of
from otelmig.inputs.line import NO_STREAM, Line, Where
from otelmig.inputs.unpacking.compression import DecompressionError, compression_of, decompressed
from otelmig.inputs.unpacking.holes import Holes, end_of_hole, hole_of
from otelmig.inputs.unpacking.read_once import open_stream, temporary_copy
from otelmig.inputs.unpacking.section import Section
from otelmig.printable import shown_name
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from io import RawIOBase
    from typing import BinaryIO

    from otelmig.inputs.line import Stream
    from otelmig.inputs.line_filter import LineFilter
    from otelmig.inputs.line_places import LinePlaces
    from otelmig.inputs.unpacking.read_once import TemporaryFile

__all__ = ["LATEST_NS", "STDIN", "InputFile", "open_input", "with_head"]

LATEST_NS: Final = 7_258_118_400 * SECOND_NS
"""The beginning of the year 2200: OTLP has no times after 2554, and no log was written so late."""
STDIN: Final = Path("-")
"""How standard input is named on the command line."""
_BLOCK: Final = 1 << 19
"""Bytes read at once: large enough that Python's share of a scan is small, small enough to stay in cache."""
_HEAD: Final = 1 << 16
"""Bytes shown to the hypervisors, which say whether the file is theirs."""
_AHEAD: Final = 1 << 14
"""A line is given out only once so many bytes after it are there too: what a record of several lines goes on with."""
_LONGEST_LINE: Final = 1 << 22
"""A longer line is cut; its pieces are read like lines."""


class InputFile(Struct, frozen=True, kw_only=True):
    """A readable, non-empty file; ``head`` is its beginning, decompressed.

    ``mtime_ns`` is when it was last written (Unix epoch): a bound on its last line's wall-clock time.
    """

    path: Path
    """Where its bytes are."""
    place: Path
    """Where it was found: what tells it from every other input; never leaves the machine."""
    name: str
    size: int
    begin: int = 0
    """The place of its first byte in ``path``."""
    is_member: bool = False
    """Whether only ``size`` bytes from ``begin`` on are its own: it lies in an archive, or behind a hole."""
    has_hole: bool = False
    """Whether it began with NULs: a rotation made it empty while its writer went on where it was."""
    mtime_ns: int
    head: bytes = b""
    compression: str | None = None
    keeps_alive: object = None
    damage: list[str] = field(default_factory=list)
    """Filled while reading: what kept the end of the file from being read."""
    holes: Holes = field(default_factory=Holes)
    """Those inside it, as far as it was read."""
    is_misdated: bool = False
    """Whether its file system tells an impossible time of its last write; then another one stands for it."""
    folder: Path | None = None
    """The directory that was named, if the file was found in it: nobody said that this file is a log."""
    places: LinePlaces | None = None
    """Where its lines stood in another file, if it was rebuilt from records of that."""
    names_files: bool = True
    """Whether records that name the file in which they stood are read from here, too, if it consists of records."""
    progress: Callable[[int], None] | None = None
    """Told, for each block that is read, how many bytes of the file that was, as it lies on the disk."""

    def lines(
        self,
        wanted: LineFilter | None,
        *,
        begun: bytes = b"",
        rest: list[bytes] | None = None,
        stream: Stream = NO_STREAM,
    ) -> Iterator[Line]:
        """Return each line of ``stream`` that is ``wanted`` (every line, if None), in order; one pass, bounded memory.

        ``begun`` is the beginning of the first line, where another file ended in its middle; into ``rest`` goes the
        last line, if it has no end: it goes on in the next file.
        """
        lines = self._lines(wanted, begun, rest, stream)
        return lines if self.places is None else self.places.placed(lines)

    def _lines(
        self, wanted: LineFilter | None, begun: bytes, rest: list[bytes] | None, stream: Stream
    ) -> Iterator[Line]:
        number, spans = 1, every_line if wanted is None else BlockScan(wanted).spans
        following, has_holes = FollowingLines(), self.holes.scan()
        for block, until, length in self._blocks(begun, rest):
            following.block, following.length = block, length
            shown = text_behind if has_holes(block, until, number) else text_of
            counted = 0
            for begin, end, after, run, last in spans(block, until):
                number += stringzilla.count(block, b"\n", counted, begin)
                counted = begin
                where = Where(self.name, number)
                if run:
                    end_of_run = text_of(block, last, after - 1)
                    yield Line(text_of(block, begin, end), where, run=run, last=end_of_run, stream=stream)
                else:
                    following.position = after
                    yield Line(shown(block, begin, end), where, "", None, None, following, (), "", stream)
            number += stringzilla.count(block, b"\n", counted, until)

    def opened(self) -> BinaryIO:
        """Open the file, or the part of one that it is, without a buffer."""
        file = self.path.open("rb", buffering=0)
        return cast("BinaryIO", Section(file, self.begin, self.size) if self.is_member else file)

    def tail(self) -> Iterator[Line]:
        """Yield the last lines of an uncompressed file, the last one first; their line numbers are not known."""
        data = self.head
        if len(data) >= _HEAD:  # else it is the whole file
            try:
                with self.opened() as file:
                    file.seek(max(self.size - _HEAD, 0))
                    data = file.read(_HEAD)
            except OSError as error:
                self._end_early(error)
                return
        where = Where(file=self.name, line=0)
        for text in backwards(data):
            yield Line(text=text, where=where)

    def chunks(self) -> Generator[bytes]:
        """Yield the bytes of the file, decompressed; where they are damaged the file ends, and ``damage`` says so."""
        try:
            with self.opened() as file:
                read = file.read if self.compression is None else decompressed(file, self.compression)
                before = 0
                while chunk := read(_BLOCK):
                    if self.progress is not None:
                        self.progress(file.tell() - before)
                        before = file.tell()
                    yield chunk
        except DecompressionError as error:
            if not self.damage:
                self.damage.append(f"{self.name}: the compressed data ends early or is damaged ({error})")
        except OSError as error:
            self._end_early(error)

    def _end_early(self, error: OSError) -> None:
        """Say, once, that the rest of the file cannot be read: it went away, or its disk fails."""
        if not self.damage:
            self.damage.append(f"{self.name}: cannot be read to its end: {os.strerror(error.errno or 0)}")

    def _blocks(self, begun: bytes, rest: list[bytes] | None) -> Iterator[tuple[bytearray, int, int]]:
        """Yield a buffer, up to where it holds whole lines that are followed by enough of what comes next, and its end.

        It is one buffer, filled again and again: fresh memory for every block would cost more than reading it.
        """
        buffer = bytearray(begun + bytes(min(2 * _BLOCK, self.size + 1)))
        have = len(begun)
        with ExitStack() as stack:
            put = self._filler(buffer, stack)
            while got := put(have):
                have += got
                until = buffer.rfind(b"\n", 0, max(have - _AHEAD, 0)) + 1
                if until == 0:
                    if have < _LONGEST_LINE:
                        continue
                    until = end_of_hole(buffer, have) or _LONGEST_LINE  # behind a hole a line begins
                yield buffer, until, have
                have -= until
                buffer[:have] = buffer[until : until + have]
        if rest is not None and have:
            end = buffer.rfind(b"\n", 0, have) + 1
            rest.append(bytes(buffer[end:have]))
            have = end
        if have:
            yield buffer, have, have

    def _filler(self, buffer: bytearray, stack: ExitStack) -> Callable[[int], int]:
        """Return a function that puts the next bytes into ``buffer`` from a place on; it says how many they were."""
        if self.compression is not None:
            chunks = stack.enter_context(closing(self.chunks()))

            def unpack(at: int) -> int:
                chunk = next(chunks, b"")
                buffer[at : at + len(chunk)] = chunk
                return len(chunk)

            return unpack
        try:
            file = cast("RawIOBase", stack.enter_context(self.opened()))
        except OSError as error:
            self._end_early(error)
            return lambda _: 0

        left = self.size + 1  # the last byte is for what shows that the file ends there, or goes on

        def read(at: int) -> int:
            nonlocal left
            if len(buffer) - at < min(_BLOCK, left):
                buffer.extend(bytes(_BLOCK))  # a long line, or the file grows
            try:
                with memoryview(buffer) as view:
                    count = file.readinto(view[at : at + _BLOCK])
            except OSError as error:
                self._end_early(error)
                return 0
            left = max(left - count, 1)
            if self.progress is not None:
                self.progress(count)
            return count

        return read


def open_input(
    path: Path, progress: Callable[[int], None] | None = None, on_wait: Callable[[str], None] | None = None
) -> InputFile:
    """Open ``path`` for reading (``-``: standard input); ``progress`` is told how many bytes each block has.

    ``on_wait`` is called with one line for a person where nothing comes out of a pipe.

    Raises:
        InputError: in one line, why it cannot serve as an input.
    """
    try:
        if path == STDIN:
            return _copied(path, "stdin", temporary_copy(sys.stdin.buffer, "stdin", progress, on_wait))
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{shown_name(path)}: a directory")
        if not stat.S_ISREG(status.st_mode):
            name = shown_name(path.name)
            with open_stream(path) as stream:
                return _copied(path, name, temporary_copy(stream, name, progress, on_wait))
        with path.open("rb", buffering=0) as beginning:
            head = beginning.read(_HEAD)
        file = InputFile(
            path=path,
            place=path,
            name=shown_name(path.name),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            head=head,
            progress=progress,
        )
        if not 0 <= file.mtime_ns < LATEST_NS:
            file = replace(file, mtime_ns=min(max(status.st_ctime_ns, 0), LATEST_NS), is_misdated=True)
        return with_head(file, progress) if head.startswith(b"\0") or compression_of(head) is not None else file
    except OSError as error:
        raise InputError(f"{shown_name(path)}: {os.strerror(error.errno or 0)}") from error


def _copied(place: Path, name: str, copy: TemporaryFile) -> InputFile:
    """Return an input for a temporary file, which is gone when the input is."""
    return with_head(
        InputFile(path=copy.path, place=place, name=name, size=copy.size, mtime_ns=time.time_ns(), keeps_alive=copy)
    )


def with_head(file: InputFile, progress: Callable[[int], None] | None = None) -> InputFile:
    """Return ``file`` with its beginning read; ``progress`` is told of everything else that is read of it."""
    with file.opened() as stream:
        magic = stream.read(_HEAD)
        if magic.startswith(b"\0"):
            hole = hole_of(stream)
            file = replace(file, begin=file.begin + hole, size=file.size - hole, is_member=True, has_hole=True)
            stream.seek(hole)
            magic = stream.read(_HEAD)
    compression = compression_of(magic)
    if compression is None:
        return replace(file, head=magic, progress=progress)
    packed = replace(file, compression=compression)
    head = b""
    for chunk in packed.chunks():
        head += chunk
        if len(head) >= _HEAD:
            break
    return replace(packed, head=head[:_HEAD], progress=progress)
