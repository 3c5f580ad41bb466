"""Two logs for everything that can be known of two clocks: bounded, on one side, contradicted, nothing at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trace_invariants import CORPUS

from otelmig.clock.options import ClockOptions
from otelmig.clock.placement import ClockMode
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.pipeline import Findings

__all__ = ["STATES", "State", "moved_from"]

_WALL: Final = re.compile(rb"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A source's and a destination's log, and what is to be said of their clocks."""

    status: str
    source: bytes
    destination: bytes
    mode: ClockMode = ClockMode.AUTO

    def written(self, folder: Path) -> list[Path]:
        """The two files."""
        paths = [folder / "source.log", folder / "destination.log"]
        for path, content in zip(paths, (self.source, self.destination), strict=True):
            path.write_bytes(content)
        return paths

    def findings(self, folder: Path) -> Findings:
        """The two logs read as one migration, as its user asserts."""
        pairs = [("source.log", "destination.log")]
        return read_findings(self.written(folder), pairs=pairs, clock=ClockOptions(mode=self.mode))


def moved_from(log: bytes, number: int, milliseconds: float, until: int | None = None) -> bytes:
    """``log`` with the wall clock of the lines from ``number`` (1 on) ``until`` another set by ``milliseconds``."""
    lines = log.splitlines(keepends=True)
    for index in range(number - 1, len(lines) if until is None else until):
        found = _WALL.match(lines[index])
        if found is not None:
            instant = datetime.fromisoformat(found[1].decode()) + timedelta(milliseconds=milliseconds)
            lines[index] = instant.isoformat(timespec="microseconds").encode() + lines[index][found.end(1) :]
    return b"".join(lines)


def _line_of(log: bytes, text: str) -> int:
    """The number (1 on) of the first line that contains ``text``."""
    return log[: log.index(text.encode())].count(b"\n") + 1


def _cut(log: bytes, first: str | None = None, until: str | None = None) -> bytes:
    """``log`` from the first line that contains ``first`` to before one that contains ``until``."""
    lines = log.splitlines(keepends=True)
    begin = 0 if first is None else _line_of(log, first) - 1
    return b"".join(lines[begin : None if until is None else _line_of(log, until) - 1])


def _boot_stamps(log: bytes) -> bytes:
    """``log`` without the wall clock before each default line."""
    return re.sub(rb"(?m)^\S+Z (?=cloud-hypervisor: )", b"", log)


def _logs(name: str) -> tuple[bytes, bytes]:
    return (CORPUS / name / "source.log").read_bytes(), (CORPUS / name / "destination.log").read_bytes()


def _states() -> dict[str, State]:
    source, destination = _logs("v53.0-twohosts")
    boot_source, boot_destination = _logs("v53.0-twohosts-boottime")
    killed, survivor = _logs("v53.0-killsrc")
    late, boot_late = (_cut(log, "Migration completed after") for log in (source, boot_source))
    half, config = len(destination.splitlines()) // 2, _line_of(destination, "Command 'Config'")
    found = {
        mode.value: State(status="bounded", source=source, destination=destination, mode=mode)
        for mode in (ClockMode.AUTO, ClockMode.ANNOTATE, ClockMode.CORRECT)
    }
    return found | {
        "off": State(status="unsynced", source=source, destination=destination, mode=ClockMode.OFF),
        "boot clocks": State(status="bounded", source=boot_source, destination=boot_destination),
        "mixed clocks": State(status="bounded", source=source, destination=_boot_stamps(destination)),
        "only a lower bound": State(status="one_sided", source=late, destination=destination),
        "only a lower bound, annotated": State(
            status="one_sided", source=late, destination=destination, mode=ClockMode.ANNOTATE
        ),
        "only a lower bound, boot clocks": State(status="one_sided", source=boot_late, destination=boot_destination),
        "only an upper bound, boot clocks": State(
            status="one_sided", source=killed, destination=_cut(survivor, "Command 'Config'")
        ),
        "nothing": State(
            status="unsynced",
            source=_cut(source, until="event = pausing"),
            destination=_cut(destination, "event = resuming"),
        ),
        "a step": State(status="conflict", source=source, destination=moved_from(destination, half, 1_000)),
        "a step, annotated": State(
            status="conflict",
            source=source,
            destination=moved_from(destination, half, -1_000),
            mode=ClockMode.ANNOTATE,
        ),
        "one stamp": State(
            status="conflict", source=source, destination=moved_from(destination, config, -1_000, config)
        ),
        "one stamp, corrected": State(
            status="conflict",
            source=source,
            destination=moved_from(destination, config, -1_000, config),
            mode=ClockMode.CORRECT,
        ),
    }


STATES: Final = _states()
