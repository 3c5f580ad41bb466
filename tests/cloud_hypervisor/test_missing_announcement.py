"""After HEAD the first event of a migration has a name of its own; where it is missing, one migration stays one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["next-tcp", "next-state-rejected", "v52.0-tcp", "v53.0-tcp"])
@pytest.mark.parametrize("role", ["source", "destination"])
def test_any_one_line_is_missing(name: str, role: str, tmp_path: Path) -> None:
    """Without the line that says which meaning the next event has, or without any other line of an event."""
    files = SCENARIOS[name].files
    for file, log in files.items():
        (tmp_path / file).write_bytes(log)
    (whole,) = trace_migrations(sorted(tmp_path.iterdir()))
    lines = files[f"{role}.log"].splitlines(keepends=True)
    for number, line in enumerate(lines):
        if b"Event: source = vm event = migration" in line:
            (tmp_path / f"{role}.log").write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
            (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
            assert trace.root.attributes["vm.migration.result"] == whole.root.attributes["vm.migration.result"], line


@pytest.mark.parametrize("name", ["next-tcp", "next-state-rejected"])
@pytest.mark.parametrize("role", ["source", "destination"])
def test_an_announcement_that_stands_too_late(name: str, role: str, tmp_path: Path) -> None:
    """An event stands before the one that says which meaning it has: the stamps say which of them came first."""
    files = SCENARIOS[name].files
    for file, log in files.items():
        (tmp_path / file).write_bytes(log)
    (whole,) = trace_migrations(sorted(tmp_path.iterdir()))
    lines = files[f"{role}.log"].splitlines(keepends=True)
    (number,) = (number for number, line in enumerate(lines) if b"-starting " in line)
    lines[number : number + 2] = lines[number + 1], lines[number]
    (tmp_path / f"{role}.log").write_bytes(b"".join(lines))
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    assert [(span.name, span.duration_ns) for span in trace.spans] == [
        (span.name, span.duration_ns) for span in whole.spans
    ]
