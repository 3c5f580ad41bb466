"""Units of the journal -> records, each line once, from the entry on that was read last.

``journalctl --follow`` shows the current boot alone, and resolves a pattern of units when it starts. So it is started
twice: once for what the journal has of the units, of all boots, and then to wait for what comes; where the units are a
pattern, for the entries of all units, because one that matches may begin at any time. Both begin *with* the entry that
was read last, and not after it: if another entry comes first, the journal has not kept it.
(systemd 252, ``journalctl(1)``; ``add_units`` in ``src/journal/journalctl.c``)
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.inputs.framing.journal import Cursor
from otelmig.inputs.framing.json_text import json_object
from otelmig.inputs.framing.sent_records import Sender
from otelmig.inputs.record import JOURNAL, LogRecord
from otelmig.inputs.tailing.journalctl import Journalctl, how_it_ended
from otelmig.inputs.tailing.tailed import FileGone, Tailed
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelmig.inputs.tailing.units import Unit

__all__ = ["Journal"]

_CURSOR: Final = re.compile(r"[!-~]{1,512}")
_UNKNOWN_PATTERN: Final = "No data available"
"""What ``journalctl`` says if it knows no unit that matches a pattern (ENODATA)."""
_UNIT_OVER: Final = frozenset(
    {
        "7ad2d189f7e94e70a38c781354912448",  # SD_MESSAGE_UNIT_SUCCESS
        "d9b373ed55a64feb8242e02dbe79a49c",  # SD_MESSAGE_UNIT_FAILURE_RESULT
    }
)
"""Messages of the service manager that all processes of a unit are gone. (systemd, ``sd-messages.h``)"""
_MANAGER: Final = "1"
"""The process that writes them."""
_OUT_OF_STEP_S: Final = 0.3
"""A unit's last lines may enter the journal so long after the message that it is over: they come another way."""
_AT_ONCE_S: Final = 0.25
"""Seconds for which entries are read before others have their turn."""
_SHORTEST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
"""Seconds before ``journalctl`` is started again."""
_REMEMBERED: Final = 256


class _Stage(Enum):
    """What ``journalctl`` was started for."""

    END = auto()
    """The last entry of all: a pattern is followed from there on."""
    PAST = auto()
    """What the journal has of the units."""
    FOLLOWING = auto()


