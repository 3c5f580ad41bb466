"""What the handler of SIGSYS prints when a process is killed by its own seccomp filter, apart from the log.

It goes to standard error: where that is a file of its own, its name (``source.stderr`` beside ``source.log``) says
whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP
from otelmig.inputs.line import Where
from otelmig.migration.observation import Kind, Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.inputs import InputLog
    from otelmig.migration.vmm import Vmm

__all__ = ["Crash", "crashed", "is_crash", "killed_after", "read_crash"]

_HEAD: Final = SECCOMP.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One report."""

    log: InputLog
    where: Where
    detail: str


def is_crash(head: bytes) -> bool:
    """Whether a file that begins like this holds such a report and no log."""
    return _HEAD in head and b" -- " not in head


def read_crash(log: InputLog) -> Iterator[Crash]:
    """The first report of a file."""
    for number, text in enumerate(lines := log.text().splitlines(), start=1):
        if SECCOMP in text:
            detail = lines[number] if number < len(lines) else ""
            yield Crash(log=log, where=Where(file=log.name, line=number), detail=detail)
            return


def killed_after(last: Observation, where: Where, detail: str) -> Observation:
    """The death of a process: no time is printed, so it happened at its last line or after."""
    detail = detail if detail.startswith("Syscall number") else ""
    return last._replace(
        kind=Kind.PROCESS_KILLED,
        where=where,
        text="",
        values={"by": "seccomp", "detail": detail},
        since=None,
    )


def crashed(processes: Iterable[Vmm], crashes: Sequence[Crash]) -> Iterator[Vmm]:
    """The processes, each with the report whose file is called like its log."""
    by_stem = {crash.log.stem: crash for crash in crashes}
    for process in processes:
        crash = by_stem.get(str(Path(process.inputs[0]).with_suffix("")))
        if crash is None or not process.observations:
            yield process
        else:
            killed = killed_after(process.observations[-1], crash.where, crash.detail)
            yield replace(
                process,
                observations=(*process.observations, killed),
                inputs=(*process.inputs, crash.log.key),
            )
