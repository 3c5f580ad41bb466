"""A ``journalctl`` for machines without a journal: it serves entries of a test, and does what the real one does.

``python journalctl_stand_in.py FILE OPTIONS...``; the file has a line of ``journalctl -o json`` for each entry. As the
real one (systemd 252) it shows the last boot alone when it follows, resolves a pattern of units when it starts, begins
with the entry of ``--cursor`` or the first one after it, and ends when nobody reads what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALWAYS = ("__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "_BOOT_ID")


def main() -> int:
    """Print entries; return the exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("file")
    parser.add_argument("--unit", action="append", default=[])
    parser.add_argument("--lines", type=int)
    parser.add_argument("--cursor")
    parser.add_argument("-o", choices=["json"])
    parser.add_argument("-q", action="store_true")
    parser.add_argument("--output-fields", default="")
    for name in ("--follow", "--no-tail", "--all", "--no-pager"):
        parser.add_argument(name, action="store_true")
    given = parser.parse_args()
    entries = list(_entries(given.file))
    units = {unit for entry in entries for unit in _units(entry)}
    wanted = {
        unit for name in given.unit for unit in (units if set("*?[") & set(name) else [name]) if fnmatchcase(unit, name)
    }
    if given.unit and not wanted:
        sys.stderr.write("Failed to add filter for units: No data available\n")
        return 1
    boot = entries[-1]["_BOOT_ID"] if entries and given.follow else None
    shown = [entry for entry in entries if boot in (None, entry["_BOOT_ID"])]
    if given.cursor is not None:
        shown = shown[_begin(shown, given.cursor) :]
    shown = [entry for entry in shown if not given.unit or wanted & _units(entry)]
    lines = 10 if given.lines is None and given.follow and not given.no_tail else given.lines
    for entry in shown if lines is None else shown[max(len(shown) - lines, 0) :]:
        _print(entry, given.output_fields)
    if given.follow:
        _follow(given, entries, wanted)
    return 0


def _follow(given: argparse.Namespace, entries: list[dict[str, Any]], wanted: set[str]) -> None:
    """Print what comes, until nobody reads it."""
    last = _place(entries[-1]["__CURSOR"]) if entries else (0, 0)
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    while not poll.poll(10):
        for entry in _entries(given.file):
            place = _place(entry["__CURSOR"])
            if place > last:
                last = place
                if not given.unit or wanted & _units(entry):
                    _print(entry, given.output_fields)


def _entries(file: str) -> Iterator[dict[str, Any]]:
    with open(file, "rb") as lines:  # noqa: PTH123 - it starts in half the time without pathlib
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


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
