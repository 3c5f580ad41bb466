"""Times that whoever carries a log puts in front of its lines, in the form of the hypervisor's own wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
from carried_logs import logs_of, plain, shape_of
from trace_invariants import check_traces

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

_BEGAN: Final = datetime(2026, 9, 7, 12, 0, 0, 4000, tzinfo=UTC)
_NAME: Final = "v53.0-basicv"
_SAID: Final = "the wall-clock times of its lines are not the hypervisor's"


def _stamped(lines: Iterable[bytes], seconds: Callable[[int, float], float]) -> bytes:
    """Put a time in front of each line: by its number, and the time since start that it prints."""
    text, own = b"", 0.0
    for number, line in enumerate(lines):
        if line.startswith(b"cloud-hypervisor: "):
            own = float(line.split(b"s: <")[0].removeprefix(b"cloud-hypervisor: "))
        stamp = _BEGAN + timedelta(seconds=seconds(number, own))
        text += f"{stamp:%Y-%m-%dT%H:%M:%S.%f}Z ".encode() + line
    return text


def _lines() -> list[bytes]:
    logs = logs_of(_NAME)
    return [line for role in ("source", "destination") for line in logs[role].splitlines(keepends=True)]


def test_logs_that_are_printed_at_once(tmp_path: Path) -> None:
    """A test that prints two finished logs, each line stamped as it is printed: read as without the stamps."""
    (tmp_path / "job.txt").write_bytes(_stamped(_lines(), lambda number, _: number * 37e-6))
    findings = read_findings([tmp_path / "job.txt"])
    traces = list(findings.traces(TraceOptions()))
    check_traces(traces)
    assert shape_of(traces) == plain(_NAME)[0]
    root = traces[0].root.attributes
    assert root["otelmig.clock.epoch.origin"] == "receipt"
    assert root["otelmig.clock.status"] == "bounded"
    assert "otelmig.evidence.doubts" not in root
    assert len([note for note in findings.notes if _SAID in note]) == 2


def _in_bursts(ends: Sequence[float]) -> Callable[[int, float], float]:
    return lambda number, _: ends[min(number // 7 * 7 + 6, len(ends) - 1)]


def test_lines_that_come_in_bursts(tmp_path: Path) -> None:
    """A pipe that holds lines back until it is full: the stamps fall behind and catch up, again and again."""
    logs = logs_of(_NAME)
    for role, log in logs.items():
        lines = log.splitlines(keepends=True)
        ends = [float(line.split(b"s: <")[0].removeprefix(b"cloud-hypervisor: ")) for line in lines]
        (tmp_path / f"{role}.log").write_bytes(_stamped(lines, _in_bursts(ends)))
    traces = list(read_findings(sorted(tmp_path.iterdir())).traces(TraceOptions()))
    check_traces(traces)
    assert shape_of(traces) == plain(_NAME)[0]


@pytest.mark.parametrize("late_ms", [0, 3])
def test_the_hypervisors_own_wall_clock(late_ms: int, tmp_path: Path) -> None:
    """Times that agree with the time since start are the wall clock of the host, and absolute."""
    logs = logs_of(_NAME)
    (tmp_path / "source.log").write_bytes(
        _stamped(logs["source"].splitlines(keepends=True), lambda number, own: own + number % 2 * late_ms / 1000)
    )
    findings = read_findings([tmp_path / "source.log"])
    (trace,) = findings.traces(TraceOptions())
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "wallclock"
    assert not [note for note in findings.notes if _SAID in note]


def test_a_wall_clock_that_was_set_once(tmp_path: Path) -> None:
    """One step is a clock that was set, and is named as that; it is still the hypervisor's."""
    logs = logs_of(_NAME)
    lines = logs["source"].splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b"event = pausing" in line)
    (tmp_path / "source.log").write_bytes(_stamped(lines, lambda number, own: own - 2.6 * (number >= at)))
    findings = read_findings([tmp_path / "source.log"])
    (trace,) = findings.traces(TraceOptions())
    doubts = trace.root.attributes["otelmig.evidence.doubts"]
    assert isinstance(doubts, tuple)
    assert all(str(doubt).startswith("the wall clock was set, by -2") for doubt in doubts)
    assert not [note for note in findings.notes if _SAID in note]
