"""One line on a terminal that says how far the work is, for work that takes longer than a second."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import clear_status, show_status
from otelmig.units import KB, MB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Progress", "progress_fields"]

_PATIENCE_S: Final = 1.0
"""Seconds of work before anything is shown."""
_PAUSE_S: Final = 0.1
"""Seconds between two updates."""
_BAR: Final = 20
"""Columns of the bar."""
_UNITS: Final = (("GB", 1_000 * MB), ("MB", MB), ("kB", KB))
_MINUTE_S: Final = 60


class Progress:
    """How far the work is. Where stderr is no terminal, or a dumb one, all of this does nothing."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._begun_s = self._updated_s = time.monotonic()
        self._size = 0
        self._read = 0
        self._to_read = 0
        self._items = ""
        self._share = 0.0
        self._reading_s: float | None = None
        """When the first block was read."""
        self._counting_s: float | None = None
        """When the first item was counted."""

    def expect(self, paths: Iterable[str | os.PathLike[str]], *, times: int = 1) -> None:
        """Expect each of ``paths``, or the files below it, to be read ``times``; only regular files have a size."""
        if self.is_shown:
            from pathlib import Path

            from otelmig.inputs.opening import files_below

            named = [Path(path) for path in paths]
            below = (file for path in named if path.is_dir() for file in files_below(path))
            self._size = sum(path.stat().st_size for path in (*named, *below) if path.is_file())
            self._to_read = self._size * times

    @property
    def on_read(self) -> Callable[[int], None] | None:
        """What is to be told of each block that is read; None where nothing is shown."""
        return self.read if self.is_shown else None

    def read(self, size: int) -> None:
        """Count bytes that were read; if these are more than was expected, the files are read once more."""
        if self._reading_s is None:
            self._reading_s = time.monotonic()
        self._read += size
        if self._read > self._to_read + self._size // 20:
            self._to_read += self._size
        self.update()

    def count(self, items: str, *, share: float = 0.0) -> None:
        """Set what was done so far, such as ``12 migrations``, and which share of all work that is, if known."""
        if self._counting_s is None:
            self._counting_s = time.monotonic()
        self._items, self._share = items, share
        self.update()

    def update(self) -> None:
        """Show how far the work is, if it is time to."""
        now_s = time.monotonic()
        if not self.is_shown or now_s - self._begun_s < _PATIENCE_S or now_s - self._updated_s < _PAUSE_S:
            return
        self._updated_s = now_s
        left_s = None
        if self._reading_s is not None and self._read < self._to_read:
            left_s = (now_s - self._reading_s) * (self._to_read - self._read) / self._read
        elif self._counting_s is not None and 0 < self._share < 1:
            left_s = (now_s - self._counting_s) * (1 - self._share) / self._share
        once = self._to_read == self._size
        show_status(progress_fields(self._read, self._to_read, self._items, left_s, once=once))

    def close(self) -> None:
        """Take the line away."""
        self.is_shown = False
        clear_status()


def progress_fields(read: int, to_read: int, items: str, left_s: float | None, *, once: bool = True) -> list[str]:
    """Return bytes read of ``to_read`` (0: unknown) as a bar, what was done so far, and how long it will still take.

    Where files are not read just ``once``, the bytes are not those of the files, and only their share is told.
    """
    parts = []
    if to_read:
        share = min(read / to_read, 1.0)
        done = int(share * _BAR)
        parts.append(f"[{'#' * done}{'-' * (_BAR - done)}] {100 * share:3.0f} %")
        if once:
            unit, scale = next((named for named in _UNITS if to_read >= named[1]), ("B", 1))
            parts.append(f"{min(read, to_read) / scale:.1f} of {to_read / scale:.1f} {unit}")
    elif read:
        parts.append(f"{read / MB:.1f} MB")
    if items:
        parts.append(items)
    if left_s is not None:
        parts.append(f"{left_s:.0f} s left" if left_s < 2 * _MINUTE_S else f"{left_s / _MINUTE_S:.0f} min left")
    return parts
