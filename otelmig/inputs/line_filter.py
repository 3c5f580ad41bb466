"""Which lines of a log are worth reading: what a scan of a file, or a tailer, looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.structs import Struct

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

__all__ = ["LineFilter"]


class LineFilter(Struct, frozen=True, kw_only=True):
    """Which lines of a file are worth reading."""

    pattern: re.Pattern[bytes]
    """Lines in which it matches; it should begin with a literal that few lines contain, and match no line feed."""
    markers: tuple[bytes, ...]
    """Lines that contain any of these, too, if the blocks that they are in (or the one before) hold a wanted line."""
    run_pattern: Callable[[int], re.Pattern[bytes]] | None = None
    """Where a group of ``pattern`` takes part in the match, this may have the lines that follow given as one.

    It returns the pattern of a line in which that group stands at a column: the pattern matches such a line with its
    line feed, and captures what is worth knowing of it, at least a byte; or else all that is left, and captures
    nothing. Both are quick where they skip a number of bytes, whatever these are.
    """

    def matches(self, line: bytes) -> bool:
        """Return whether a single line is wanted."""
        return self.pattern.search(line) is not None or any(marker in line for marker in self.markers)
