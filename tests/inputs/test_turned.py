"""Outputs with the newest line first: they are read from their end, and places stay those of the file."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from carried_logs import CARRIERS, logs_of, plain, shape_of
from trace_invariants import traced

from otelmig.inputs import log as input_log
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "v53.0-retry"
_SOURCE = "journald short-iso-precise"


def _backwards(content: bytes) -> bytes:
    return b"".join(reversed(content.splitlines(keepends=True)))


@pytest.mark.parametrize("carrier", [_SOURCE, "syslog iso", "journalctl -o json", "docker json-file", "cri"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_newest_line_first(carrier: str, pack: type[bytes], tmp_path: Path) -> None:
    """The same story as with the oldest first, with the places of the file as it was given, and a note."""
    for role, log in logs_of(_NAME).items():
        (tmp_path / f"{role}.log").write_bytes(pack(_backwards(CARRIERS[carrier](log, role))))
    paths = sorted(tmp_path.iterdir())
    findings = read_findings(paths)
    assert not findings.errors
    assert not findings.not_understood
    assert "source.log: its newest line comes first: read from its end" in findings.notes
    traces = traced(paths)
    assert (shape_of(traces), tuple(trace.trace_id for trace in traces)) == plain(_NAME)
    places = [trace.root.attributes["otelmig.evidence.start"] for trace in traces]
    numbers = [int(str(place).rpartition(":")[2]) for place in places]
    assert numbers == sorted(numbers, reverse=True)
    lines = CARRIERS[carrier](logs_of(_NAME)["source"], "source").count(b"\n")
    assert max(numbers) <= lines


def test_the_oldest_line_first_is_left_alone(tmp_path: Path) -> None:
    """So is a log that was received all at once."""
    for carrier in (_SOURCE, "github actions", "LF", "journalctl -o export", "otlp logs"):
        (tmp_path / "source.log").write_bytes(CARRIERS[carrier](logs_of(_NAME)["source"], "source"))
        ((log,),) = read_findings([tmp_path / "source.log"]).inputs.values()
        assert log.turned is None


def test_what_is_too_large_to_turn_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what would give it the other way round."""
    monkeypatch.setattr(input_log, "_LARGEST_TURNED", 1_000)
    (tmp_path / "source.log").write_bytes(_backwards(CARRIERS[_SOURCE](logs_of(_NAME)["source"], "source")))
    (error,) = read_findings([tmp_path / "source.log"]).errors
    assert "too large to be turned" in str(error)
    assert "logcli query --forward" in str(error)
