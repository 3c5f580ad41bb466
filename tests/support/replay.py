"""Recordings played again as Cloud Hypervisor writes them, on hosts whose clocks are chosen, at any speed.

The hypervisor opens its log and its event stream once, without O_APPEND, never opens them again, and writes a record in
several system calls: a reader may see any part of a record. So does this. ``python tests/support/replay.py RECORDING
FOLDER`` plays a recording in real time into ``FOLDER/source`` and ``FOLDER/destination``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from host_clock import HostClock, RecordedProcess, restamped, since_start_ns, wall_clock_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["Action", "Playback", "Player", "Step", "killed", "played", "restarted", "rotated", "steps_of"]

_S: Final = 10**9
_ROLES: Final = ("source", "destination")
_STARTED: Final = {"source": "vm source", "destination": "dst destination"}
"""What the recorder called the start of a process."""
_SUFFIXES: Final = (".events.json", ".log")
_LOG_PIECE: Final = re.compile(rb"(: <|> |:(?=\d+ -- )| -- |\r?\n)")
"""Between these the log's formatter writes its arguments, each in a call of its own."""
_EVENT_PIECE: Final = re.compile(rb'"[^"]*"|\s+|[^\s"]+')
"""What the event stream's serialiser writes in one call: a text, a mark, white space."""
_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_EVENT: Final = re.compile(rb".*?\n\n|.+", re.DOTALL)


class Action(StrEnum):
    """What is done to a file."""

    OPEN = "open"
    """Created or truncated, as the hypervisor does when it starts."""
    WRITE = "write"
    CLOSE = "close"
    """What the process's end does: nothing is written any more."""
    RENAME = "rename"
    """Rotated away; who writes keeps on writing to it."""
    COPY_TRUNCATE = "copy and truncate"
    """Rotated by a copy; who writes goes on where it was, in a file that is empty now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One system call, and when it is due."""

    at_ns: int
    """Nanoseconds since the playback began."""
    path: Path
    """The name that the file was opened by."""
    action: Action
    data: bytes = b""
    to: Path | None = None
    """Where a rotation puts what was written so far."""
    record: int = 0
    """The number of the record in its file, from 1, that a write belongs to; 0 if to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """How a recording is played."""

    begin_ns: int
    """What the time is (Unix epoch) where the recording begins."""
    clocks: Mapping[str, HostClock] = field(default_factory=dict)
    """The clock of each host, by role; exact where none is given."""
    speed: float = 1.0
    """Times as fast as it was recorded; stamps say the recorded lengths all the same."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The stem of the files of a host, by role; as in the recording where none is given."""
    torn_every: int = 0
    """Every so many records, one is written with a pause in its middle."""
    torn_ns: int = 0
    """Nanoseconds of that pause, whatever the speed."""
    skipped_ns: int = 0
    """Nanoseconds from the recording's beginning whose records are all written at once."""


def steps_of(recording: Path, folders: Mapping[str, Path], playback: Playback) -> list[Step]:
    """Return what the processes of a recording write, each host's into its own folder, in order of time."""
    processes = _processes(recording)
    steps: list[Step] = []
    for path in sorted(recording.iterdir()):
        suffix = next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is None:
            continue
        stem = path.name.removesuffix(suffix)
        role = stem.split("-")[0]
        shown = folders[role] / f"{stem.replace(role, playback.names.get(role, role))}{suffix}"
        clock = playback.clocks.get(role, HostClock())
        records = _records(path.read_bytes(), suffix)
        steps += _file_steps(shown, restamped(records, processes[stem], clock, playback.begin_ns), suffix, playback)
    return sorted(steps, key=lambda step: step.at_ns)


def _records(content: bytes, suffix: str) -> list[bytes]:
    return (_LINE if suffix == ".log" else _EVENT).findall(content)


def _file_steps(path: Path, records: Iterable[tuple[int, bytes]], suffix: str, playback: Playback) -> Iterator[Step]:
    """Yield the calls for one file; none is due before the one before it."""
    pieces = _LOG_PIECE.split if suffix == ".log" else _EVENT_PIECE.findall
    due = 0
    for number, (elapsed_ns, record) in enumerate(records, start=1):
        due = max(due, int((elapsed_ns - playback.skipped_ns) / playback.speed), 0)
        if number == 1:
            yield Step(at_ns=due, path=path, action=Action.OPEN)
        parts = [part for part in pieces(record) if part]
        is_torn = playback.torn_every and number % playback.torn_every == 0
        for index, part in enumerate(parts):
            if is_torn and index == len(parts) // 2:
                due += playback.torn_ns
            yield Step(at_ns=due, path=path, action=Action.WRITE, data=part, record=number)
    yield Step(at_ns=due, path=path, action=Action.CLOSE)


