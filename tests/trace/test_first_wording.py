"""The lines with which the breakdown of the downtime was first proposed, alone in two logs: one trace, its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trace_invariants import check_traces

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.rows import downtime_rows
from otelmig.views.summary import summary

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace

_BREAKDOWN = (
    "cloud-hypervisor:   7.703300s: <vmm> DEBUG:vmm/src/lib.rs:1490 -- Migration downtime breakdown: "
    "final_memory_delta=55ms snapshot=2ms sending_snapshot=7ms completing=1ms\r\n"
)
_COMPLETED = (
    "cloud-hypervisor:   7.703402s: <vmm> INFO:vmm/src/lib.rs:1494 -- Migration complete: "
    "actual downtime was 68ms and migration took 0.96s\r\n"
)
_STATE = (
    "cloud-hypervisor:   3.100000s: <vmm> INFO:vmm/src/lib.rs:900 -- "
    "Migration (incoming): receiving state took {}ms\r\n"
)
_RESUMED = "cloud-hypervisor:   3.101500s: <vmm> INFO:vmm/src/lib.rs:950 -- Migration (incoming): resuming took 1ms\r\n"


def _traces(folder: Path, source: str, *, receiving_ms: int = 9) -> list[Trace]:
    (folder / "source.log").write_text(source, newline="")
    (folder / "destination.log").write_text(_STATE.format(receiving_ms) + _RESUMED, newline="")
    return list(read_findings(sorted(folder.iterdir())).traces(TraceOptions()))


@pytest.mark.parametrize("source", [_BREAKDOWN + _COMPLETED, _COMPLETED + _BREAKDOWN], ids=["before", "after"])
def test_the_lines_alone_are_one_trace(source: str, tmp_path: Path) -> None:
    """Receiving the state took 9 ms, because it began with the wait for it: 2 ms of snapshot, 7 ms on the way."""
    traces = _traces(tmp_path, source)
    check_traces(traces)
    (trace,) = traces
    assert set(trace.resources) == {"source", "destination"}
    downtime = trace.first("downtime")
    assert downtime is not None
    printed = {
        name.removeprefix("vm.migration.downtime."): value
        for name, value in downtime.attributes.items()
        if name.startswith("vm.migration.downtime.")
    }
    assert printed.pop("unaccounted.duration") == pytest.approx(0.003, abs=1e-5)
    parts = {"final_delta": 0.055, "snapshot": 0.002, "send": 0.007, "complete": 0.001}
    assert printed == {"duration": 0.068} | {f"{name}.duration": value for name, value in parts.items()}
    document = summary(trace)
    assert document["result"] == "success"
    assert trace.root.attributes["vm.migration.duration"] == 0.96
    assert document["destination"] == pytest.approx({"restore_s": 0.009, "resume_s": 0.001}, abs=1e-5)


@pytest.mark.parametrize("receiving_ms", [5, 7, 9])
def test_receiving_with_its_wait_is_no_part_of_sending(receiving_ms: int, tmp_path: Path) -> None:
    """Even where its length would fit: it began before the request was sent."""
    (trace,) = _traces(tmp_path, _BREAKDOWN + _COMPLETED, receiving_ms=receiving_ms)
    restore, downtime = trace.first("restore"), trace.first("downtime")
    assert restore is not None
    assert downtime is not None
    parents = [span for span in trace.spans if span.span_id == restore.parent_id]
    assert [parent.name for parent in parents] == ["receive"]
    assert restore.attributes["vm.migration.restore.with_wait"] is True
    rows = [row.label for row in downtime_rows(trace, list(trace.children(downtime)))]
    assert "restore" in rows
    assert rows.index("restore") < rows.index("send") or receiving_ms < 7


def test_a_breakdown_without_its_completion_is_an_attempt(tmp_path: Path) -> None:
    """The line alone still says that a migration stopped its guest here."""
    (tmp_path / "source.log").write_text(_BREAKDOWN, newline="")
    (trace,) = read_findings([tmp_path / "source.log"]).traces(TraceOptions())
    assert trace.root.attributes["vm.migration.result"] == "unknown"
