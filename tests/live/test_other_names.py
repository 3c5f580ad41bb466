"""Event streams whose names do not say beside which log they stand: what both tell does."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from live_run import LiveRun, without_times_and_hosts
from sample import every
from sent_files import protobuf_bodies, recording_requests, scattered
from trace_invariants import CORPUS

from otelmig.live.options import LiveOptions
from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from sent_files import Request

_HOSTS = {"source": "host-a", "destination": "host-b", "destination-1": "host-c"}
_EVENTS = ".events.json"
_WITH_EVENTS = [each for each in RECORDINGS if list((CORPUS / each).glob(f"*{_EVENTS}"))]
_LONG_S = 2000.0


def _paths(recording: str) -> list[Path]:
    return sorted(path for path in (CORPUS / recording).iterdir() if path.name.endswith((".log", _EVENTS)))


@cache
def _afterwards(recording: str) -> list[str]:
    """The traces of the finished logs."""
    return sorted(_comparable(Payload.of_trace(trace).line) for trace in trace_migrations(_paths(recording)))


def _comparable(line: bytes) -> str:
    return without_times_and_hosts(line.replace(b".events.json", b"").replace(b"monitor-", b""))


def _requests(recording: str, *sizes: int) -> list[Request]:
    """What the hosts send, with event streams in another folder, under names of another kind."""
    requests = recording_requests(CORPUS / recording, _HOSTS, *sizes)
    return [
        [record._replace(file=record.file._replace(path=_name(record.file.path))) for record in request]
        for request in requests
        if request[0].file.path.endswith((".log", _EVENTS))
    ]


def _name(path: str) -> str:
    return path.replace("/logs/", "/run/ch/monitor-").removesuffix(_EVENTS) if path.endswith(_EVENTS) else path


def _traces(run: LiveRun) -> list[str]:
    return sorted(map(_comparable, run.lines))


@pytest.mark.parametrize("recording", every(2, _WITH_EVENTS, first=1))
def test_one_trace_with_the_events_in_it(recording: str, tmp_path: Path) -> None:
    """It is the one of the finished files. A sample: every other recording; `make fuzz` takes all of them."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_requests(recording, 7))
        run.wait(_LONG_S)
        assert _traces(run) == _afterwards(recording)


@pytest.mark.parametrize("recording", ["v53.0-linux", "v52.0-basic", "v51.1-basic", "v48.0-basicv", "head-postcopy"])
def test_in_any_order_with_restarts(recording: str, tmp_path: Path) -> None:
    """What was found to stand beside a log is known to the next service, too."""
    random = Random(recording)
    bodies = protobuf_bodies(scattered(_requests(recording, 3, 1, 20, 5), random))
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(settle_s=5.0)) as run:
        for body in bodies:
            if random.random() < min(0.05, 4 / len(bodies)):
                run.restart()
            run.take_body(body, flush=random.random() < min(0.5, 60 / len(bodies)))
        run.restart()
        run.wait(_LONG_S)
        assert _traces(run) == _afterwards(recording)


@pytest.mark.parametrize("restarts", [False, True])
def test_nothing_is_known_any_more_once_both_processes_are_gone(tmp_path: Path, *, restarts: bool) -> None:
    """Neither lines, nor names, nor what stands beside what."""
    with LiveRun(directory=tmp_path / "state") as run:
        for number, request in enumerate(_requests("v53.0-basicv", 7)):
            run.take(request)
            if restarts and number % 10 == 0:
                run.wait(5)
                run.restart()
        run.wait(50)
        assert len(run.state.beside()) == 2
        if restarts:
            run.restart()
        run.wait(_LONG_S)
        assert not run.state.beside()
        assert not run.state.logs()
        assert len(run.lines) == 1


def test_a_stream_of_a_process_without_a_log_is_a_side_by_itself(tmp_path: Path) -> None:
    """A log of the same host that tells other things is another process's."""
    own = [each for each in _requests("v53.0-basicv", 7) if "/monitor-" in each[0].file.path]
    other = [each for each in _requests("v52.0-basic", 7) if each[0].file.path.endswith(".log")]
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(own)
        run.feed(other)
        run.wait(_LONG_S)
        assert not run.state.beside()
        assert sorted(len(finished.migration.sides) for finished in run.finished) == [2, 2]
