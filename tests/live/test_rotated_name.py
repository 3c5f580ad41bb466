"""A log that was renamed before anything of it was read is known by the name of its rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from live_run import LiveRun, without_times_and_hosts
from sent_files import recording_requests
from trace_invariants import CORPUS

from otelmig.inputs.record import FileKey
from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path


def test_after_a_restart(tmp_path: Path) -> None:
    """Its lines are found by the log's name."""
    recording = CORPUS / "v53.0-linux"
    requests = recording_requests(recording, {"source": "host-a", "destination": "host-b"}, 25)
    requests = [request for request in requests if request[0].file.path.endswith((".log", ".events.json"))]
    with LiveRun(directory=tmp_path / "state") as run:
        for request in requests:
            rotated = [
                record._replace(file=FileKey(record.file.host, record.file.path.replace(".log", ".log.1")))
                for record in request
            ]
            run.take(rotated)
            run.restart()
        run.wait(100)
        expected = [Payload.of_trace(trace).line for trace in trace_migrations([recording])]
        made = [without_times_and_hosts(line.replace(b".log.1", b".log")) for line in run.lines]
        assert made == list(map(without_times_and_hosts, expected))
