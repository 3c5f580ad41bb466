"""Logs with holes of NULs, while they are followed and afterwards: the trace is that of the log without them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from live_run import LiveRun, without_times_and_hosts
from sent_files import SentFile
from tailed_run import TailedRun
from trace_invariants import CORPUS

from otelmig.live.options import LiveOptions
from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

_RECORDING = CORPUS / "v53.0-basicv"
_LOGS = ("source.log", "destination.log")


def _afterwards() -> list[str]:
    traces = trace_migrations([_RECORDING / name for name in _LOGS])
    return [without_times_and_hosts(Payload.of_trace(trace).line) for trace in traces]


@pytest.mark.parametrize("size", [4_096, (1 << 20) - 100, 50 << 20])
@pytest.mark.parametrize("cut", [b"cloud-hyp", b"Sending migration"], ids=["beginning", "between lines"])
@pytest.mark.parametrize("kills", [False, True], ids=["", "killed"])
def test_a_trace_of_a_growing_log_with_a_hole(cut: bytes, size: int, tmp_path: Path, *, kills: bool) -> None:
    """Evidence names the same lines, nothing waits for lines that never come, and nothing is counted as lost."""
    (tmp_path / "logs").mkdir()
    log = (_RECORDING / "source.log").read_bytes()
    at = log.index(b"\n", log.index(cut)) + 1 if b" " in cut else 0
    path = tmp_path / "logs" / "source.log"
    options = LiveOptions(partner_timeout_s=1000.0)
    with TailedRun(directory=tmp_path / "state", targets=[str(tmp_path / "logs")], options=options) as run:
        (tmp_path / "logs" / "destination.log").write_bytes((_RECORDING / "destination.log").read_bytes())
        with path.open("wb", buffering=0) as file:
            file.write(log[:at])
            run.follow()
            os.truncate(path, at + size)
            run.follow()
            if kills:
                run.restart()
            file.seek(0, os.SEEK_END)
            file.write(log[at:])
            run.follow()
            if kills:
                run.restart()
        run.follow()
        run.wait(10.0)
        assert [without_times_and_hosts(line) for line in run.lines] == _afterwards()
        assert run.assembly.files.lost == 0
        assert [said for said in run.said if "NUL" in said] == (
            [f"{path}:31: {size} bytes are NUL: whatever was written there is not in the file"] if at else []
        )


def test_what_a_crash_left_of_a_line_is_not_taken_for_one(tmp_path: Path) -> None:
    """A Collector sends both as one line: the message behind the hole is read, and none before it."""
    lines = (_RECORDING / "source.log").read_bytes().splitlines(keepends=True)
    torn = lines[30][:-10] + bytes(5_000) + lines[30]
    destination = SentFile(data=(_RECORDING / "destination.log").read_bytes(), host="host-b", path="/logs/vm.log")
    made = []
    for name, line in (("whole", lines[30]), ("torn", torn)):
        source = SentFile(data=b"".join((*lines[:30], line, *lines[31:])), path="/logs/vm.log")
        with LiveRun(directory=tmp_path / name) as run:
            run.feed([*source.batches(20), *destination.batches(20)])
            run.wait(100.0)
            made.append(run.lines)
    assert len(made[0]) == 1
    assert made[0] == made[1]
