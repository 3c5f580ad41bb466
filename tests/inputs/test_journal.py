"""One journal of several processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from carried_logs import CARRIERS, PROCESS_IDS, logs_of
from restamp import shifted
from trace_invariants import check_traces, traced

if TYPE_CHECKING:
    from pathlib import Path


def _merged_journal(*streams: bytes) -> bytes:
    lines: list[bytes] = [line for stream in streams for line in stream.splitlines() if line]
    lines.sort(key=_received)
    return b"\n".join(lines) + b"\n"


def _received(line: bytes) -> int:
    return int(json.loads(line)["__REALTIME_TIMESTAMP"])


def test_several_processes_in_one_journal(tmp_path: Path) -> None:
    """Both VMs of a migration, and another migration's, in one journal are told apart by their process ids."""
    carry = CARRIERS["journalctl -o json"]
    first = [carry(log, role) for role, log in logs_of("v53.0-retry").items()]
    later = [
        carry(shifted(log, 1_500_000), role).replace(b'"%d"' % PROCESS_IDS[role], b'"%d"' % (PROCESS_IDS[role] + 1))
        for role, log in logs_of("v53.0-tls").items()
    ]
    noise = b'{"__REALTIME_TIMESTAMP":"1780000000000001","MESSAGE":"session opened","_PID":"1"}\n' * 200
    (tmp_path / "journal.json").write_bytes(noise + _merged_journal(*first, *later))
    traces = traced([tmp_path / "journal.json"])
    check_traces(traces)
    assert sorted(trace.root.attributes["vm.migration.result"] for trace in traces) == ["failure", "success", "success"]
    assert sum(trace.first("receive") is not None for trace in traces) == 2
