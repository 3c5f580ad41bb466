"""What became of the records that came in: numbers for whoever watches."""

from __future__ import annotations

from otelmig.dataclass import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """What became of records, for whoever watches."""

    copies: int = 0
    """Records that were sent, or read, again."""
    held: int = 0
    """Records that wait for what comes before them."""
    lost: int = 0
    """Lines that are known to be missing."""
    conflicts: int = 0
    """Lines at a place of which another line was known, where no file is known to begin."""
