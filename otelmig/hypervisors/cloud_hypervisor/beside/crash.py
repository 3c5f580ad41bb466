"""What the handler of SIGSYS prints when a process is killed by its own seccomp filter, apart from the log.

It goes to standard error: where that is a file of its own, its name (``source.stderr`` beside ``source.log``) says
whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP

if TYPE_CHECKING:
    from otelmig.inputs import Line, Stream
    from otelmig.inputs.line import Where

__all__ = ["Crash", "CrashLines", "is_crash"]

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
