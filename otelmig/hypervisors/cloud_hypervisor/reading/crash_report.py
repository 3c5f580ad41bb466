"""What a process prints of its own death, apart from its records: a panic of Rust, the report of the SIGSYS handler.

Both go to standard error, which may be where the log goes, too. Neither prints a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import PANICKED, SECCOMP
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation, Value

__all__ = ["CrashReport", "killed_after"]

_PANIC: Final = re.compile(r"thread '([^'\r\n]{1,64})'(?: \(\d{1,10}\))? panicked at ([^\r\n]{0,4096})")
_PLACE: Final = re.compile(r"(\S{1,512}:\d{1,9}:\d{1,9}):?")
"""Where in the source, as Rust 1.73 and later print it: the message follows on the next lines."""
_QUOTED: Final = re.compile(r"'(.{0,4096})', (\S{1,512}:\d{1,9}:\d{1,9})")
"""Message and place, as earlier versions print them."""
_AFTER_PANIC: Final = re.compile(r"\s*(?:note: |stack backtrace:|$)")
_MOST_LINES: Final = 8
"""At most this many lines of a panic's message are kept."""


class CrashReport(Struct, kw_only=True):
    """One report, as its lines come in.

    >>> report = CrashReport.beginning("thread 'vmm' panicked at vmm/src/vm.rs:14:5:")
    >>> report.take("no such device", None), report.take("note: run with `RUST_BACKTRACE=1`", None)
    (True, False)
    >>> report.values()
    {'by': 'panic', 'detail': "thread 'vmm' panicked at vmm/src/vm.rs:14:5: no such device"}
    """

    panic: str | None
    """Which thread panicked, and where; None for the report of the SIGSYS handler."""
    texts: list[str] = field(default_factory=list)

    @classmethod
    def beginning(cls, text: str) -> CrashReport | None:
        """Return the report that begins with the line ``text``, if one does."""
        if SECCOMP in text:
            return cls(panic=None)
        match = _PANIC.search(text) if PANICKED in text else None
        if match is None:
            return None
        thread, rest = match.groups()
        if (place := _PLACE.fullmatch(rest.strip())) is not None:
            return cls(panic=f"thread '{thread}' panicked at {place[1]}")
        quoted = _QUOTED.fullmatch(rest.strip())
        if quoted is not None:
            return cls(panic=f"thread '{thread}' panicked at {quoted[2]}", texts=[quoted[1]])
        return cls(panic=f"thread '{thread}' panicked", texts=[rest.strip()])

    def take(self, text: str, following: Record | None) -> bool:
        """Add the next line, in which ``following`` was found, if it says more of this; return whether it does."""
        if self.panic is None:  # the line after the first one says which call it was
            over = bool(self.texts)
        else:
            over = following is not None or PANICKED in text or _AFTER_PANIC.match(text) is not None
        if over or len(self.texts) >= _MOST_LINES:
            return False
        self.texts.append(text.strip())
        return True

    def values(self) -> Mapping[str, Value]:
        """Return what killed the process, in its own words."""
        if self.panic is not None:
            return {"by": "panic", "detail": ": ".join((self.panic, *([" ".join(self.texts)] if self.texts else [])))}
        detail = self.texts[0] if self.texts else ""
        return {"by": "seccomp", "detail": detail if detail.startswith("Syscall number") else ""}

    def read(self, following: Iterable[tuple[str, Record | None]]) -> None:
        """Take as much of the ``following`` lines, each with the record in it, as belongs to this."""
        for text, record in following:
            if not self.take(text, record):
                return


def killed_after(last: Observation, where: Where, report: CrashReport) -> Observation:
    """Return the death of a process: no time is printed, so it happened at its last line or after."""
    return replace(
        last,
        kind=Kind.PROCESS_KILLED,
        where=where,
        text="",
        values=report.values(),
        since=None,
    )
