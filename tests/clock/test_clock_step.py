"""A wall clock that was set while its log was written: found in that log alone; nothing is claimed across it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clock_states import moved_from
from scenarios import SCENARIOS
from trace_invariants import CORPUS, RECORDINGS, check_traces, inputs

from otelmig.clock.clock_step import steps_seen_in
from otelmig.migration.stamp import ClockDomain
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

_MS = 10**6
_NAME = "v53.0-twohosts"
_LOGS = ("source.log", "destination.log")


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_clock_of_the_recordings_was_set(name: str) -> None:
    """Waiting for the lock, rounding and slewing are not taken for it."""
    for found in read_findings(inputs(name)).migrations:
        for side in found.sides:
            assert not steps_seen_in(side), side.name


@pytest.mark.parametrize("by_ms", [-600, -50, 50, 600])
@pytest.mark.parametrize(("file", "line"), [("source.log", 118), ("destination.log", 38)])
def test_a_setting_inside_the_downtime(file: str, line: int, by_ms: int, tmp_path: Path) -> None:
    """No constraint need contradict another: what the lines print of a monotonic clock says when, and by how much."""
    for name in _LOGS:
        log = (CORPUS / _NAME / name).read_bytes()
        (tmp_path / name).write_bytes(moved_from(log, line + 1, by_ms) if name == file else log)
    findings = read_findings([tmp_path / name for name in _LOGS])
    (found,) = findings.migrations
    side = found.source if file == "source.log" else found.destination
    assert side is not None
    assert side.vmm.domain is ClockDomain.REALTIME
    setting = steps_seen_in(side)[0]
    assert setting.lo_ns is not None
    assert setting.hi_ns is not None
    assert setting.lo_ns <= by_ms * _MS <= setting.hi_ns
    assert setting.first.where.line <= line < setting.second.where.line
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    received = trace.first("receive")
    assert received is not None
    assert trace.root.attributes["otelmig.clock.status"] == "conflict"
    assert "vm.migration.blackout.duration" not in trace.root.attributes
    assert trace.root.attributes["otelmig.evidence.doubts"]


@pytest.mark.parametrize("by_ms", [-100, 100])
def test_the_printed_downtime_tells_without_a_monotonic_clock(by_ms: int, tmp_path: Path) -> None:
    """A downtime that the hypervisor timed cannot be longer or shorter by that much than the stamps around it."""
    for name in _LOGS:
        log = (CORPUS / "v53.0-wallclock" / name).read_bytes()
        (tmp_path / name).write_bytes(moved_from(log, 118, by_ms) if name == "source.log" else log)
    for found in read_findings([tmp_path / name for name in _LOGS]).migrations:
        if found.source is not None:
            assert steps_seen_in(found.source)


@pytest.mark.parametrize(("short_us", "was_set"), [(0, False), (30, False), (200, True)])
def test_a_clock_that_is_slewed_is_not_set(short_us: int, tmp_path: Path, *, was_set: bool) -> None:
    """The stamps around a downtime of 103 ms may be 500 ppm of it nearer: so slow a clock may be made to run."""
    log = SCENARIOS["v52.0-wallclock"].files["source.log"]
    between_ms = 1220.2 - 1115.2
    at = log[: log.index(b"Migration completed after")].count(b"\n") + 1
    log = moved_from(log, at, 103 - between_ms - short_us / 1e3)
    (tmp_path / "source.log").write_bytes(log)
    (found,) = read_findings([tmp_path / "source.log"]).migrations
    assert found.source is not None
    assert bool(steps_seen_in(found.source)) == was_set
