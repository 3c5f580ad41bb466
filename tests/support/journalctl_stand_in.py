"""A ``journalctl`` for machines without a journal: it serves entries of a test, and does what the real one does.

``python journalctl_stand_in.py FILE OPTIONS...``; the file has a line of ``journalctl -o json`` for each entry. As the
real one (systemd 252) it shows the last boot alone when it follows, resolves a pattern of units when it starts, begins
with the entry of ``--cursor`` or the first one after it, and ends when nobody reads what it prints.
"""

from __future__ import annotations

import getopt
import json
import os
import select
import sys
from fnmatch import fnmatchcase

TYPE_CHECKING = False  # each test starts it several times: without typing and argparse that takes half the time
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

_ALWAYS = ("__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "_BOOT_ID")


class _Options:
    """The options of ``journalctl`` that are used; as that does, one may be given twice."""

    def __init__(self, arguments: list[str]) -> None:
        names = ["unit=", "lines=", "cursor=", "output-fields=", "follow", "no-tail", "all", "no-pager"]
        given, (self.file,) = getopt.gnu_getopt(arguments, "o:q", names)
        values = dict(given)
        assert values.get("-o", "json") == "json"
        self.units = [value for name, value in given if name == "--unit"]
        self.lines = int(values["--lines"]) if "--lines" in values else None
        self.cursor = values.get("--cursor")
        self.output_fields = values.get("--output-fields", "")
        self.follow = "--follow" in values
        self.no_tail = "--no-tail" in values


def main() -> int:
    """Print entries; return the exit code."""
    given = _Options(sys.argv[1:])
    entries = list(_entries(given.file))
    units = {unit for entry in entries for unit in _units(entry)}
    wanted = {
        unit
        for name in given.units
        for unit in (units if set("*?[") & set(name) else [name])
        if fnmatchcase(unit, name)
    }
    if given.units and not wanted:
        sys.stderr.write("Failed to add filter for units: No data available\n")
        return 1
    boot = entries[-1]["_BOOT_ID"] if entries and given.follow else None
    shown = [entry for entry in entries if boot in (None, entry["_BOOT_ID"])]
    if given.cursor is not None:
        shown = shown[_begin(shown, given.cursor) :]
    shown = [entry for entry in shown if not given.units or wanted & _units(entry)]
    lines = 10 if given.lines is None and given.follow and not given.no_tail else given.lines
    for entry in shown if lines is None else shown[max(len(shown) - lines, 0) :]:
        _print(entry, given.output_fields)
    if given.follow:
        _follow(given, entries, wanted)
    return 0


def _follow(given: _Options, entries: list[dict[str, Any]], wanted: set[str]) -> None:
    """Print what comes, until nobody reads it; the file is read on where it ended, and anew if it is another one."""
    last = _place(entries[-1]["__CURSOR"]) if entries else (0, 0)
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    file = open(given.file, "rb")  # noqa: PTH123, SIM115 - as below; the last one is open to the end
    while not poll.poll(10):
        if os.stat(given.file).st_ino != os.fstat(file.fileno()).st_ino:  # noqa: PTH116 - as below
            file.close()
            file = open(given.file, "rb")  # noqa: PTH123, SIM115 - as above
        for entry in _whole_entries(file):
            place = _place(entry["__CURSOR"])
            if place > last:
                last = place
                if not given.units or wanted & _units(entry):
                    _print(entry, given.output_fields)


def _whole_entries(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the entries from here on; a line that is not whole yet is read again the next time."""
    while (line := file.readline()).endswith(b"\n"):
        yield json.loads(line)
    file.seek(-len(line), os.SEEK_CUR)


def _entries(file: str) -> Iterator[dict[str, Any]]:
    with open(file, "rb") as lines:  # noqa: PTH123 - it starts in half the time without pathlib
        yield from _whole_entries(lines)


def _begin(entries: list[dict[str, Any]], cursor: str) -> int:
    """Return where the entry is, or else the first one after it: by its number, in another journal by its time."""
    parts = [dict(part.split("=") for part in text.split(";")) for text in (cursor, *(e["__CURSOR"] for e in entries))]
    sought, *known = ((each["s"], int(each["i"], 16), int(each["t"], 16)) for each in parts)
    is_there = [(each[1] >= sought[1]) if each[0] == sought[0] else each[2] >= sought[2] for each in known]
    return is_there.index(True) if True in is_there else len(entries)


def _place(cursor: str) -> tuple[int, int]:
    parts = dict(part.split("=") for part in cursor.split(";"))
    return int(parts["t"], 16), int(parts["i"], 16)


def _units(entry: dict[str, Any]) -> set[str]:
    """Return the units that an entry is shown for."""
    units = {entry.get("_SYSTEMD_UNIT")}
    units |= {entry.get("UNIT")} if entry.get("_PID") == "1" else set()
    units |= {entry.get("OBJECT_SYSTEMD_UNIT")} if entry.get("_UID") == "0" else set()
    return {unit for unit in units if unit}


def _print(entry: dict[str, Any], fields: str) -> None:
    names = {*_ALWAYS, *fields.split(",")} if fields else set(entry)
    shown = {name: value for name, value in entry.items() if name in names}
    os.write(sys.stdout.fileno(), json.dumps(shown, ensure_ascii=False).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
