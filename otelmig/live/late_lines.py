"""Lines that belong before lines that were read: their logs are read again, soon, and not once for each of them.

Reading a log again takes as long as all that is kept of it is long. So it is done when what came late is a share of
that, or after a time that grows with it: what is spent on it stays in proportion to the lines that come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LateLines"]

_SHARE: Final = 2
"""A log is read again at once when one line came late for every so many that are kept of it."""
_WAIT_S: Final = 0.001
"""For each line that is kept it is waited so long otherwise: some ten times as long as reading it takes."""


class _Late(Struct):
    """What came late of one log."""

    kept: int
    """Lines of the log that were kept when the first one came."""
    due_s: float
    lines: int = 0

    @property
    def is_much(self) -> bool:
        return self.lines * _SHARE >= self.kept


class LateLines:
    """The logs that have to be read again, and when each of them is."""

    def __init__(self, kept: Callable[[str], int]) -> None:
        """Take what returns how many lines are kept of a log."""
        self._kept = kept
        self._logs: dict[str, _Late] = {}

    def note(self, key: str, now_s: float) -> None:
        """Note that a line of a log came late; it is kept."""
        late = self._logs.get(key)
        if late is None:
            kept = self._kept(key)
            late = self._logs[key] = _Late(kept, now_s + kept * _WAIT_S)
        late.lines += 1

    def forget(self, key: str) -> bool:
        """Note that a log is read now; return whether it had to be."""
        return self._logs.pop(key, None) is not None

    def due(self, now_s: float) -> list[str]:
        """Return the logs that are to be read now."""
        return [key for key, late in self._logs.items() if late.is_much or late.due_s <= now_s]

    @property
    def next_due_s(self) -> float | None:
        """When the next one is to be read; None if none is."""
        return min((late.due_s for late in self._logs.values()), default=None)

    def due_s(self, keys: Iterable[str]) -> float | None:
        """Return when the last of these logs is to be read; None if none is."""
        return max((self._logs[key].due_s for key in keys if key in self._logs), default=None)
