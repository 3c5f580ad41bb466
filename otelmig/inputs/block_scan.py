"""Where the wanted lines of a file are, block by block, and their text: nothing is done for the other lines."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from otelmig.inputs.unpacking.holes import HOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.inputs.line_filter import LineFilter

__all__ = ["BlockScan", "FollowingLines", "Span", "backwards", "every_line", "text_behind", "text_of"]

_COLUMNS: Final = 512
"""At most this many columns are looked at for what makes a run of lines: each needs a pattern of its own."""
_ALONE: Final = ()
_CR: Final = 0x0D
_AFTER_HOLE: Final = re.compile(rb"\0*+")
_GIVEN: Final = 1 << 16
"""Bytes of a line that are looked at; no record that says something of a migration is longer."""


Span: TypeAlias = "tuple[int, int, int, Sequence[bytes], int]"
"""Where a wanted line stands in its block: where it begins, where it ends (without its line feed), and where the next
line begins; then what was captured of each line, if several lines are taken together, and where the last one begins.

(A plain tuple, because there may be millions of them and a named one takes ten times as long to make.)
"""


class BlockScan:
    """A search for the wanted lines of one file."""

    def __init__(self, wanted: LineFilter) -> None:
        """Prepare a search; nothing is read yet."""
        self._wanted = wanted
        self._near = True

    def spans(self, block: bytearray, until: int) -> Iterator[Span]:
        """Yield the wanted lines of the next block, which ends at ``until``, in order."""
        search, markers = self._wanted.pattern.search, self._wanted.markers
        near, self._near = self._near, False
        # three cursors: what is before ``position`` is done; the pattern matches next at ``start``, and the next marker
        # stands at ``mark``: at ``until`` if there is none in this block, before ``position`` if it is to be looked for
        # (up to where a run begins, because there is none in its lines, which may be most of the block)
        position, mark = 0, -1
        match = search(block, position, until)
        while True:
            start, has_run = until, False
            if match is not None:
                start, has_run = match.start(), match.lastgroup is not None
                near = self._near = True
            if near and mark < position:
                mark = _first(block, markers, position, start if has_run else until)
            marked = position <= mark < start
            if marked:
                at = stop = mark
            elif match is not None:
                at, stop = match.span()
            else:
                return
            begin = block.rfind(b"\n", position, at) + 1 or position
            end = block.find(b"\n", stop, until)
            end = until if end < 0 else end
            if not marked and match is not None and has_run:
                span = self._run(block, (begin, end, end + 1, _ALONE, begin), match, until)
                position = span[2]
                yield span
            else:
                position = end + 1
                yield begin, end, position, _ALONE, begin
            if start < position:
                match = search(block, position, until)

    def _run(self, block: bytearray, line: Span, match: re.Match[bytes], until: int) -> Span:
        """Return ``line`` together with the lines of its kind that follow it."""
        begin, end, following, _, _ = line
        kind, run_pattern = match.lastgroup, self._wanted.run_pattern
        if kind is None or run_pattern is None:
            return line
        column = match.start(kind) - begin
        if column >= _COLUMNS or not block.startswith(match[kind], following + column, until):
            return line
        pattern = run_pattern(column)
        captures: list[bytes] = pattern.findall(block, begin, until)
        after = until
        if not captures[-1]:  # the run ends in this block, before what the last match took
            captures.pop()
            for hit in islice(pattern.finditer(block, begin, until), len(captures)):
                after = hit.end()
        if len(captures) <= 1:
            return line
        return begin, end, after, captures, block.rfind(b"\n", begin, after - 1) + 1


def _first(block: bytearray, markers: Iterable[bytes], begin: int, end: int) -> int:
    """Return where the first of ``markers`` stands in a part of ``block``; ``end`` if none does."""
    for marker in markers:
        at = block.find(marker, begin, end)
        if at >= 0:
            end = at
    return end


def every_line(block: bytearray, until: int) -> Iterator[Span]:
    """Yield all lines of a block."""
    begin = 0
    while begin < until:
        end = block.find(b"\n", begin, until)
        end = until if end < 0 else end
        yield begin, end, end + 1, _ALONE, begin
        begin = end + 1


def text_of(block: bytes | bytearray, begin: int, end: int) -> str:
    """Return the text of a line, without what ends it, and without a hole before it; what is very long is cut."""
    if end > begin and block[begin] == 0:
        begin = _AFTER_HOLE.match(block, begin, end).end()  # type: ignore[union-attr] # it matches nothing, too
    if end - begin > _GIVEN:
        end = begin + _GIVEN
    if end > begin and block[end - 1] == _CR:
        end -= 1
    return block[begin:end].decode("utf-8", "backslashreplace")


def text_behind(block: bytes | bytearray, begin: int, end: int) -> str:
    """Return the text of a line from behind its last hole on: what stands before that has lost its end."""
    at = block.rfind(HOLE, begin, end)
    return text_of(block, begin if at < 0 else at, end)


def backwards(data: bytes) -> Iterator[str]:
    """Yield the texts of lines, the last one first."""
    end = len(data)
    while end >= 0:
        begin = data.rfind(b"\n", 0, end) + 1
        yield text_of(data, begin, end)
        end = begin - 1


class FollowingLines:
    """The lines after the one that was given last: they can be had until the next one is asked for."""

    __slots__ = ("block", "length", "position")

    block: bytearray
    length: int
    position: int

    def __call__(self) -> Iterator[str]:
        """Yield their texts."""
        position = self.position
        while position < self.length:
            end = self.block.find(b"\n", position, self.length)
            end = self.length if end < 0 else end
            yield text_of(self.block, position, end)
            position = end + 1
