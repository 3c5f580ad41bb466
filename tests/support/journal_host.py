"""A host with a journal of its own: entries are written into it, and a ``journalctl`` shows them.

The journal is real (files that ``systemd-journal-remote`` writes, and the machine's own ``journalctl``), or a stand-in
of both where the machine has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import journalctl_stand_in
from replay import Action, Playback, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

__all__ = ["Entry", "JournalHost", "entry", "recorded_entries", "remote", "running"]

Entry = dict[str, Any]
"""As ``journalctl -o json`` prints it."""
MACHINE: Final = "1" * 32
_BOOT: Final = "2" * 32
_BEGIN_NS: Final = 1_780_000_000 * 10**9
_LONG_S: Final = 30.0
_BINARY: Final = "/usr/bin/journalctl"
_REMOTE: Final = ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote")


def remote() -> str | None:
    """Return the program that writes real journals, if there is one, and one that reads them."""
    found = next((path for path in _REMOTE if Path(path).exists()), shutil.which("systemd-journal-remote"))
    return found if Path(_BINARY).exists() else None


def running(*words: str, parent: int | None = None) -> list[int]:
    """Return the ids of the processes ``journalctl`` of this process, or another ``parent``, with ``words`` in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            its_parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if its_parent == (parent or os.getpid()) and all(word in command for word in ("--output-fields", *words)):
                found.append(int(folder.name))
    return found


@dataclass(kw_only=True)
class JournalHost:
    """A host; a context, which ends what writes its journal."""

    folder: Path
    is_real: bool = False
    entries: list[Entry] = field(default_factory=list)
    """Those that are in the journal."""

    def __post_init__(self) -> None:
        self._name = "3" * 32
        self.programs = self.folder / "bin"
        self.programs.mkdir(parents=True)
        self._file = self.folder / "entries.json"
        self._file.touch()
        self._journal = self.folder / "journal"
        self._journal.mkdir()
        self._writer: subprocess.Popen[bytes] | None = None
        self.serve()

    def __enter__(self) -> Self:
        self.write([entry("a unit of no interest", "other.service")])  # with no entry at all there is no boot to follow
        self.until_shown("other.service", 1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None and self._writer.stdin is not None:
            self._writer.stdin.close()
            self._writer.wait()

    @property
    def path(self) -> str:
        """The folders of programs, its ``journalctl`` first."""
        return f"{self.programs}:/usr/bin:/bin"

    def serve(self) -> None:
        """Let its ``journalctl`` show the journal."""
        if self.is_real:
            command = f"{_BINARY} --directory={self._journal}"
        else:
            command = f"{sys.executable} -S {journalctl_stand_in.__file__} {self._file}"
        self.offers(f'exec {command} "$@"')

    def offers(self, script: str) -> None:
        """Let its ``journalctl`` be a shell script."""
        program = self.programs / "journalctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def write(self, entries: Iterable[Entry]) -> None:
        """Put entries into the journal; they get the next numbers."""
        for each in entries:
            number = int(_part(self.entries[-1], "i"), 16) + 1 if self.entries else 1
            self.entries.append(each | {"__CURSOR": self._cursor(each, number)})
            if self.is_real:
                self._put(each)
            else:
                with self._file.open("a") as file:
                    file.write(json.dumps(self.entries[-1]) + "\n")

    def until_shown(self, unit: str, count: int) -> None:
        """Wait until so many entries of a unit can be read: a real journal is written by another process."""
        until = time.monotonic() + _LONG_S
        while self.dump(unit).count(b"\n") < count:
            assert time.monotonic() < until, "the journal is not written"
            time.sleep(0.01)

    def vacuum(self, count: int) -> None:
        """Let the journal forget its first entries (of the stand-in only)."""
        del self.entries[:count]
        self._rewrite()

    def begin_journal(self) -> None:
        """Let it be another journal, and empty (of the stand-in only)."""
        self._name = "9" * 32
        self.vacuum(len(self.entries))

    def dump(self, unit: str) -> bytes:
        """Return what ``journalctl --unit=UNIT -o json --all`` prints."""
        command = [str(self.programs / "journalctl"), f"--unit={unit}", "-o", "json", "--all", "--no-pager"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def _cursor(self, given: Entry, number: int) -> str:
        monotonic, realtime = (int(given[name]) for name in ("__MONOTONIC_TIMESTAMP", "__REALTIME_TIMESTAMP"))
        return f"s={self._name};i={number:x};b={given['_BOOT_ID']};m={monotonic:x};t={realtime:x};x={number:x}"

    def _rewrite(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text("".join(json.dumps(each) + "\n" for each in self.entries))
        new.replace(self._file)

    def _put(self, given: Entry) -> None:
        """Write an entry in the export format."""
        if self._writer is None:
            command = [str(remote()), f"--output={self._journal / 'x.journal'}", "-"]
            self._writer = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        data = b""
        for name, value in given.items():
            if name == "__CURSOR":
                continue
            raw = bytes(value) if isinstance(value, list) else str(value).encode()
            data += name.encode() + (b"=" + raw if b"\n" not in raw else b"\n" + len(raw).to_bytes(8, "little") + raw)
            data += b"\n"
        if self._writer.stdin is not None:
            self._writer.stdin.write(data + b"\n")
            self._writer.stdin.flush()


def entry(message: str | bytes, unit: str = "ch@1.service", at_us: int = 0, **fields: str) -> Entry:
    """Return an entry of a unit, ``at_us`` microseconds after the host's first one."""
    text: str | list[int] = list(message) if isinstance(message, bytes) else message
    return {
        "__REALTIME_TIMESTAMP": str(_BEGIN_NS // 1000 + at_us),
        "__MONOTONIC_TIMESTAMP": str(10**9 + at_us),
        "_BOOT_ID": _BOOT,
        "_MACHINE_ID": MACHINE,
        "_HOSTNAME": "alpha",
        "_SYSTEMD_UNIT": unit,
        "_PID": "77",
        "_COMM": "cloud-hyperviso",
        "SYSLOG_IDENTIFIER": "cloud-hypervisor",
        "MESSAGE": text,
        **fields,
    }


def recorded_entries(
    recording: Path, units: Mapping[str, str], begin_ns: int = _BEGIN_NS, **fields: str
) -> Sequence[Entry]:
    """Return what a recording's processes write to their units, by role, in the order of its time.

    The line of a source ends in CR, which makes it an array of byte values.
    """
    after_us = (begin_ns - _BEGIN_NS) // 1000
    folders = {role: Path(role) for role in units}
    begun: dict[Path, bytes] = {}
    entries: list[Entry] = []
    for step in steps_of(recording, folders, Playback(begin_ns=begin_ns)):
        if step.action is not Action.WRITE or step.path.suffix != ".log":
            continue
        begun.setdefault(step.path, b"")
        *lines, begun[step.path] = (begun[step.path] + step.data).split(b"\n")
        role, process = step.path.parent.name, list(begun).index(step.path)
        for line in lines:
            text = line.rstrip(b"\r")
            message = text + b"\r" if role == "source" and text else text.decode("utf-8", "replace")
            entries.append(
                entry(message, units[role], after_us + step.at_ns // 1000, _PID=str(100 + process), **fields)
            )
    return entries


def _part(given: Entry, name: str) -> str:
    parts: dict[str, str] = dict(part.split("=") for part in given["__CURSOR"].split(";"))
    return parts[name]
