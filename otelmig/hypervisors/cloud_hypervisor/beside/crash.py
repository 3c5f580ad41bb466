"""What a process prints of its own death, apart from the log: a panic, or the report of the SIGSYS handler.

It goes to standard error: where that is a file of its own, its name (``source.stderr`` beside ``source.log``) says
whose it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.reading.crash_report import CrashReport
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs import Line, Stream
    from otelmig.inputs.line import Where

__all__ = ["Crash", "CrashLines", "is_crash"]

_SECCOMP: Final = SECCOMP.encode()
_PANIC: Final = re.compile(rb"thread '[^'\r\n]{1,64}'(?: \(\d{1,10}\))? panicked at ")
_MOST_LINES_BEFORE: Final = 10
"""At most this many lines stand before a panic in a file that is no log."""


class Crash(Struct, frozen=True, kw_only=True):
    """One report."""

    stream: Stream
    where: Where
    report: CrashReport


def is_crash(head: bytes) -> bool:
    """Return whether a file that begins like this holds such a report and no log."""
    if b" -- " in head:
        return False
    panic = _PANIC.search(head)
    return _SECCOMP in head or (panic is not None and head.count(b"\n", 0, panic.start()) <= _MOST_LINES_BEFORE)


class CrashLines(Struct, kw_only=True):
    """Reads a file that holds such a report, line by line."""

    stream: Stream
    crash: Crash | None = None
    """The first report."""
    _open: bool = False
    """Whether the next line may belong to it."""

    def take(self, line: Line) -> None:
        """Read one line."""
        text = line.text.rstrip("\r")
        if self.crash is None:
            report = CrashReport.beginning(text)
            if report is not None:
                self.crash = Crash(stream=self.stream, where=line.where, report=report)
                self._open = True
        elif self._open:
            self._open = self.crash.report.take(text, None)
