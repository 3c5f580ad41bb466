"""Holes: NULs where a rotation made a file empty while its writer went on where it was, or a host crashed."""

from __future__ import annotations

import io
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from carried_logs import CARRIERS, logs_of, plain, shape_of
from tailed_run import Followed
from trace_invariants import traced

from otelmig.inputs.files import open_input
from otelmig.inputs.opening import open_inputs
from otelmig.inputs.unpacking.holes import hole_of
from otelmig.inputs.unpacking.section import Section
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path


def _write_behind(path: Path, hole: int, content: bytes) -> None:
    with path.open("wb") as file:
        file.seek(hole)
        file.write(content)


@pytest.mark.parametrize("hole", [1, 4_096, 70_000, 1 << 22, (1 << 22) + 12_345, 1 << 26])
def test_a_record_behind_a_hole(hole: int, tmp_path: Path) -> None:
    """The first record is the first line, however large the hole before it; nothing of it is lost."""
    for role, log in logs_of("v53.0-basicv").items():
        _write_behind(tmp_path / f"{role}.log", hole, log)
    paths = sorted(tmp_path.iterdir())
    assert not read_findings(paths).not_understood
    traces = traced(paths)
    assert shape_of(traces) == plain("v53.0-basicv")[0]
    assert traces[0].trace_id in plain("v53.0-basicv")[1]


def test_a_framing_behind_a_hole(tmp_path: Path) -> None:
    """What carries the log is known by what is behind the hole."""
    for role, log in logs_of("v53.0-basicv").items():
        _write_behind(tmp_path / f"{role}.log", 100_000, CARRIERS["syslog iso"](log, role))
    assert shape_of(traced(sorted(tmp_path.iterdir()))) == plain("v53.0-basicv")[0]


def test_a_hole_between_lines(tmp_path: Path) -> None:
    """Two rotations that somebody put together: the line behind the hole is read, and places are those of the file."""
    log = logs_of("v53.0-basicv")["source"]
    cut = log.index(b"\n", log.index(b"Sending migration")) + 1
    (tmp_path / "source.log").write_bytes(log[:cut] + bytes(9_000) + log[cut:])
    findings = read_findings([tmp_path / "source.log"])
    assert not findings.not_understood
    (trace,) = traced([tmp_path / "source.log"])
    assert trace.root.attributes["vm.migration.downtime.duration"] == 0.446


def test_a_line_that_the_rotation_cut_ends_there(tmp_path: Path) -> None:
    """What was written between the copy and the hole is gone: the line before is not put together with that behind."""
    log = logs_of("v53.0-basicv")["source"]
    end = log.index(b"\n", log.index(b"Sending migration")) + 1
    (tmp_path / "source.log.1").write_bytes(log[: end + 30])
    _write_behind(tmp_path / "source.log", 5_000, log[end:])
    (log_read,), _, _ = open_inputs(sorted(tmp_path.iterdir()))
    texts = [line.text for line in log_read.lines(None)]
    assert texts.count(log[end : log.index(b"\n", end)].decode().rstrip("\r")) == 1
    assert texts[log[:end].count(b"\n")] == log[end : end + 30].decode()


def test_nothing_but_a_hole_is_empty(tmp_path: Path) -> None:
    """As a file that nobody wrote to since it was rotated."""
    (tmp_path / "source.log").write_bytes(bytes(10_000))
    logs, errors, notes = open_inputs([tmp_path / "source.log"])
    assert (logs, errors, notes) == ([], [], ["source.log: empty"])


def test_the_hole_is_found_by_its_end(tmp_path: Path) -> None:
    """On a disk that knows holes and on one that does not, in a file and in a part of one."""
    path = tmp_path / "x"
    _write_behind(path, 3_000_000, b"a\0b")
    with path.open("rb", buffering=0) as stream:
        assert hole_of(stream) == 3_000_000
    path.write_bytes(bytes(3_000_000) + b"a\0b")
    with path.open("rb", buffering=0) as stream:
        assert hole_of(stream) == 3_000_000
    with Section(io.FileIO(path), 1_000, path.stat().st_size - 1_000) as section:
        assert hole_of(section) == 2_999_000  # type: ignore[arg-type] # the same


_SIZES = [4_096, 70_000, (1 << 20) - 100, (1 << 22) - 50, 50 << 20]
"""Some end shortly before a limit of what is read at once."""


def _end_of_line(log: bytes, words: bytes) -> int:
    return log.index(b"\n", log.index(words)) + 1


@pytest.mark.parametrize("size", _SIZES)
def test_a_hole_inside_a_finished_file_is_named(size: int, tmp_path: Path) -> None:
    """All lines around it are read, with their numbers; what a crash left of a line is none, and nothing is hidden."""
    log = logs_of("v53.0-basicv")["source"]
    lines = log.decode().splitlines()
    cut = _end_of_line(log, b"Sending migration")
    number = log[:cut].count(b"\n") + 1
    for begun in (0, 30):
        with (tmp_path / "source.log").open("wb") as file:
            file.write(log[: cut + begun])
            file.seek(size, 1)
            file.write(log[cut + begun :])
        whole = open_input(tmp_path / "source.log")
        tracemalloc.start()
        read = [(line.where.line, line.text) for line in whole.lines(None) if line.text]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        rest = lines[number - 1][begun:]
        assert [text for _, text in read] == [*lines[: number - 1], rest, *lines[number:]]
        assert read[-1][0] == len(lines)
        assert most < 20_000_000
        (note,) = read_findings([tmp_path / "source.log"]).notes
        assert note == f"source.log:{number}: {size} bytes are NUL: whatever was written there is not in the file"


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("begun", [0, 30])
def test_a_hole_inside_a_growing_file_is_named(size: int, begun: int, tmp_path: Path) -> None:
    """Nothing behind it is read before it ends, nothing is lost then, and what a crash left of a line is none."""
    log = logs_of("v53.0-basicv")["source"]
    lines = log.decode().splitlines()
    cut = _end_of_line(log, b"Sending migration")
    number = log[:cut].count(b"\n") + 1
    path = tmp_path / "source.log"
    with Followed(targets=[str(path)]) as followed, path.open("wb", buffering=0) as file:
        file.write(log[: cut + begun])
        assert followed.look() == lines[: number - 1]
        os.truncate(path, cut + begun + size)
        assert followed.look() == []
        followed.save()
        followed.restart()
        file.seek(0, os.SEEK_END)
        file.write(log[cut + begun :])
        assert followed.look() == [lines[number - 1][begun:], *lines[number:]]
        assert followed.said == [
            f"{path}:{number}: {size} bytes are NUL: whatever was written there is not in the file"
        ]


def test_a_few_nuls_are_part_of_a_line(tmp_path: Path) -> None:
    """A guest's console may print some: nothing is cut there, and nothing said."""
    (tmp_path / "source.log").write_bytes(logs_of("v53.0-basicv")["source"] + b"BIOS\0\0drive C\n")
    *_, last = open_input(tmp_path / "source.log").lines(None)
    assert last.text == "BIOS\0\0drive C"
    assert read_findings([tmp_path / "source.log"]).notes == []


def test_of_many_holes_the_first_are_named(tmp_path: Path) -> None:
    """However many there are, little is kept of them."""
    (tmp_path / "source.log").write_bytes(logs_of("v53.0-basicv")["source"] + (bytes(100) + b"\n") * 5_000)
    notes = read_findings([tmp_path / "source.log"]).notes
    assert len(notes) == 17
    assert notes[-1] == "source.log: more of its bytes are NUL further on"
