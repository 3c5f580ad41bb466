"""The lines that a proof names are those whose times it uses, so that a reader who opens one finds that time there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

_RECORDINGS = sorted(
    path.parent.name for path in CORPUS.glob("*/source.log") if (path.parent / "destination.log").exists()
)


def _lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


@pytest.mark.parametrize("recording", _RECORDINGS)
def test_the_line_of_an_instant_bears_its_time(recording: str) -> None:
    """A dirty table takes thousands of lines, and is over with the last of them."""
    paths = [CORPUS / recording / f"{role}.log" for role in ("source", "destination")]
    lines = {path.name: _lines_of(path) for path in paths}
    sides = [side for each in read_findings(paths).migrations for side in each.sides]
    seen = [each for side in sides for each in side.observations if each.where.line]
    assert seen
    wrong = {
        str(each.where): each.stamp.text
        for each in seen
        if each.kind != "process_killed" and each.stamp.text not in lines[each.where.file][(each.where.line or 0) - 1]
    }
    assert wrong == {}  # what killed a process is printed without a time: it has that of the line before it
