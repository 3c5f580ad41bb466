"""kill -9 at any instant: in the end every trace is there, no span is missing or changed, and the copies are counted.

``OTELMIG_FULL=1`` makes 200 runs of it.
"""

from __future__ import annotations

import os
import random
import re
import time
from typing import TYPE_CHECKING

import fork_server
import pytest
from otlp_receiver import Reply, receiver_of
from restamp import repeated
from trace_invariants import CORPUS

from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.spool import Bounds, Spool
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from otlp_receiver import Receiver

_RUNS = 200 if os.environ.get("OTELMIG_FULL") else 4
_MIGRATIONS = 100


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Processes that wrote to one file one after the other, each with a migration of its own."""
    path: Path = tmp_path_factory.mktemp("kill") / "source.log"
    path.write_bytes(repeated((CORPUS / "v53.0-basicv" / "source.log").read_bytes(), _MIGRATIONS))
    return path


@pytest.fixture(scope="module")
def spans(log: Path) -> dict[str, int]:
    """How many spans each trace has."""
    traces = [Payload.of_trace(trace) for trace in trace_migrations([log])]
    assert len(traces) == _MIGRATIONS
    return {payload.ident[:32]: payload.spans for payload in traces}


@pytest.mark.parametrize("run", range(_RUNS))
def test_killed_and_run_again(run: int, log: Path, spans: dict[str, int], tmp_path: Path) -> None:
    """Killed once, run again until it says that it is done."""
    chance = random.Random(run)
    protocol = ("http/protobuf", "grpc", "http/json")[run % 3]
    with receiver_of(protocol)() as receiver:
        receiver.reply = Reply(pause_s=chance.choice((0.0, 0.002, 0.05)) / (50 if protocol == "http/json" else 1))
        command = ["trace", "-q", str(log), "--otlp", receiver.url]
        command += ["--protocol", protocol, "--spool", str(tmp_path / "spool")]
        with fork_server.start(*command, cwd=tmp_path, environ={}) as process:
            while not receiver.headers and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.45))
            process.kill()
        _settle(receiver)
        before = {span.trace_id.hex() for span in receiver.spans}
        in_flight = _in_flight(tmp_path / "spool")
        receiver.reply = Reply()
        done = fork_server.finished(*command, cwd=tmp_path, environ={})
        assert done.returncode == 0, done.stderr
        _check_account(done.stderr.splitlines()[-1], len(in_flight))
        contents = receiver.contents()
        received: dict[str, int] = {}
        for trace_id, _ in contents:
            received[trace_id.hex()] = received.get(trace_id.hex(), 0) + 1
        assert received == spans, "every trace, every span"
        assert {len(each) for each in contents.values()} == {1}, "none with two contents"
        assert receiver.copies() == dict.fromkeys(in_flight & before, 1), "a copy of what was in flight and had arrived"


def _settle(receiver: Receiver) -> None:
    """Wait until what the killed process sent is read."""
    count = -1
    while count != len(receiver.requests):
        count = len(receiver.requests)
        time.sleep(0.05)


def _in_flight(directory: Path) -> set[str]:
    """The traces of which the spool does not know whether they were taken."""
    if not directory.exists():
        return set()
    spool = Spool(directory, Bounds())
    uncertain = {entry.ident[:32] for entry in spool.waiting() if entry.uncertain}
    spool.close()
    return uncertain


def _check_account(line: str, in_flight: int) -> None:
    match = re.fullmatch(
        r"100 migrations found, (\d+) exported(?:, (\d+) re-sent)?(?:, (\d+) already delivered)?; "
        r"0 lines not understood",
        line,
    )
    assert match is not None, line
    assert int(match[1]) + int(match[3] or 0) == _MIGRATIONS
    assert int(match[2] or 0) == in_flight
