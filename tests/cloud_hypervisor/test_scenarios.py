"""Every way in which a migration can end, in the words of every release, held against what its trace must say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS
from trace_invariants import check_traces, traced

from otelmig.otlp.encoding.json_lines import json_line

if TYPE_CHECKING:
    from pathlib import Path

    from scenarios import Attempt

    from otelmig.trace.span import Trace

_MS = 10**6


def _written(name: str, folder: Path) -> list[Path]:
    """The files of the scenario, written to ``folder``."""
    paths = []
    for file, content in SCENARIOS[name].files.items():
        path = folder / file
        path.write_bytes(content)
        paths.append(path)
    return paths


def _claimed(trace: Trace, wanted: Attempt) -> dict[str, tuple[object, object]]:
    """What ``wanted`` says of the root, and what the trace says, by the attribute's name."""
    root = trace.root.attributes
    claims: dict[str, object] = {
        "vm.migration.result": wanted.result,
        "error.type": wanted.error_type,
        "vm.migration.mode": wanted.mode,
        "vm.migration.guest.location": wanted.guest_location,
        "vm.migration.guest.running": wanted.guest_running,
        "vm.migration.memory.iteration.count": wanted.iterations,
    }
    return {name: (value, root.get(name)) for name, value in claims.items()}


def _check_lengths(trace: Trace, wanted: Attempt) -> None:
    for name, ms in (("downtime", wanted.downtime_ms), ("rollback", wanted.rollback_ms)):
        if ms is not None:
            span = trace.first(name)
            assert span is not None
            assert span.duration_ns // _MS == ms, name


def _check_clock(trace: Trace, wanted: Attempt) -> None:
    """The proved interval holds the true offset."""
    receive = trace.first("receive")
    if receive is None:
        return
    for end, sign in (("min", 1), ("max", -1)):
        proved = receive.attributes.get(f"otelmig.clock.offset.{end}")
        if proved is not None:
            assert isinstance(proved, float)
            assert sign * proved <= sign * wanted.clock_offset_s


def _check_attempt(trace: Trace, wanted: Attempt) -> None:
    claims = _claimed(trace, wanted)
    assert {name: found for name, (_, found) in claims.items()} == {name: claim for name, (claim, _) in claims.items()}
    names = {span.name for span in trace.spans}
    assert wanted.spans <= names, f"not there: {sorted(wanted.spans - names)}"
    assert not wanted.absent & names
    _check_lengths(trace, wanted)
    assert {span.name for span in trace.spans if span.error is not None} == wanted.erroring
    _check_clock(trace, wanted)
    if wanted.describes is not None:
        assert wanted.describes in (trace.root.error or "")
    if wanted.convergence is not None:
        precopy = trace.first("precopy")
        assert precopy is not None
        assert precopy.attributes.get("vm.migration.convergence.reason") == wanted.convergence


@pytest.mark.parametrize("name", SCENARIOS)
def test_traces_say_what_happened(name: str, tmp_path: Path) -> None:
    """One valid trace per attempt, with its result, its error, the guest's whereabouts and its phases."""
    traces = traced(_written(name, tmp_path))
    check_traces(traces)
    assert len(traces) == len(SCENARIOS[name].attempts)
    for trace, wanted in zip(traces, SCENARIOS[name].attempts, strict=True):
        _check_attempt(trace, wanted)


@pytest.mark.parametrize("name", SCENARIOS)
def test_order_of_files_does_not_matter(name: str, tmp_path: Path) -> None:
    """The same files in reverse order give the same bytes."""
    paths = _written(name, tmp_path)
    forwards, backwards = ([json_line(trace) for trace in traced(each)] for each in (paths, paths[::-1]))
    assert forwards == backwards
