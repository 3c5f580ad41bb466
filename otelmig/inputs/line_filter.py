"""Which lines of a log are worth reading: what a scan of a file, or a tailer, looks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

__all__ = ["LineFilter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFilter:
    """Which lines of a file are worth reading."""

    pattern: re.Pattern[bytes]
    """Lines in which it matches; it should begin with a literal that few lines contain, and match no line feed."""
    marker: bytes
    """Lines that contain this, too, if the blocks that they are in (or the one before) hold any of the others."""
    run_pattern: re.Pattern[bytes]
    """Where a group of ``pattern`` takes part in the match, the lines that this matches are given as one."""

    def matches(self, line: bytes) -> bool:
        """Return whether a single line is wanted."""
        return self.pattern.search(line) is not None or self.marker in line
