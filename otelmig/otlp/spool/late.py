"""Records of runs that could not use the spool: each leaves a file of its own, for whoever opens the spool next.

A run that waited in vain for the lock sends all the same, and has receipts in the end. ``late-0123456789abcdef`` holds
records like those of a segment, receipts among them; it is written once, without the lock, and removed with it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from otelmig.otlp.spool.segment import open_plain, read_records, spool_error, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.otlp.spool.format import Record

__all__ = ["LateRecords", "write_late"]

_NAME: Final = re.compile(r"late-[0-9a-f]{16}")


class LateRecords:
    """What such runs left in a spool."""

    def __init__(self, directory: Path) -> None:
        """Read the files in ``directory``.

        Raises:
            OSError: one of them, or the directory, cannot be read.
        """
        self._directory = directory
        self._paths = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
        self.records: list[Record] = [record for path in self._paths for record in read_records(path)]

    def remove(self) -> None:
        """Remove the files.

        Raises:
            SpoolError: one could not be removed.
        """
        try:
            for path in self._paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise spool_error(self._directory, error) from error
        self._paths = []


def write_late(directory: Path, records: Iterable[Record]) -> None:
    """Leave ``records`` in the spool in ``directory``, whoever has its lock; durable on return.

    Raises:
        SpoolError: they could not be written.
    """
    path = directory / f"late-{os.urandom(8).hex()}"
    try:
        with open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            file.write(b"".join(record.encoded() for record in records))
            file.flush()
            os.fsync(file.fileno())
        sync_directory(directory)
    except OSError as error:
        raise spool_error(directory, error) from error
