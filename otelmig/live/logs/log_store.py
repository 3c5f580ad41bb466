"""The logs of a fleet: those that are read are in memory, all others in the state alone, until a line of them comes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.live.logs.live_logs import LiveLogs, log_key
from otelmig.live.logs.log_names import is_file
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.inputs.rebuilding import Placed, RebuiltFile, RebuiltFiles
    from otelmig.inputs.record import LogRecord
    from otelmig.live.logs.parting import Parting
    from otelmig.live.state.changes import Changes
    from otelmig.live.state.database import State
    from otelmig.migration.side import Side

__all__ = ["LogStore"]

_MOST_LOADED: Final = 2000
"""At most so many logs are in memory; the rest is in the state until a line of it comes."""
_IDLE_S: Final = 120.0
"""After so long without a line a log is put aside."""
_LAST_PLACE: Final = (1 << 63) - 1


class LogStore(Struct, kw_only=True):
    """All logs, and where they are."""

    state: State
    changes: Changes
    logs: LiveLogs
    files: RebuiltFiles
    forgotten: int = 0
    """Logs of which the lines that later migrations may need were given up, because the state was full."""
    _generations: dict[str, list[RebuiltFile]] = field(default_factory=dict)
    """The files of each log that is in memory."""
    _used_s: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """When each log in memory was used last, the longest ago first."""
    _gone: dict[str, frozenset[str]] = field(default_factory=dict)
    """Logs whose processes are gone, and the keys of those."""
    _aside: dict[str, None] = field(default_factory=dict)
    """The keys of logs of which lines are kept in the state only, the longest there first."""

    def restore(self, now_s: float) -> list[str]:
        """Return the keys of the logs that have to be read after a restart."""
        self.files.know_held([self.state.last_held()])
        waiting_for_nothing = set(self.state.logs_aside())
        for key, log in self.state.beside().items():
            self.logs.put_beside(key, log)
        with_lines = self.state.logs_with_lines()
        for key in with_lines:
            self.logs.know(key)
            self._aside[key] = None
        for key in self.state.logs():
            if key not in waiting_for_nothing:
                self._load(key)  # lines of it may wait for others
                self._used_s[key] = now_s
        return [key for key in with_lines if key not in waiting_for_nothing]

    def take(self, record: LogRecord, now_s: float) -> Sequence[Placed]:
        """Return the lines that are in order with a record."""
        self._load(log_key(record.file))
        return self.files.take(record, now_s)

    def is_aside(self, key: str) -> bool:
        """Return whether a log, or one that is named like it, is not in memory and has lines in the state."""
        return bool(self._aside) and any(alike in self._aside for alike in self.logs.named_alike(key))

    def use(self, placed: Placed, now_s: float) -> str:
        """Note that a line of a log is read; return the log's key."""
        key = log_key(placed.file.file)
        generations = self._generations.setdefault(key, [])
        if not any(placed.file is known for known in generations):
            generations.append(placed.file)
        self._used_s[key] = now_s
        self._used_s.move_to_end(key)
        return key

    def read(self, key: str, now_s: float) -> list[Side]:
        """Read a log from what the state has of it; return its sides."""
        self._load(key)
        self._write_rows()  # and no file: of a request that is being worked off not every line has its row yet
        if self._aside.pop(key, 1) is None:
            self.changes.aside[key] = False
        generations = self._generations.get(key)
        if not generations:
            return []
        self._used_s[key] = now_s
        latest = generations[-1]
        return self.logs.reread(key, self.state.lines(key), latest.file, latest.host, now_s)

    def those_aside(self, key: str) -> list[str]:
        """Return the keys of what is named like a log and is in the state only."""
        return [alike for alike in self.logs.named_alike(key) if alike in self._aside]

    def idle(self, now_s: float) -> Iterable[str]:
        """Yield the keys of logs to put aside: nothing came of them for long, or there are too many."""
        while self._used_s:
            key, used_s = next(iter(self._used_s.items()))
            if now_s - used_s < _IDLE_S and len(self._used_s) <= _MOST_LOADED:
                return
            yield key

    def put_aside(self, key: str, *, is_needed: bool) -> None:
        """Keep of a log, and of what is named like it, what the state has; all of it is if a side of them needs it."""
        self.write()  # what is read from the state later must be there
        self._forget_who_is_not_gone(key)
        in_memory = [alike for alike in self.logs.named_alike(key) if alike in self._used_s]
        is_over = all(map(self.logs.is_over, in_memory))
        for alike in in_memory:
            del self._used_s[alike]
            generations = self._generations[alike]
            if not any(file.is_waiting for file in generations):
                for file in generations:
                    self.files.forget(file)
                del self._generations[alike]
            has_lines = self.state.has_lines(alike)
            is_dropped = not is_needed and (is_over or alike in self._gone or not has_lines)
            self.logs.put_aside(alike, is_dropped=is_dropped)
            if is_dropped:
                self._drop(alike)
            elif has_lines:
                self._aside[alike] = None
                self.changes.aside[alike] = not is_needed

    def _forget_who_is_not_gone(self, key: str) -> None:
        """Keep what other processes wrote to a log, or to what is named like it, after the one that is gone."""
        alike = self.logs.named_alike(key)
        if any(
            alike_key in self._gone and not self.logs.parting(alike_key).processes <= self._gone[alike_key]
            for alike_key in alike
        ):
            for alike_key in alike:
                self._gone.pop(alike_key, None)

    def leave(self, key: str, parting: Parting) -> None:
        """Forget the lines of a log up to a place, and all of it once nothing needs it: its process is gone."""
        self.drop_lines(key, parting.place)
        if is_file(key):  # a journal has the lines of others, too
            self._gone[key] = parting.processes

    def release(self, key: str) -> None:
        """Note that no side needs a log any more that is in the state only."""
        if key in self._aside:
            self.changes.aside[key] = True

    def drop_lines(self, key: str, until: int) -> None:
        """Forget the lines of a log up to a place."""
        self.changes.gone_lines.append((key, 0, until))
        for position in [place for place in self.changes.lines if place[0] == key and place[1] <= until]:
            del self.changes.lines[position]

    def forget(self, keys: Iterable[str]) -> int:
        """Forget what is kept of logs for later migrations; return of how many."""
        count = 0
        for key in keys:
            self._aside.pop(key, None)
            self._drop(key)
            count += 1
        self.forgotten += count
        return count

    def spare(self) -> Iterable[str]:
        """Yield the keys of logs that are in the state only, the longest there first."""
        return list(self._aside)

    def may_come(self, key: str) -> bool:
        """Return whether lines of a log, or of what is named like it, are missing that may still come."""
        return any(file.is_waiting for alike in self.logs.named_alike(key) for file in self._generations.get(alike, ()))

    def write(self) -> None:
        """Write to the state what changed; between two requests only.

        Raises:
            StateError: it cannot be written; nothing of it was, and it can be tried again.
        """
        for file in self.files.dirty():
            # by the log's name: one that was known by a rotation's alone is found by it, too
            self.changes.files[f"{log_key(file.file)}\n{file.generation}"] = self.files.save(file)
        for held in self.files.held_rows():
            self.changes.held[held.ident] = log_key(held.record.file), held.saved
        self._write_rows()

    def _write_rows(self) -> None:
        if self.changes:
            self.state.write(self.changes)
            self.changes.clear()

    def _load(self, key: str) -> None:
        """Load the files of a log into memory, if the state knows any."""
        if key not in self._generations:
            self._generations[key] = [self.files.load(saved) for saved in self.state.files_of(key)]
            self.files.load_held(self.state.held_of(key))

    def _drop(self, key: str) -> None:
        """Forget everything of a log: it is over, or there is no room for it."""
        self.logs.forget_name(key)
        self._gone.pop(key, None)
        self.changes.gone_lines.append((key, 0, _LAST_PLACE))
        self.changes.gone_logs.append(key)
        self.changes.aside[key] = False
