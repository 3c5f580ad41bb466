"""A watcher without a thread and a clock: files are written step by step, and looked at whenever a test says so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from live_run import LiveRun
from replay import Playback, Player, steps_of

from otelmig.inputs import Host
from otelmig.inputs.tailing import Tailer, target_of
from otelmig.live.local.writers import writer_gone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random
    from typing import Self

    from replay import Step

__all__ = ["Followed", "TailedRun", "recorded_steps", "without_names"]

_HOST = Host(name="here", id="0123")
_BEGIN_NS = 1_780_000_000 * 10**9


@dataclass(kw_only=True)
class Followed:
    """A tailer, and what it has read so far; a context, which closes it."""

    targets: list[str]
    texts: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    uses_notices: bool = True
    now_s: float = 0.0
    checkpoints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.tailer = Tailer(
            targets=[target_of(text) for text in self.targets],
            host=_HOST,
            say=self.said.append,
            uses_notices=self.uses_notices,
        )
        self.tailer.restore(self.checkpoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tailer.close()

    def look(self, after_s: float = 0.05) -> list[str]:
        """Look at the files; return the lines that are new."""
        self.now_s += after_s
        tailed = self.tailer.poll(self.now_s)
        new = [record.text for record in tailed.records]
        self.texts += new
        self.gone += [gone.name for gone in tailed.gone]
        return new

    def save(self) -> None:
        """Note how far everything was read."""
        for key in self.tailer.over():
            self.checkpoints.pop(key, None)
        self.checkpoints |= self.tailer.changed()

    def restart(self) -> None:
        """Lose everything that was not saved."""
        self.tailer.close()
        self._open()


@dataclass(kw_only=True)
class TailedRun(LiveRun):
    """A live run that follows files."""

    targets: list[str]
    said: list[str] = field(default_factory=list)

    def _open(self) -> None:
        super()._open()
        self.tailer = Tailer(targets=[target_of(text) for text in self.targets], host=_HOST, say=self.said.append)
        self.tailer.restore(self.state.tails())
        self._stack.callback(self.tailer.close)

    def flush(self) -> None:
        """Write to the state what was read, and how far."""
        changes = self.assembly.changes
        changes.gone_tails += self.tailer.over()
        changes.tails |= self.tailer.changed()
        super().flush()

    def follow(self, *, flush: bool = True) -> None:
        """Look at the files, and do what is due; ``flush`` what came of it."""
        self.now_s += 0.05
        tailed = self.tailer.poll(self.now_s)
        if tailed.records:
            self.feed_unflushed(tailed.records)
        for gone in tailed.gone:
            writer_gone(self.assembly, gone.key, self.now_s)
        self.look()
        if flush:
            self.flush()

    def play(self, steps: Iterable[Step], random: Random, *, kills: float = 0.0) -> None:
        """Do the steps, and look now and then; with some probability the watcher is killed at each look."""
        player = Player()
        for step in steps:
            player.do(step)
            if random.random() < 0.02:
                self.follow(flush=random.random() < 0.5)
                if random.random() < kills:
                    self.restart()
        self.follow()


def recorded_steps(recording: Path, folder: Path) -> list[Step]:
    """Return what the processes of a recording write below a folder, each host's into one of its own."""
    folders = {role: folder / role for role in ("source", "destination")}
    return steps_of(recording, folders, Playback(begin_ns=_BEGIN_NS))


def without_names(line: str) -> str:
    """Return a comparable trace without the names of rotated files, which say where a line stood at another time."""
    return json.dumps(json.loads(line.replace(".log.1", ".log").replace(".log.2", ".log")), sort_keys=True)
