"""Holes: NULs where a rotation made a file empty while its writer went on where it was (`copytruncate`)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from carried_logs import CARRIERS, logs_of, plain, shape_of
from trace_invariants import traced

from otelmig.inputs.opening import open_inputs
from otelmig.inputs.unpacking.section import Section, hole_of
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
