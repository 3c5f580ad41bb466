"""Holes in files: NULs that nobody wrote, where a host crashed, or a rotation made a file empty under its writer."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["HOLE", "Holes", "behind_hole", "end_of_hole", "hole_at", "hole_note", "hole_of"]

HOLE: Final = bytes(64)
"""Fewer NULs than these are part of a line: a guest's console may print some."""
_TEXT_HOLE: Final = HOLE.decode()
_HOLES: Final = re.compile(rb"\0{64,}+")
_BLOCK: Final = 1 << 19
_MOST_NAMED: Final = 16


def hole_of(stream: BinaryIO) -> int:
    """Return how many NULs a file begins with; those that take no space on the disk are not read."""
    at = 0
    with suppress(OSError, AttributeError):  # it is no file, or its system knows no holes
        at = os.lseek(stream.fileno(), 0, os.SEEK_DATA)
    stream.seek(at)
    return _behind_nuls(at, lambda _: stream.read(_BLOCK))


def hole_at(descriptor: int, begin: int) -> int:
    """Return how many NULs stand in a file from ``begin`` on; those that take no space on the disk are not read."""
    at = begin
    with suppress(OSError):
        at = os.lseek(descriptor, begin, os.SEEK_DATA)
    return _behind_nuls(at, lambda place: os.pread(descriptor, _BLOCK, place)) - begin


def _behind_nuls(at: int, read: Callable[[int], bytes]) -> int:
    """Return where something else than NULs stands, or the file ends, from ``at`` on; ``read`` is told where it is."""
    while block := read(at):
        rest = block.lstrip(b"\0")
        at += len(block) - len(rest)
        if rest:
            break
    return at


def end_of_hole(block: bytearray, until: int) -> int:
    """Return where the last hole ends in the first ``until`` bytes of a block; 0 if there is none."""
    at = block.rfind(HOLE, 0, until)
    return 0 if at < 0 else at + len(HOLE)


class Holes:
    """The holes inside a file; filled while it is read."""

    def __init__(self) -> None:
        self._by_line: dict[int, int] = {}
        """The bytes of the first ones, by the numbers of their lines."""
        self._are_more = False

    def scan(self) -> Callable[[bytearray, int, int], bool]:
        """Return what looks at one block after the other, from the beginning: it says whether there are holes in it.

        It is given the block, up to where it is looked at, and the number of the line that it begins in.
        """
        sizes: dict[int, int] = {}

        def look(block: bytearray, until: int, number: int) -> bool:
            if block.find(0, 0, until) < 0:  # one byte is found in a tenth of the time that several take
                return False
            counted = 0
            for match in _HOLES.finditer(block, 0, until):
                begin, end = match.span()
                number += block.count(b"\n", counted, begin)
                counted = begin
                if number not in sizes and len(sizes) >= _MOST_NAMED:
                    self._are_more = True
                    break
                sizes[number] = self._by_line[number] = sizes.get(number, 0) + end - begin
            return True

        return look

    def notes(self, name: str) -> list[str]:
        """Return what a person is told of them."""
        more = [f"{name}: more of its bytes are NUL further on"] if self._are_more else []
        return [hole_note(name, number, size) for number, size in sorted(self._by_line.items())] + more


def behind_hole(text: str) -> str:
    r"""Return the text of a line from behind its last hole on: what stands before that has lost its end.

    >>> behind_hole("Sending mig" + "\0" * 64 + "Migration complete")
    'Migration complete'
    """
    at = text.rfind(_TEXT_HOLE)
    return text if at < 0 else text[at + len(_TEXT_HOLE) :]


def hole_note(name: str, number: int, size: int) -> str:
    """Return what a person is told of a hole in the line ``number``, or before it.

    >>> hole_note("source.log", 46, 4096)
    'source.log:46: 4096 bytes are NUL: whatever was written there is not in the file'
    """
    return f"{name}:{number}: {size} bytes are NUL: whatever was written there is not in the file"
