"""A log that was rotated before anybody read it: its parts arrive in any order, and the trace is that of the whole."""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePosixPath
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from live_run import LiveRun, without_times_and_hosts
from sample import FULL, dealt
from sent_files import SentFile, requests_in_turn, scattered
from trace_invariants import CORPUS

from otelmig.live.options import LiveOptions
from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sent_files import Request

_HOSTS = {"source": "host-a", "destination": "host-b", "destination-1": "host-c"}
_KINDS = (".log", ".events.json", ".stderr")
_PLACE = re.compile(r"((?:source|destination|destination-1)\.(?:log|events\.json|stderr)):\d+")


def _comparable(line: bytes) -> str:
    """A trace without the numbers of the lines that are its evidence: each part is counted by itself."""
    return _PLACE.sub(r"\1", without_times_and_hosts(line))


@cache
def _afterwards(recording: str) -> list[str]:
    """The traces of the finished, whole logs."""
    paths = [path for path in (CORPUS / recording).iterdir() if path.name.endswith(_KINDS)]
    return sorted(_comparable(Payload.of_trace(trace).line) for trace in trace_migrations(paths))


def _batches(file: SentFile) -> list[Request]:
    """Return requests of 20 lines; a very long log comes in some fifty, as each may have all of it read again."""
    return file.batches(20 if FULL else max(20, file.data.count(b"\n") // 50))


def _parts(recording: str, random: Random, suffix: str) -> tuple[list[list[Request]], list[list[Request]]]:
    """The requests of each file: of rotations that had been made before anybody read, and of all others."""
    rotated, rest = [], []
    for path in sorted((CORPUS / recording).iterdir()):
        role = path.name.split(".")[0]
        if role not in _HOSTS or not path.name.endswith(_KINDS):
            continue
        data, name = path.read_bytes(), str(PurePosixPath("/logs") / path.name)
        if path.suffix == ".log":
            ends = [match.end() for match in re.finditer(rb"\n", data)]
            cut = random.choice(ends[:-1]) if len(ends) > 1 else 0
            if cut:
                rotated.append(_batches(SentFile(data=data[:cut], host=_HOSTS[role], path=name + suffix)))
            data = data[cut:]
        rest.append(_batches(SentFile(data=data, host=_HOSTS[role], path=name)))
    return rotated, rest


def _older_last(rotated: list[list[Request]], rest: list[list[Request]], _: Random) -> list[Request]:
    return [*requests_in_turn(rest), *requests_in_turn(rotated)]


def _in_turn(rotated: list[list[Request]], rest: list[list[Request]], _: Random) -> list[Request]:
    return requests_in_turn([*rest, *rotated])


def _in_any_order(rotated: list[list[Request]], rest: list[list[Request]], random: Random) -> list[Request]:
    return scattered([request for batches in (*rotated, *rest) for request in batches], random)


@pytest.mark.parametrize(("recording", "order"), dealt(RECORDINGS, [_older_last, _in_turn, _in_any_order]))
def test_the_trace_is_that_of_the_whole(
    recording: str,
    order: Callable[[list[list[Request]], list[list[Request]], Random], list[Request]],
    tmp_path: Path,
) -> None:
    """Both logs of a recording are cut anywhere; the service is killed now and then.

    A sample: each recording in one of the orders, in turn; `make fuzz` tries all.
    """
    random = Random(recording + order.__name__)
    rotated, rest = _parts(recording, random, random.choice([".1", ".0", "-20261101"]))
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(settle_s=5.0)) as run:
        for request in order(rotated, rest, random):
            run.take(request)
            if random.random() < 0.1:
                run.restart()
        run.wait(2000.0)
        assert sorted(map(_comparable, run.lines)) == _afterwards(recording)
