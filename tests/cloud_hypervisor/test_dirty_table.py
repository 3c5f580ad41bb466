"""Dirty tables that are cut, repeated, or followed by another process's: no byte is counted for the wrong pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trace_invariants import CORPUS, traced

if TYPE_CHECKING:
    from pathlib import Path

_HEADING = b"Dirty Memory Range Table:"


def _lines(recording: str) -> tuple[list[bytes], list[int]]:
    """The source's log, and where its tables begin."""
    lines = (CORPUS / recording / "source.log").read_bytes().splitlines(keepends=True)
    return lines, [number for number, line in enumerate(lines) if _HEADING in line]


def _rates(paths: list[Path]) -> list[list[object]]:
    """The dirty rate of each pass, with how it was found, by migration."""
    names = ("vm.migration.memory.dirty_rate", "vm.migration.memory.dirty_rate_method")
    return [
        [tuple(span.attributes.get(name) for name in names) for span in trace.named("memory iteration")]
        for trace in traced(paths)
    ]


def _rates_of(lines: list[bytes], path: Path) -> list[list[object]]:
    path.write_bytes(b"".join(lines))
    return _rates([path])


def test_a_heading_that_is_there_twice_loses_no_rows(tmp_path: Path) -> None:
    """A log that was rotated with one line of overlap."""
    lines, tables = _lines("v53.0-dirtyhot")
    (whole,) = _rates_of(lines, tmp_path / "whole.log")
    assert whole[0] == (whole[0][0], "dirty_table")  # type: ignore[index] # a pair
    for at in tables:
        older, newer = tmp_path / "twice.log.1", tmp_path / "twice.log"
        older.write_bytes(b"".join(lines[: at + 1]))
        newer.write_bytes(b"".join(lines[at:]))
        assert _rates([newer, older]) == [whole]


def test_the_table_of_another_process_is_not_added(tmp_path: Path) -> None:
    """A log that ends in a table, and another process that goes on in the same file with a table of its own."""
    lines, tables = _lines("v53.0-dirtyhot")
    others, other_tables = _lines("v53.0-disk")
    cut = lines[: tables[1] + 3]
    (alone,) = _rates_of(cut, tmp_path / "alone.log")
    both = _rates_of(cut + others[other_tables[0] :], tmp_path / "both.log")
    assert alone[:2] == both[0][:2]
    assert len(alone) == len(both[0])
