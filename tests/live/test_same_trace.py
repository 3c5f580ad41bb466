"""Whatever the order in which lines come in, the trace is that of the finished logs."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from live_run import LiveRun, without_times_and_hosts
from sample import every
from sent_files import json_lines, protobuf_bodies, recording_requests, scattered
from trace_invariants import CORPUS

from otelmig.live.options import LiveOptions
from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from sent_files import Request

_HOSTS = {"source": "host-a", "destination": "host-b", "destination-1": "host-c"}
_KINDS = (".log", ".events.json", ".stderr")
_LONG_S = 2000.0
"""Longer than anything is waited for."""


@cache
def _afterwards(recording: str) -> list[str]:
    """The traces of the finished logs."""
    paths = [path for path in (CORPUS / recording).iterdir() if path.name.endswith(_KINDS)]
    return sorted(without_times_and_hosts(Payload.of_trace(trace).line) for trace in trace_migrations(paths))


def _requests(recording: str, *sizes: int) -> list[Request]:
    requests = recording_requests(CORPUS / recording, _HOSTS, *sizes)
    return [request for request in requests if request[0].file.path.endswith(_KINDS)]


def _batch(recording: str) -> int:
    """Return how many lines are sent at once: very long logs come in a few hundred requests, too."""
    return max(5, sum(path.read_bytes().count(b"\n") for path in (CORPUS / recording).glob("*.log")) // 300)


def _without_fate(line: bytes) -> bytes:
    return b"" if b'"vm.migration.guest.fate"' in line else line


def _traces(run: LiveRun) -> list[str]:
    return sorted(map(without_times_and_hosts, run.lines))


@pytest.mark.parametrize("recording", RECORDINGS)
def test_in_turn(recording: str, tmp_path: Path) -> None:
    """A request a batch of lines, as they were written."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_requests(recording, 7))
        run.wait(_LONG_S)
        assert _traces(run) == _afterwards(recording)


@pytest.mark.parametrize("recording", every(2, RECORDINGS))
def test_in_any_order_with_copies_and_restarts(recording: str, tmp_path: Path) -> None:
    """Requests that overtake each other and come twice, to a service that is killed now and then.

    A sample: every other recording; `make fuzz` takes all of them.
    """
    random = Random(recording)
    bodies = protobuf_bodies(scattered(_requests(recording, 3, 1, 20, _batch(recording)), random))
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(settle_s=5.0)) as run:
        for body in bodies:
            if random.random() < min(0.05, 4 / len(bodies)):
                run.restart()
            run.take_body(body, flush=random.random() < min(0.5, 30 / len(bodies)))
        run.restart()
        run.wait(_LONG_S)
        assert _traces(run) == _afterwards(recording)


@pytest.mark.parametrize("recording", ["v53.0-linux", "v51.1-basic", "v53.0-retry", "head-postcopy"])
def test_killed_before_anything_was_worked_off(recording: str, tmp_path: Path) -> None:
    """Requests that were on the disk when the service was killed are worked off by the next one."""
    bodies = protobuf_bodies(_requests(recording, 9))
    with LiveRun(directory=tmp_path / "state") as run:
        for body in bodies:
            run.take_body(body, work_off=False)
        run.restart()
        run.wait(_LONG_S)
        assert _traces(run) == _afterwards(recording)
        assert not list(run.state.requests())


@pytest.mark.parametrize("recording", ["v53.0-linux", "v48.0-basicv", "v52.0-basic"])
def test_a_trace_that_is_not_safe_is_made_again(recording: str, tmp_path: Path) -> None:
    """A service that is killed between making a trace and keeping it makes the same trace again."""
    with LiveRun(directory=tmp_path / "state", keeps_safe=False) as run:
        run.feed(_requests(recording, 7))
        run.wait(_LONG_S)
        first = list(run.lines)
        assert first
        run.restart()
        run.wait(_LONG_S)
        assert run.lines == first * 2


@pytest.mark.parametrize("recording", ["v53.0-linux", "v48.0-basicv", "v52.0-basic", "v53.0-retry"])
def test_a_trace_that_is_safe_is_not_made_again(recording: str, tmp_path: Path) -> None:
    """Neither after a restart, nor when all its lines come once more."""
    requests = _requests(recording, 7)
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(requests)
        run.wait(_LONG_S)
        first = list(run.lines)
        run.restart()
        run.feed(requests)
        run.wait(_LONG_S)
        assert run.lines == first


@pytest.mark.parametrize("recording", every(2, RECORDINGS, first=1))
def test_a_copy_of_the_records_gives_the_same_bytes(recording: str, tmp_path: Path) -> None:
    """What the Collector's file exporter kept of the same requests, traced afterwards.

    A sample: every other recording; `make fuzz` takes all of them.
    """
    random = Random(recording)
    requests = scattered(_requests(recording, 5, 30), random)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(json_lines(requests))
    afterwards = {_without_fate(Payload.of_trace(trace).line) for trace in trace_migrations([copy])}
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(settle_s=5.0)) as run:
        for number, body in enumerate(protobuf_bodies(requests)):
            run.take_body(body, flush=not number % 10)
        run.wait(_LONG_S)
        assert {_without_fate(line) for line in run.lines} == afterwards
