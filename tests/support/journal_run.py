"""A watcher without a thread and a clock that follows units of a journal; ``journalctl`` alone is a real process."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from live_run import LiveRun

from otelmig.inputs.tailing import Journal, unit_of
from otelmig.live.local.writers import writer_gone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from journal_host import Entry, JournalHost

    from otelmig.inputs.record import LogRecord

__all__ = ["JournalRun", "journal_of"]

_LONG_S = 30.0


def journal_of(name: str, said: list[str]) -> Journal:
    """Return what follows ``journald:NAME``."""
    unit = unit_of(f"journald:{name}")
    assert unit is not None
    return Journal(unit=unit, say=said.append)


@dataclass(kw_only=True)
class JournalRun(LiveRun):
    """A live run that follows units."""

    host: JournalHost
    units: list[str]
    said: list[str] = field(default_factory=list)
    read: set[tuple[str, int | None]] = field(default_factory=set)
    """The entries that were read at least once, and of which that was not forgotten."""
    _flushed: set[tuple[str, int | None]] = field(default_factory=set)

    def _open(self) -> None:
        super()._open()
        self.journals = [journal_of(name, self.said) for name in self.units]
        for journal in self.journals:
            journal.restore(self.state.tails())
            self._stack.callback(journal.close)

    def flush(self) -> None:
        """Write to the state what was read, and how far."""
        for journal in self.journals:
            self.assembly.changes.tails |= journal.changed()
        self._flushed = set(self.read)
        super().flush()

    def restart(self) -> None:
        """Lose everything that is not in the state, and begin anew."""
        self.read = set(self._flushed)
        super().restart()

    def catch_up(self) -> None:
        """Read everything that is in the journal; no time passes meanwhile."""
        until = time.monotonic() + _LONG_S
        units = [journal.unit for journal in self.journals]
        written = Counter(each["_SYSTEMD_UNIT"] for each in self.host.entries)
        count = sum(number for name, number in written.items() if any(unit.wants(name) for unit in units))
        while len(self.read) < count:
            assert time.monotonic() < until, f"{len(self.read)} of {count} entries were read: {self.said}"
            records: list[LogRecord] = []
            for journal in self.journals:
                tailed = journal.poll(self.now_s)
                records += tailed.records
                for gone in tailed.gone:
                    writer_gone(self.assembly, gone.key, self.now_s)
            self.read |= {(record.epoch, record.offset) for record in records}
            if records:
                self.feed_unflushed(records)
            else:
                time.sleep(0.002)

    def play(self, entries: Sequence[Entry], random: Random, *, kills: float = 0.0) -> None:
        """Write the entries, and read now and then; with some probability the watcher is killed before it reads.

        Of very many entries a smaller part of the reads is killed: each one that follows reads the journal again.
        """
        kills *= min(1.0, 2_000 / len(entries))
        while entries:
            count = random.randrange(1, 100)
            self.host.write(entries[:count])
            entries = entries[count:]
            if random.random() < kills:
                self.restart()
            self.catch_up()
            self.now_s += 0.05
            self.look()
            if random.random() < 0.5:
                self.flush()