def _processes(recording: Path) -> dict[str, RecordedProcess]:
    """Return where the stamps of each process lie, by the stem of its log; skew was measured."""
    truth = json.loads((recording / "truth.json").read_text())
    began: dict[str, int] = {}
    ahead: dict[str, int] = {}
    for role in _ROLES:
        starts = [call["realtime_ns"] for call in truth["orchestrator"] if call["what"] == f"start_{_STARTED[role]}"]
        # of several processes of a role the last one has the plain name, the earlier ones are numbered
        stems = {path.name.split(".")[0] for path in recording.glob(f"{role}*.log")}
        for stem, start in zip(sorted(stems, key=lambda stem: stem == role), starts, strict=True):
            ahead[stem] = sum(truth["clock_offset_ns"]["before"]) // 2 if role == "destination" and _two(truth) else 0
            with (recording / f"{stem}.log").open("rb") as log:
                head = log.readline()
            wall_ns = wall_clock_ns(head)
            began[stem] = (start if wall_ns is None else wall_ns - (since_start_ns(head) or 0)) - ahead[stem]
    first = min(began.values())
    return {stem: RecordedProcess(began_ns=began[stem] - first, wall_zero_ns=first + ahead[stem]) for stem in began}


def _two(truth: Mapping[str, Any]) -> bool:
    return bool(truth["hosts"] > 1)


# --- faults -------------------------------------------------------------------------------------------------------


def _middle_of(steps: Sequence[Step], path: Path, record: int) -> int:
    """Return the index of a write in the middle of a record."""
    of_record = [index for index, step in enumerate(steps) if (step.path, step.record) == (path, record)]
    assert len(of_record) > 1, f"{path} has no record {record} of several writes"
    return of_record[len(of_record) // 2]


def killed(steps: Sequence[Step], path: Path, record: int) -> list[Step]:
    """Return the steps of a playback whose process that writes ``path`` dies in the middle of a record."""
    middle = _middle_of(steps, path, record)
    own = {step.path for step in steps if _stem(step.path) == _stem(path)}
    return [
        step
        for index, step in enumerate(steps)
        if step.path not in own or index < middle or step.action is Action.CLOSE
    ]


def rotated(steps: Sequence[Step], path: Path, record: int, to: Path, *, copy: bool = False) -> list[Step]:
    """Return the steps with a rotation of ``path`` in the middle of a record: a rename, or a copy and a truncation."""
    middle = _middle_of(steps, path, record)
    action = Action.COPY_TRUNCATE if copy else Action.RENAME
    turn = Step(at_ns=steps[middle].at_ns, path=path, action=action, to=to)
    return [*steps[:middle], turn, *steps[middle:]]


def restarted(steps: Sequence[Step], again: Sequence[Step], pause_ns: int) -> list[Step]:
    """Return one playback after another, on the same files: each process starts again and truncates its log."""
    later = steps[-1].at_ns + pause_ns
    return [*steps, *(replace(step, at_ns=step.at_ns + later) for step in again)]


def _stem(path: Path) -> Path:
    return path.parent / path.name.split(".")[0]


# --- playing ------------------------------------------------------------------------------------------------------


class Player:
    """Does steps, each file by the handle that its first step opened."""

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}

    def do(self, step: Step) -> None:
        """Do one step now."""
        if step.action is Action.OPEN:
            step.path.parent.mkdir(parents=True, exist_ok=True)
            self._handles[step.path] = os.open(step.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        elif step.action is Action.WRITE:
            os.write(self._handles[step.path], step.data)
        elif step.action is Action.CLOSE:
            os.close(self._handles.pop(step.path))
        else:
            assert step.to is not None
            if step.action is Action.RENAME:
                step.path.rename(step.to)
            else:
                step.to.write_bytes(step.path.read_bytes())
                os.truncate(step.path, 0)

    def play(
        self,
        steps: Iterable[Step],
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Do all steps, each when it is due."""
        began = now()
        for step in steps:
            if (late := step.at_ns / _S - (now() - began)) > 0:
                wait(late)
            self.do(step)

    def close(self) -> None:
        """Close what a playback that was broken off left open."""
        while self._handles:
            os.close(self._handles.popitem()[1])


def played(steps: Iterable[Step]) -> None:
    """Do all steps at once, in their order."""
    player = Player()
    for step in steps:
        player.do(step)
    player.close()


def main() -> None:
    """Play a recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recording", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="N times as fast as recorded")
    parser.add_argument("--ahead", type=float, default=0.0, metavar="S", help="the destination's clock is S s ahead")
    parser.add_argument("--drift", type=int, default=0, metavar="PPB", help="and runs faster by so many parts per 10^9")
    given = parser.parse_args()
    playback = Playback(
        begin_ns=time.time_ns(),
        speed=given.speed,
        clocks={"destination": HostClock(ahead_ns=int(given.ahead * _S), drift_ppb=given.drift)},
    )
    Player().play(steps_of(given.recording, {role: given.folder / role for role in _ROLES}, playback))


if __name__ == "__main__":
    main()
