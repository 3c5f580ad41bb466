"""What became of the records that came in: numbers for whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.inputs.record import LogRecord

__all__ = ["Counts"]


class Counts(Struct):
    """What became of records, for whoever watches."""

    copies: int = 0
    """Records that were sent, or read, again."""
    held: int = 0
    """Records that wait for what comes before them."""
    held_size: int = 0
    """Characters of their lines."""
    lost: int = 0
    """Lines that are known to be missing."""
    without_beginning: int = 0
    """Files of which nobody sent the first lines: they were read from later ones on."""
    conflicts: int = 0
    """Lines at a place of which another line was known, where no file is known to begin."""

    def hold(self, *records: LogRecord) -> None:
        """Count records that wait from now on."""
        self.held += len(records)
        self.held_size += sum(len(record.text) for record in records)

    def release(self, records: Iterable[LogRecord]) -> None:
        """Count records that waited and do not wait any more."""
        for record in records:
            self.held -= 1
            self.held_size -= len(record.text)
