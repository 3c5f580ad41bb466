"""What else a scan could be made of: CPU time per GB of ways to count line feeds, to find messages, and to read rows.

Each line is one way that was tried; the one that is used comes first. The README says what follows from them.
"""

from __future__ import annotations

import platform
import re
import tempfile
import time
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

import stringzilla
from sample_logs import write_dirty_tables, write_few

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = 100_000_000
_BLOCK = 1 << 19
_PIECE = 1 << 16
_RUNS = 5
_ROW = rb"(?s:.{%d}+)GPA: [0-9a-f]{1,16}+ size: ([0-9]{1,12}+) \(KiB\)\r?+\n|(?s:.+)"


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, CPython {platform.python_version()}; CPU seconds per GB, fastest of {_RUNS}")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vm.log"
        write_few(log, _SIZE)
        _count(log.read_bytes())
        _find(log.read_bytes())
        write_dirty_tables(log, _SIZE)
        _read_rows(log.read_bytes())


def _count(data: bytes) -> None:
    keep_line_feeds = bytes(byte for byte in range(256) if byte != ord("\n"))
    for what, count in {
        "stringzilla.count": lambda block: stringzilla.count(block, b"\n", 0, len(block)),
        "len(piece.replace), pieces of 64 KiB": lambda block: [
            len(block[at : at + _PIECE].replace(b"\n", b"")) for at in range(0, len(block), _PIECE)
        ],
        "count of a byte": lambda block: block.count(b"\n"),
        "count of a long needle": lambda block: block.count(b"\ncloud-hypervisor: "),
        "len(replace) of a copied block": lambda block: len(block[:].replace(b"\n", b"")),
        "translate": lambda block: len(block.translate(None, keep_line_feeds)),
        "split": lambda block: len(block.split(b"\n")),
    }.items():
        _print("line feeds", what, data, count)


def _find(data: bytes) -> None:
    pattern = wanted(("-- ",)).pattern
    head, first, second, tree = re.fullmatch(rb"(.*?)(\[.*?\])(\[.*?\])(.*)", pattern.pattern, re.DOTALL).groups()  # type: ignore[union-attr] # it is made so
    for what, text in {
        "literal, two classes, tree": pattern.pattern,
        "literal, two classes looked ahead at, tree": head + b"(?=%b%b)(?s:..)" % (first, second) + tree,
        "literal, one class, tree": head + first + b"(?s:.)" + tree,
        "literal, tree": head + b"(?s:..)" + tree,
        "literal, two classes alone": head + first + second + b"\xff",
        "literal alone": head + b"\xff",
    }.items():
        _print("regular expression", what, data, re.compile(text).search)
    for needle in (b"\xff", b"\xff\xfe", b"-- Receiving migration\xff"):
        _print("find", f"bytes in the needle: {len(needle)}", data, methodcaller("find", needle))


def _read_rows(data: bytes) -> None:
    begin = data.rindex(b"\n", 0, data.index(b"GPA: ")) + 1
    lines = re.compile(rb"(?:[^\n]{0,512}-- GPA: [0-9a-f]{1,16} size: \d{1,12} \(KiB\)\r?\n)+")
    rows = lines.match(data, begin)[0]  # type: ignore[index] # there are some
    column = rows.index(b"GPA: ")
    one = re.compile(_ROW % column)
    numbers = {size: int(size) for size in one.findall(rows)}
    ways: dict[str, Callable[[bytearray], object]] = {
        "skip to the column, capture": one.findall,
        "[^\\n] up to the column, capture": re.compile(_ROW.replace(b"(?s:.{%d}+)", b"[^\\n]{%d}+") % column).findall,
        "go back from the end of each line": lines.match,
        "sizes alone": re.compile(rb" size: (\d{1,12}) \(KiB\)").findall,
    }
    for what, read in ways.items():
        _print("rows", what, rows, read)
    for what, add in {
        "skip to the column, capture, look numbers up": lambda block: sum(map(numbers.__getitem__, one.findall(block))),
        "skip to the column, capture, int": lambda block: sum(map(int, one.findall(block))),
    }.items():
        _print("rows", what, rows, add)


def _print(what: str, way: str, data: bytes, work: Callable[[bytearray], object]) -> None:
    """Print what ``work`` takes for all of ``data``, which it gets in blocks that end with a line."""
    blocks, at = [], 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + _BLOCK) + 1 or len(data)
        blocks.append(data[at:end])
        at = end
    fastest_s = min(sum(_cpu_s(work, block) for block in blocks) for _ in range(_RUNS))
    print(f"{what}: {way}: {fastest_s / (len(data) / 1e9):.2f}", flush=True)


def _cpu_s(work: Callable[[bytearray], object], block: bytes) -> float:
    """Return what ``work`` takes for a block that was just read, and so is in the nearest cache."""
    buffer = bytearray(block)
    begin = time.process_time()
    work(buffer)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