class Journal(Struct, kw_only=True):
    """Follows one unit, or a pattern of units; whoever drives it calls :meth:`poll`, as for files."""

    unit: Unit
    say: Callable[[str], None]
    _cursor: str | None = None
    """Of the entry of the units that was read last."""
    _is_changed: bool = False
    _end: str | None = None
    """The cursor of the journal's last entry when the past was begun."""
    _expected: str | None = None
    """The cursor that the first entry has, if the journal still has that."""
    _child: Journalctl | None = None
    _stage: _Stage = _Stage.END
    _start_s: float = -math.inf
    """When ``journalctl`` is to be started, if it does not run."""
    _pause_s: float = _SHORTEST_PAUSE_S
    _gone: deque[tuple[float, FileGone]] = field(default_factory=deque)
    """Units that are over, and when that is to be believed."""
    _remarks: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """The cursors of entries about units that were taken: two looks may overlap."""
    _said: set[str] = field(default_factory=set)

    def close(self) -> None:
        """End ``journalctl``."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def fileno(self) -> int | None:
        """Return the descriptor that can be read when entries came; None while ``journalctl`` does not run."""
        return None if self._child is None else self._child.fileno()

    @property
    def next_due_s(self) -> float:
        """When :meth:`poll` is to be called at the latest (monotonic clock)."""
        start_s = self._start_s if self._child is None else math.inf
        return min(start_s, self._gone[0][0] if self._gone else math.inf)

    def restore(self, saved: Mapping[str, str]) -> None:
        """Take which entry was read last before a restart."""
        cursor = saved.get(self.unit.key)
        self._cursor = cursor if cursor is not None and _CURSOR.fullmatch(cursor) else None

    def changed(self) -> dict[str, str]:
        """Return the cursor of the entry that was read last, if one was since this was asked last."""
        is_changed, self._is_changed = self._is_changed, False
        return {self.unit.key: self._cursor} if is_changed and self._cursor is not None else {}

    def over(self) -> list[str]:
        """Return nothing: a unit that is over may start again."""
        return []

    def can_wait(self) -> bool:
        """Return that entries can: whether one says that a unit is over shows only when it is read."""
        return True

    def poll(self, now_s: float) -> Tailed:
        """Read what is there."""
        tailed = Tailed()
        if self._child is None and now_s >= self._start_s:
            self._start(_Stage.END if self.unit.is_pattern else _Stage.PAST, now_s)
        sender = Sender({})
        until_s = time.monotonic() + _AT_ONCE_S
        while (child := self._child) is not None:
            lines = child.lines()
            for line in lines:
                self._take(line, sender, tailed, now_s)
            if child.is_over:
                self._go_on(child, now_s)
            elif not lines or time.monotonic() > until_s:
                break
        while self._gone and self._gone[0][0] <= now_s:
            tailed.gone.append(self._gone.popleft()[1])
        return tailed

    def _start(self, stage: _Stage, now_s: float) -> None:
        """Start ``journalctl``, or have it tried again later."""
        self._stage = stage
        units = [f"--unit={self.unit.name}"]
        cursor = self._expected = self._cursor
        if stage is _Stage.END:
            arguments, cursor = ["--lines=1"], None
        elif stage is _Stage.PAST:
            arguments = units
        elif self.unit.is_pattern:
            arguments, cursor = ["--follow", "--no-tail"], self._end
            self._expected = None
        else:
            arguments = [*units, "--follow", "--no-tail"]
        if cursor is not None:
            arguments = [*arguments, f"--cursor={cursor}"]
        try:
            self._child = Journalctl(arguments)
        except OSError as error:
            self._pause(os.strerror(error.errno or 0), now_s)

    def _go_on(self, child: Journalctl, now_s: float) -> None:
        """Go on after ``journalctl`` has ended: to the next stage, or with the first one after a pause."""
        code, error = child.end()
        self._child = None
        is_unknown = self._stage is _Stage.PAST and self.unit.is_pattern and _UNKNOWN_PATTERN in error
        if self._stage is _Stage.FOLLOWING or (code and not is_unknown):
            self._pause(error or how_it_ended(code), now_s)
        else:
            self._start(_Stage.PAST if self._stage is _Stage.END else _Stage.FOLLOWING, now_s)

    def _pause(self, why: str, now_s: float) -> None:
        self._say_once(f"{self.unit.key}: journalctl ended ({why}); it is started again")
        self._start_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _take(self, line: bytes, sender: Sender, tailed: Tailed, now_s: float) -> None:
        """Take an entry as ``journalctl`` printed it."""
        entry = json_object(line) if line else None
        cursor = None if entry is None else entry.get("__CURSOR")
        if entry is None or not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor):
            if line:
                self._say_once(f"{self.unit.key}: what journalctl prints cannot be read, and is passed over")
            return
        if self._stage is _Stage.END:
            self._end = cursor
            return
        expected, self._expected = self._expected, None
        if expected is not None:
            if is_same(cursor, expected):
                return
            self._tell_hole(expected, cursor)
        unit = entry.get("_SYSTEMD_UNIT")
        if not isinstance(unit, str) or not self.unit.wants(unit):
            self._take_remark(entry, cursor, sender, now_s)
            return
        record = sender.record({}, entry, None)  # type: ignore[arg-type] # what JSON can say
        if isinstance(record, LogRecord):
            tailed.records.append(record)
        self._cursor, self._is_changed = cursor, True
        if self._stage is _Stage.FOLLOWING:
            self._pause_s = _SHORTEST_PAUSE_S
            self._said.clear()

    def _take_remark(self, entry: Mapping[str, object], cursor: str, sender: Sender, now_s: float) -> None:
        """Take what others say of the units: the service manager that one is over, journald that it left lines out."""
        name = entry.get("UNIT") if entry.get("_PID") == _MANAGER else None
        if not isinstance(name, str) and entry.get("_TRANSPORT") == "driver":
            name = entry.get("OBJECT_SYSTEMD_UNIT")
        if not isinstance(name, str) or not self.unit.wants(name) or cursor in self._remarks:
            return
        self._remarks.append(cursor)
        if entry.get("MESSAGE_ID") in _UNIT_OVER:
            record = sender.record({}, {**entry, "_SYSTEMD_UNIT": name}, None)  # type: ignore[dict-item] # as above
            if isinstance(record, LogRecord):
                self._gone.append((now_s + _OUT_OF_STEP_S, FileGone(record.file, record.file.path)))
        count = entry.get("N_DROPPED")
        if isinstance(count, str) and count.isascii() and count.isdigit():
            self.say(f"{JOURNAL}{name}: journald left out {count[:20]} lines that came too fast (its rate limit)")

    def _tell_hole(self, expected: str, cursor: str) -> None:
        """Say what is missing, where another entry came first than the one that was read last."""
        read, first = Cursor.parse(expected), Cursor.parse(cursor)
        if self._stage is _Stage.FOLLOWING and read.boot != first.boot:
            return  # it shows the current boot alone
        which = f"{self.unit.key}: the journal has not kept the entry that was read last"
        if read.journal != first.journal or read.number is None or first.number is None or first.number <= read.number:
            self.say(f"{which}: it is not known how many were lost")
        elif first.number > read.number + 1:
            self.say(f"{which}: at most {first.number - read.number - 1} were lost, those of all units counted")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)


def is_same(cursor: str, other: str) -> bool:
    """Return whether two cursors are those of one entry, or of one and its copy in another journal."""
    content = Cursor.parse(cursor).content
    return cursor == other or (all(content) and content == Cursor.parse(other).content)
