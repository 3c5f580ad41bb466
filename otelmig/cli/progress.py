"""One line on a terminal that says how far the work is, for work that takes longer than a second."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import clear_status, show_status

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Progress", "progress_text"]

_PATIENCE_S: Final = 1.0
"""Seconds of work before anything is shown."""
_PAUSE_S: Final = 0.1
"""Seconds between two updates."""
_BAR: Final = 20
"""Columns of the bar."""
_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_MINUTE_S: Final = 60


class Progress:
    """How far the work is. Where stderr is no terminal, or a dumb one, all of this does nothing."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._begun_s = self._updated_s = time.monotonic()
        self._read = 0
        self._to_read = 0
        self._items = ""

    def expect(self, paths: Iterable[str | os.PathLike[str]], *, times: int = 1) -> None:
        """Expect each of ``paths`` to be read this many ``times``; only regular files have a size."""
        if self.is_shown:
            self._to_read = sum(os.path.getsize(path) for path in paths if os.path.isfile(path)) * times  # noqa: PTH113, PTH202 - a path may be a text

    def read(self, size: int) -> None:
        """Count bytes that were read."""
        self._read += size
        self.update()

    def count(self, number: int, what: str) -> None:
        """Set how many of something there are so far, such as ``12 migrations``."""
        self._items = f"{number} {what}"
        self.update()

    def update(self) -> None:
        """Show how far the work is, if it is time to."""
        now_s = time.monotonic()
        if not self.is_shown or now_s - self._begun_s < _PATIENCE_S or now_s - self._updated_s < _PAUSE_S:
            return
        self._updated_s = now_s
        show_status(progress_text(self._read, self._to_read, self._items, now_s - self._begun_s))

    def close(self) -> None:
        """Take the line away."""
        self.is_shown = False
        clear_status()


def progress_text(read: int, to_read: int, items: str, elapsed_s: float) -> str:
    """Return bytes read of ``to_read`` (0: unknown) as a bar, what was found meanwhile, and how long it will take."""
    parts = []
    if to_read:
        share = min(read / to_read, 1.0)
        done = int(share * _BAR)
        unit, scale = next((each for each in _UNITS if to_read >= each[1]), ("B", 1))
        parts += [
            f"[{'#' * done}{'-' * (_BAR - done)}] {100 * share:3.0f} %",
            f"{min(read, to_read) / scale:.1f} of {to_read / scale:.1f} {unit}",
        ]
    elif read:
        parts.append(f"{read / 1e6:.1f} MB")
    if items:
        parts.append(items)
    if 0 < read < to_read:
        left_s = elapsed_s * (to_read - read) / read
        parts.append(f"{left_s:.0f} s left" if left_s < 2 * _MINUTE_S else f"{left_s / _MINUTE_S:.0f} min left")
    return "  ".join(parts)
