"""Whenever the files are looked at while they are written, the trace is that of the finished logs."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from live_run import without_times_and_hosts
from sample import dealt, every
from tailed_run import TailedRun, recorded_steps
from trace_invariants import CORPUS

from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

_LONG_S = 2000.0
"""Longer than anything is waited for."""


def _afterwards(folder: Path) -> list[str]:
    return sorted(without_times_and_hosts(Payload.of_trace(trace).line) for trace in trace_migrations([folder]))


@pytest.mark.parametrize(("recording", "kills"), dealt(every(2, RECORDINGS), [0.3, 0.0]))
def test_as_it_is_written(recording: str, kills: float, tmp_path: Path) -> None:
    """Each part of a record in a call of its own, and a look now and then, by a watcher that is killed or not.

    A sample: every other recording with one of the two, in turn; `make fuzz` takes all with both.
    """
    logs = tmp_path / "logs"
    logs.mkdir()
    with TailedRun(directory=tmp_path / "state", targets=[str(logs)]) as run:
        steps = recorded_steps(CORPUS / recording, logs)
        kills *= min(1.0, 2_000 / len(steps))  # each has the kept lines read again
        run.play(steps, Random(recording), kills=kills)
        run.wait(_LONG_S)
        assert sorted(map(without_times_and_hosts, run.lines)) == _afterwards(logs)
        assert not run.said
