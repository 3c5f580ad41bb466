"""A log that was rotated before anybody read it: its parts arrive in any order, and the trace is that of the whole.

The service reads such a log again, at little cost, before anything is made of it.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import cycle, islice
from pathlib import PurePosixPath
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from live_run import LiveRun, without_times_and_hosts
from sample import dealt, every
from sent_files import SentFile, recording_requests, requests_in_turn, scattered
from trace_invariants import CORPUS

from otelmig.live import late_lines
from otelmig.live.local.writers import writer_gone
from otelmig.live.logs import log_store
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
                rotated.append(SentFile(data=data[:cut], host=_HOSTS[role], path=name + suffix).batches(20))
            data = data[cut:]
        rest.append(SentFile(data=data, host=_HOSTS[role], path=name).batches(20))
    return rotated, rest


def _older_last(rotated: list[list[Request]], rest: list[list[Request]], _: Random) -> list[Request]:
    return [*requests_in_turn(rest), *requests_in_turn(rotated)]


def _in_turn(rotated: list[list[Request]], rest: list[list[Request]], _: Random) -> list[Request]:
    return requests_in_turn([*rest, *rotated])


def _in_any_order(rotated: list[list[Request]], rest: list[list[Request]], random: Random) -> list[Request]:
    return scattered([request for batches in (*rotated, *rest) for request in batches], random)


@pytest.mark.parametrize(
    ("recording", "order"), dealt(every(2, RECORDINGS, first=1), [_older_last, _in_turn, _in_any_order])
)
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


def _source_log(recording: str, suffix: str = "") -> SentFile:
    return SentFile(data=(CORPUS / recording / "source.log").read_bytes(), path=f"/logs/source.log{suffix}")


def _only_after_long(patch: pytest.MonkeyPatch) -> None:
    """Have no log read again for what came late before a second has passed for each line that is kept."""
    patch.setattr(late_lines, "_SHARE", 0)
    patch.setattr(late_lines, "_WAIT_S", 1.0)


@pytest.mark.parametrize("loaded", [2000, 0], ids=["in memory", "put aside"])
@pytest.mark.parametrize("recording", ["v53.0-basicv", "v53.0-retry", "v51.1-noisy"])
def test_what_came_late_is_read_before_a_trace_is_made(
    recording: str, loaded: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes until it is read, and whether its log is put aside meanwhile; other logs do not wait."""
    random = Random(recording)
    rotated, rest = _parts(recording, random, ".1")
    _only_after_long(monkeypatch)
    monkeypatch.setattr(log_store, "_MOST_LOADED", loaded)
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_older_last(rotated, rest, random))
        if loaded:
            run.wait(5.0)
            assert not run.lines
        run.wait(2000.0)
        assert sorted(map(_comparable, run.lines)) == _afterwards(recording)


def test_what_came_late_of_a_log_that_is_put_aside_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although no migration of the log was known when it was put aside."""
    lines = _source_log("v53.0-basicv").data.splitlines(keepends=True)
    _only_after_long(monkeypatch)
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(SentFile(data=b"".join(lines[-5:]), path="/logs/source.log").batches(20))
        run.feed(SentFile(data=b"".join(lines[:-5]), path="/logs/source.log.1").batches(20))
        monkeypatch.setattr(log_store, "_MOST_LOADED", 0)
        run.look()
        assert len(run.assembly.logs) == 0
        run.wait(200.0)
        assert len(run.finished) == 1


def test_what_came_late_is_read_once_nobody_writes_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sides of which no last word is known are over with their writers, lines that had not been read included."""
    recording = "v53.0-killsrc"
    rotated, rest = _parts(recording, Random(1), ".1")
    _only_after_long(monkeypatch)
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(silent_timeout_s=10_000.0)) as run:
        run.feed(_older_last(rotated, rest, Random(1)))
        for file in {request[0].file for batches in rest for request in batches}:
            writer_gone(run.assembly, file, run.now_s)
        run.wait(1000.0)
        assert sorted(map(_comparable, run.lines)) == _afterwards(recording)


def test_a_migration_of_which_all_came_late_has_a_trace(tmp_path: Path) -> None:
    """One of the same log that was known by its place, as the first of its process, was traced alone before."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_source_log("v53.0-basicv").batches(20))
        run.wait(100.0)
        run.feed(_source_log("v53.0-tls", ".1").batches(20))
        run.wait(100.0)
        assert len(run.finished) == 2


def test_what_came_late_is_read_before_the_lines_of_a_safe_trace_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration before it, of which all came after that trace was made, has a trace, too."""
    _only_after_long(monkeypatch)
    with LiveRun(directory=tmp_path / "state", keeps_safe=False) as run:
        hosts = {"source": "host-a", "destination": "host-b"}
        run.feed(recording_requests(CORPUS / "v53.0-basicv", hosts, 20))
        run.wait(5.0)
        (pair,) = run.finished
        assert len(pair.migration.sides) == 2
        run.feed(_source_log("v53.0-tls", ".1").batches(20))
        run.assembly.safe(pair)
        run.flush()
        run.wait(2000.0)
        assert len(run.finished) == 2


def _attempts(count: int) -> tuple[list[Request], list[Request]]:
    """Return the log of a process, and so many lines of attempts that had been rotated before."""
    lines = _source_log("v53.0-retry").data.splitlines(keepends=True)
    rotated = SentFile(data=b"".join(islice(cycle(lines), count)), path="/logs/source.log.1")
    return _source_log("v53.0-basicv").batches(20), rotated.batches(20)


def _read_again(count: int, directory: Path) -> int:
    """Return how often a log was read again of which so many lines came late."""
    newest, rotated = _attempts(count)
    with LiveRun(directory=directory) as run:
        run.feed([*newest, *rotated])
        return run.assembly.logs.counts.read_again


def test_a_long_log_is_read_again_a_few_times(tmp_path: Path) -> None:
    """Four times as many lines in four times as many requests: a few times more, as what is read again grows."""
    short, long = (_read_again(count, tmp_path / str(count)) for count in (1000, 4000))
    assert 0 < long - short <= 12


def test_lines_that_no_trace_needs_are_not_kept(tmp_path: Path) -> None:
    """Of those that came late no more are kept than if they had come first."""
    newest, rotated = _attempts(1000)
    kept = []
    for name, order in (("late", [*newest, *rotated]), ("first", [*rotated, *newest])):
        with LiveRun(directory=tmp_path / name) as run:
            run.feed(order)
            run.wait(1.0)
            kept.append(run.state.count_lines(run.state.logs()[0]))
    assert kept[0] == kept[1] < 1000
