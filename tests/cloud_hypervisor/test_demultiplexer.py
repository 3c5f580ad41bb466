"""Who wrote a log: processes one after the other or in turns, and lines that were delivered twice or overtaken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from carried_logs import logs_of, plain, shape_of
from restamp import shifted
from trace_invariants import check_traces, traced

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path


def test_restart_within_a_file(tmp_path: Path) -> None:
    """Processes that append to one log one after the other are different processes, in the order of time."""
    logs = [logs_of(name)["source"] for name in ("v53.0-basicv", "v53.0-retry", "v53.0-killsrc", "v48.0-basicv")]
    (tmp_path / "vm.log").write_bytes(b"".join(logs))
    traces = list(trace_migrations([tmp_path / "vm.log"]))
    check_traces(traces)
    results = [trace.root.attributes["vm.migration.result"] for trace in traces]
    assert results == ["success", "failure", "success", "unknown", "success"]
    assert all(trace.root.start_ns > 1_600_000_000 * 10**9 for trace in traces), "never 1970"


def test_two_processes_in_turns(tmp_path: Path) -> None:
    """Two VMs that write to one file without naming themselves are told apart by their clocks."""
    logs = logs_of("v53.0-basicv")
    other = shifted(logs["destination"], 7_000_000_000)
    lines = [
        (number, line) for log in (logs["source"], other) for number, line in enumerate(log.splitlines(keepends=True))
    ]
    (tmp_path / "both.log").write_bytes(b"".join(line for _, line in sorted(lines, key=lambda item: item[0])))
    traces = traced([tmp_path / "both.log"])
    check_traces(traces)
    assert [name for name, *_ in shape_of(traces)[0]] == [name for name, *_ in plain("v53.0-basicv")[0][0]]


@pytest.mark.parametrize("name", ["v53.0-basicv", "v53.0-dirty", "v48.0-basic"])
def test_lines_that_were_delivered_twice(name: str, tmp_path: Path) -> None:
    """A transport that delivers lines again changes nothing."""
    for role, log in logs_of(name).items():
        lines = log.splitlines(keepends=True)
        twice = [line for at, each in enumerate(lines) for line in [each] * (1 + (at % 3 == 0))]
        (tmp_path / f"{role}.log").write_bytes(b"".join(twice))
    assert shape_of(traced(sorted(tmp_path.iterdir()))) == plain(name)[0]


@pytest.mark.parametrize("name", ["v53.0-conn4", "v53.0-dirty", "v51.1-noisy", "head-postcopy"])
def test_threads_that_overtake_each_other(name: str, tmp_path: Path) -> None:
    """Lines of different threads may stand in another order than their stamps: the stamps count."""
    for role, log in logs_of(name).items():
        lines = log.splitlines(keepends=True)
        for at in range(1, len(lines)):
            one, other = (line.split(b"> ")[0].rpartition(b"<")[2] for line in lines[at - 1 : at + 1])
            if one != other and b"migrat" not in lines[at - 1] + lines[at]:
                lines[at - 1 : at + 1] = lines[at], lines[at - 1]
        (tmp_path / f"{role}.log").write_bytes(b"".join(lines))
    names = [[span for span, *_ in trace] for trace in shape_of(traced(sorted(tmp_path.iterdir())))]
    assert names == [[span for span, *_ in trace] for trace in plain(name)[0]]
