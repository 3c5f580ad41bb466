"""What a live command does between its input and its output: what is due, errors, and room in the state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from live_run import LiveRun
from sent_files import recording_requests
from trace_invariants import CORPUS

from otelmig.errors import StateError
from otelmig.live.outlet import Outlet, TraceFile
from otelmig.live.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _work(run: LiveRun, file: TraceFile, said: list[str]) -> Work:
    outlet = Outlet(open_delivery=None, file=file, on_trace=lambda _: None, wake=lambda: None, say=said.append)
    return Work(
        state=run.state,
        assembly=run.assembly,
        outlet=outlet,
        say=said.append,
        on_fate=lambda _: None,
        flush_s=1.0,
        flushes_first=True,
    )


@pytest.mark.parametrize("most_bytes", [1 << 30, 1])
def test_room_is_made_in_time(most_bytes: int, tmp_path: Path) -> None:
    """For `watch` as for `serve`: a state that is nearly full has what waits longest traced as it stands."""
    file, said = TraceFile(tmp_path / "traces.jsonl"), list[str]()
    with LiveRun(directory=tmp_path / "state") as run:
        run.now_s = time.monotonic()
        run.feed(recording_requests(CORPUS / "v53.0-basicv", {"destination": "host-b"}, 50))
        work = _work(run, file, said)
        run.state.most_bytes = most_bytes
        work.look_around()
        file.close()
        assert work.state_bytes > 0
        assert bool(run.assembly.waiting.hurried) == (most_bytes == 1)
    assert not said


def _full() -> None:
    raise StateError("state: the disk is full")


def _wrong() -> None:
    raise ValueError("of otelmig's own")


@pytest.mark.parametrize(("fails", "faults"), [(_full, 0), (_wrong, 3)])
def test_no_error_ends_the_work(fails: Callable[[], None], faults: int, tmp_path: Path) -> None:
    """One that comes again and again is said once; a full disk is no fault of otelmig."""
    file, said = TraceFile(tmp_path / "traces.jsonl"), list[str]()
    with LiveRun(directory=tmp_path / "state") as run:
        work = _work(run, file, said)
        for _ in range(3):
            with work.guarded("a request"):
                fails()
    file.close()
    assert (len(said), work.faults) == (1, faults)
    with pytest.raises(KeyboardInterrupt), work.guarded("a request"):
        raise KeyboardInterrupt
