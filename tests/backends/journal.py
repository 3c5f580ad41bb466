"""A host's journal: entries as journald makes them of what hypervisors write to stderr, in files of systemd's own.

`systemd-journal-remote` writes the files, `journalctl` reads them. (systemd, "Journal Export Formats".)
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from replay import Action, Player

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replay import Step

__all__ = ["NO_JOURNAL", "UNIT", "Journal", "JournalPlayer", "find_journal_writer"]

NO_JOURNAL: Final = "no systemd-journal-remote on this machine (a package of that name): no journal is tested"
UNIT: Final = "cloud-hypervisor@vm.service"
"""The unit whose hypervisor would write to ``vm.log`` otherwise."""
_WRITER: Final = "systemd-journal-remote"
_US: Final = 1_000
_BOOT: Final = "b0" * 16
"""The id of the latest boot."""
_TAKEN_NS: Final = 100_000
"""Nanoseconds from the writing of a line until journald takes it over."""


def find_journal_writer() -> Path | None:
    """Return the program that writes journals, if it and ``journalctl`` are there."""
    found = shutil.which(_WRITER, path="/usr/lib/systemd:/lib/systemd")
    return Path(found) if found and shutil.which("journalctl") else None


class Journal(AbstractContextManager["Journal"]):
    """The journal of one host, in ``folder``; a context, in which entries can be added."""

    def __init__(self, folder: Path, host: str, machine: str, writer: Path) -> None:
        self.folder: Final = folder
        self._host = host
        self._machine = machine
        folder.mkdir(parents=True)
        self._process = subprocess.Popen(
            [writer, f"--output={folder / 'system.journal'}", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def add(self, unit: str, message: bytes, at_ns: int, boot: str = _BOOT) -> None:
        """Add what the process of a unit wrote, when the host's clock said ``at_ns`` (Unix epoch)."""
        fields = {
            "__REALTIME_TIMESTAMP": at_ns // _US,
            "__MONOTONIC_TIMESTAMP": at_ns // _US % 10**12,
            "_BOOT_ID": boot,
            "_MACHINE_ID": self._machine,
            "_HOSTNAME": self._host,
            "_TRANSPORT": "stdout",
            "_SYSTEMD_UNIT": unit,
            "_PID": 1000 + len(unit),
            "_COMM": "cloud-hyperviso",  # the kernel keeps 15 bytes
            "SYSLOG_IDENTIFIER": "cloud-hypervisor",
            "PRIORITY": 6,
        }
        head = "".join(f"{name}={value}\n" for name, value in fields.items())
        entry = b"%bMESSAGE\n%b%b\n\n" % (head.encode(), struct.pack("<Q", len(message)), message)
        assert self._process.stdin is not None
        self._process.stdin.write(entry)
        self._process.stdin.flush()

    def printed(self) -> bytes:
        """Return all entries as ``journalctl -o json`` prints them, one a line."""
        command: list[str | Path] = ["journalctl", "--directory", self.folder, "-o", "json", "--all", "-q"]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


class JournalPlayer(Player):
    """Plays the logs of a folder into the journal of its host, each as a unit of its own; event streams are files."""

    def __init__(self, journals: Mapping[Path, Journal], clocks_ns: Mapping[Path, int], speed: float) -> None:
        """Take the journal of each folder, and what its host's clock says (Unix epoch) where the playback begins."""
        super().__init__()
        self._journals = journals
        self._clocks_ns = clocks_ns
        self._speed = speed
        self._unfinished: dict[Path, bytes] = {}

    def do(self, step: Step) -> None:
        """Do one step now."""
        folder = step.path.parent
        if step.path.suffix != ".log":
            super().do(step)
            return
        *lines, rest = (self._unfinished.get(step.path, b"") + step.data).split(b"\n")
        if step.action is Action.CLOSE and rest:
            lines, rest = [*lines, rest], b""
        self._unfinished[step.path] = rest
        at_ns = self._clocks_ns[folder] + int(step.at_ns * self._speed) + _TAKEN_NS
        for line in filter(None, lines):  # journald leaves out what is empty
            self._journals[folder].add(UNIT.replace("vm", step.path.stem), line, at_ns)
