"""`otelmig watch` as a process of its own: killed at any instant, ended in time, and what it says to scripts.

``OTELMIG_FULL=1`` kills it in 200 rounds.
"""

from __future__ import annotations

import json
import os
import signal
import time
from random import Random
from typing import TYPE_CHECKING, Final

import fork_server
import pytest
from otlp_receiver import http_receiver
from output_schemas import validated
from replay import Playback, Player, rotated, steps_of
from trace_invariants import CORPUS

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from otlp_receiver import Receiver
    from replay import Step

_ROUNDS: Final = 200 if os.environ.get("OTELMIG_FULL") else 5
_APART_NS: Final = 100 * 10**9
_LONG_S: Final = 30.0
_LAST_WORD: Final = b"migration-receive-finished"


def _steps(logs: Path, number: int, random: Random) -> list[Step]:
    """Return what two hypervisors write that migrate a VM of its own; one log is rotated in the middle of a record."""
    playback = Playback(
        begin_ns=1_780_000_000 * 10**9 + number * _APART_NS,
        names={"source": f"vm{number}-source", "destination": f"vm{number}-destination"},
    )
    steps = steps_of(CORPUS / "v53.0-wallclock", dict.fromkeys(("source", "destination"), logs), playback)
    path = logs / f"vm{number}-{random.choice(('source', 'destination'))}.log"
    records = sorted({step.record for step in steps if step.path == path and step.record})
    return rotated(steps, path, random.choice(records[5:-5]), path.with_name(f"{path.name}.1"))


def _start(tmp_path: Path, *arguments: str) -> fork_server.Process:
    command = ["watch", str(tmp_path / "logs"), "--state", str(tmp_path / "state"), *arguments]
    return fork_server.start(*command, cwd=tmp_path, environ={})


def _await(receiver: Receiver, traces: int) -> None:
    until = time.monotonic() + _LONG_S
    while len({span.trace_id for span in receiver.spans}) < traces:
        assert time.monotonic() < until, f"{traces} traces were expected"
        time.sleep(0.02)


def test_killed_at_random_instants(tmp_path: Path) -> None:
    """Each migration is at the receiver in the end, with one content, whatever is rotated meanwhile."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with http_receiver() as receiver:
        watcher = _start(tmp_path, "-q", "--otlp", receiver.url)
        for number in range(_ROUNDS):
            random = Random(number)
            steps = _steps(logs, number, random)
            kill_at = random.randrange(len(steps) * 2)  # half of them while it is written, half of them after it
            player = Player()
            for at, step in enumerate(steps):
                if at == kill_at:
                    watcher.close()
                    watcher = _start(tmp_path, "-q", "--otlp", receiver.url)
                player.do(step)
                if random.random() < 0.01:
                    time.sleep(random.uniform(0, 0.1))
            player.close()
            if kill_at >= len(steps):
                time.sleep(random.uniform(0, 1.2))
                watcher.close()
                watcher = _start(tmp_path, "-q", "--otlp", receiver.url)
        _await(receiver, _ROUNDS)
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(5) == 0
        watcher.close()
        expected = {trace.trace_id for trace in trace_migrations([logs])}
        assert {span.trace_id.hex() for span in receiver.spans} == expected
        assert {len(each) for each in receiver.contents().values()} == {1}
        copies = receiver.copies().total()
        assert copies <= _ROUNDS, "a kill between the receiver's answer and its receipt makes one copy, no more"


@pytest.mark.parametrize(("recording", "code"), [("v53.0-basicv", 0), ("v53.0-refused", 1)])
def test_once(recording: str, code: int, tmp_path: Path) -> None:
    """It ends after the first migration, and its exit code says how that ended; each line on stdout is an event."""
    (tmp_path / "logs").mkdir()
    with _start(tmp_path, "--once", "--json", "--end-after", "60", "--partner-timeout", "0.5") as watcher:
        playback = Playback(begin_ns=1_780_000_000 * 10**9)
        folders = {role: tmp_path / "logs" / role for role in ("source", "destination")}
        player = Player()
        for step in steps_of(CORPUS / recording, folders, playback):
            player.do(step)
        player.close()
        out, _ = watcher.communicate()
        assert watcher.returncode == code
    events = [validated(line) for line in out.splitlines()]
    assert {event["schema"] for event in events} == {"otelmig.watch/1"}
    assert events[-1]["event"] == "traced"
    assert events[-1]["migration"]["trace_id"] in {trace.trace_id for trace in trace_migrations([tmp_path / "logs"])}
    assert "closed" in {event["event"] for event in events}


def test_no_migration_in_time(tmp_path: Path) -> None:
    """With `--once` that is what the exit code says; without, time is over and all is well."""
    (tmp_path / "logs").mkdir()
    for arguments, code in ((["--once"], 4), ([], 0)):
        with _start(tmp_path, "--end-after", "0.1", *arguments) as watcher:
            watcher.communicate()
            assert watcher.returncode == code


def test_a_killed_hypervisor_is_traced_when_its_log_is_closed(tmp_path: Path) -> None:
    """Not after the time for which an attempt may be silent."""
    (tmp_path / "logs").mkdir()
    steps = steps_of(
        CORPUS / "v53.0-killsrc",
        dict.fromkeys(("source", "destination"), tmp_path / "logs"),
        Playback(begin_ns=1_780_000_000 * 10**9),
    )
    with _start(tmp_path, "--once", "--json", "--partner-timeout", "1") as watcher:
        player = Player()
        for step in steps:
            player.do(step)
        player.close()
        out, _ = watcher.communicate(_LONG_S)
    traced = json.loads(out.splitlines()[-1])
    assert traced["migration"]["trace_id"] in {trace.trace_id for trace in trace_migrations([tmp_path / "logs"])}
