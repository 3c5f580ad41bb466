"""What the handler of SIGSYS prints when a process is killed by its own seccomp filter, apart from the log.

It goes to standard error: where that is a file of its own, its name (``source.stderr`` beside ``source.log``) says
whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
    from otelmig.inputs import Line, Stream
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation, Value

__all__ = ["Crash", "CrashLines", "crashed", "is_crash", "killed_after", "killed_values"]

_HEAD: Final = SECCOMP.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One report."""

    stream: Stream
    where: Where
    detail: str


def is_crash(head: bytes) -> bool:
    """Return whether a file that begins like this holds such a report and no log."""
    return _HEAD in head and b" -- " not in head


@dataclass(slots=True, kw_only=True)
class CrashLines:
    """Reads a file that holds such a report, line by line."""

    stream: Stream
    crash: Crash | None = None
    """The first report."""
    _awaited: bool = False
    """Whether the next line says which call it was."""

    def take(self, line: Line) -> None:
        """Read one line."""
        if self._awaited and self.crash is not None:
            self.crash = replace(self.crash, detail=line.text.rstrip("\r"))
            self._awaited = False
        elif self.crash is None and SECCOMP in line.text:
            self.crash = Crash(stream=self.stream, where=line.where, detail="")
            self._awaited = True


def killed_after(last: Observation, where: Where, detail: str) -> Observation:
    """Return the death of a process: no time is printed, so it happened at its last line or after."""
    return last._replace(
        kind=Kind.PROCESS_KILLED,
        where=where,
        text="",
        values=killed_values(detail),
        since=None,
    )


def killed_values(detail: str) -> Mapping[str, Value]:
    """Return what killed a process, if the report's second line is ``detail``."""
    return {"by": "seccomp", "detail": detail if detail.startswith("Syscall number") else ""}


def crashed(processes: Iterable[Process], crashes: Iterable[Crash]) -> Iterator[Process]:
    """Yield the processes, each with the report whose file is called like its log."""
    by_stem = {crash.stream.stem: crash for crash in crashes}
    for process in processes:
        crash = by_stem.get(process.stem)
        if crash is None or not process.observations:
            yield process
        else:
            killed = killed_after(process.observations[-1], crash.where, crash.detail)
            yield process.joined(crash.stream, (*process.observations, killed))
