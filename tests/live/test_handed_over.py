"""Two services of one consumer group: what was not committed is handed over, and both may export one migration.

Neither knows of the other. What one got without its beginning it counts itself; what both got whole is a copy, which
shows in what both say they exported.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING

import fork_server
import pytest
from feeding import RECORDINGS
from intake_client import ask
from live_run import LiveRun
from otlp_receiver import free_port, http_receiver
from output_schemas import validated
from sample import FULL, dealt, every
from sent_files import protobuf_bodies, recording_requests
from trace_invariants import CORPUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from otlp_receiver import Receiver
    from sent_files import Request

_HOSTS = {"source": "host-a", "destination": "host-b", "destination-1": "host-c"}
_KINDS = (".log", ".events.json", ".stderr")
_LONG_S = 30.0
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""How much the first service got, of all requests."""
_IN_TURN = [_SHARES] if FULL else [(0.1, 0.7), (0.3, 0.9), (0.5, 1.0)]


def _batch(recording: str) -> int:
    """Return how many lines are sent at once: very long logs come in some hundred requests, unless all is tried."""
    lines = sum(path.read_bytes().count(b"\n") for path in (CORPUS / recording).glob("*.log"))
    return 5 if FULL else max(5, lines // 100)


def _requests(recording: str) -> list[Request]:
    requests = recording_requests(CORPUS / recording, _HOSTS, _batch(recording))
    return [request for request in requests if request[0].file.path.endswith(_KINDS)]


def _made(directory: Path, requests: Iterable[Request]) -> tuple[set[bytes], int]:
    """The traces that a service of its own makes of requests, and of how many files it has not the beginning."""
    with LiveRun(directory=directory) as run:
        run.feed(requests)
        run.wait(3000.0)
        return set(run.lines), run.assembly.files.without_beginning


@pytest.mark.parametrize(("recording", "shares"), dealt(every(2, RECORDINGS), _IN_TURN), ids=str)
def test_who_takes_over_knows_what_it_lacks(recording: str, shares: Sequence[float], tmp_path: Path) -> None:
    """Wherever the hand-over is: if both export something, they are copies, or the second says what it lacks.

    What was not committed (the last few requests) comes to both. A sample: each recording with two hand-overs of six,
    in turn; `make fuzz` tries all.
    """
    random = Random(recording)
    requests = _requests(recording)
    whole, lacking = _made(tmp_path / "whole", requests)
    assert lacking == 0
    for number, share in enumerate(shares):
        cut = max(1, int(share * len(requests)))
        again = cut if share == 1.0 else random.randrange(4)
        first, lacking_first = _made(tmp_path / f"{number}-first", requests[:cut])
        second, lacking_second = _made(tmp_path / f"{number}-second", requests[cut - again :])
        assert lacking_first == 0
        if share == 1.0:
            assert first == second == whole
            assert lacking_second == 0
        elif first - second and second - first:
            assert lacking_second > 0


class _Service:
    """One `otelmig serve` with a state of its own."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        self._port = free_port()
        command = ["serve", "-q", "--listen", f"127.0.0.1:{self._port}", "--state", str(directory / "state")]
        command += ["--otlp", receiver.url, "--spool", str(directory / "spool"), "--partner-timeout", "2"]
        command += ["--silent-timeout", "4"]
        directory.mkdir()
        self.process = fork_server.start(*command, cwd=directory, environ={})

    def send(self, bodies: Sequence[bytes]) -> None:
        """Send requests until each was taken."""
        until_s = time.monotonic() + _LONG_S
        for body in bodies:
            while ask(self._port, "POST", "/v1/logs", body)[0] != HTTPStatus.OK:
                assert time.monotonic() < until_s
                time.sleep(0.05)

    def status(self) -> Mapping[str, Any]:
        """What the service says of itself."""
        status, body = ask(self._port, "GET", "/status")
        return validated(body) if status == HTTPStatus.OK else {}

    def exported(self) -> int:
        """How many traces it says the receiver has taken from it."""
        traces = self.status().get("traces")
        return traces["delivery"]["exported"]["traces"] if traces else 0


def _await(services: Sequence[_Service], exported: Sequence[int]) -> None:
    """Wait until the services have exported so many traces, and nothing is under way."""
    until_s = time.monotonic() + _LONG_S
    while True:
        is_there = [service.exported() for service in services] == list(exported)
        if is_there and not any(service.status()["under_way_count"] for service in services):
            return
        assert time.monotonic() < until_s, [json.dumps(service.status()) for service in services]
        time.sleep(0.1)


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_two_services_export_no_more_than_they_say(share: float, tmp_path: Path) -> None:
    """A migration through both of them: what the receiver got twice is what they exported beyond its traces."""
    requests = _requests("v53.0-basicv")
    bodies = protobuf_bodies(requests)
    cut = int(share * len(bodies))
    with http_receiver() as receiver:
        services = [_Service(tmp_path / name, receiver) for name in ("one", "other")]
        one, other = services
        with one.process, other.process:
            one.send(bodies[:cut])
            if share == 1.0:
                _await([one], [1])
                other.send(bodies)  # nothing was committed
                _await(services, [1, 1])
            else:
                other.send(bodies[cut - 2 :])
                _await(services, [1, 1])
            said = [service.status() for service in services]
        traces = {trace_id for trace_id, _ in receiver.contents()}
        exported = sum(each["traces"]["delivery"]["exported"]["traces"] for each in said)
        assert exported - len(traces) == sum(receiver.copies().values())
        lacking = [each["logs"]["without_beginning"] for each in said]
        if share == 1.0:
            assert (len(traces), exported, lacking) == (1, 2, [0, 0])
            assert all(len(contents) == 1 for contents in receiver.contents().values()), "copies, byte for byte"
        else:
            assert lacking[0] == 0
            assert lacking[1] > 0
