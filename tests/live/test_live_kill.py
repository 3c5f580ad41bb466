"""kill -9 of the service at any instants: each migration is at the receiver once, as if nothing had happened.

``OTELMIG_FULL=1`` makes 200 rounds of it.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import threading
import time
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import fork_server
import pytest
from fleet import at_once, lasts_ns
from fleet_lines import fleet_requests
from live_run import LiveRun
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_receiver import free_port, http_receiver
from sent_files import protobuf_bodies

from otelmig.live.options import LiveOptions
from otelmig.otlp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otlp_receiver import Receiver
    from sent_files import Request

_ROUNDS = 200 if os.environ.get("OTELMIG_FULL") else 3
_RECORDING = "v53.0-postcopy"
_MIGRATIONS = 6
_S = 10**9


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """The lines of a few migrations that overlap, as requests in the order of time."""
    chance = random.Random(11)
    moves = at_once(40, _MIGRATIONS, 2 * _S, lasts_ns(_RECORDING), chance)
    return [records for _, records in fleet_requests(_RECORDING, moves)]


@pytest.fixture(scope="module")
def expected(
    requests: list[Request], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[bytes, bytes], set[bytes]]:
    """Every span of an undisturbed service."""
    with LiveRun(directory=tmp_path_factory.mktemp("undisturbed") / "state", options=LiveOptions()) as run:
        run.feed(requests)
        run.wait(100.0)
        assert len(run.finished) == _MIGRATIONS
        bodies = [Payload.of_trace(each.trace).body for each in run.finished]
    contents: dict[tuple[bytes, bytes], set[bytes]] = {}
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in resource.scope_spans[0].spans:
                text = span.SerializeToString(deterministic=True)
                contents.setdefault((span.trace_id, span.span_id), set()).add(text)
    return contents


@dataclass
class _Collector:
    """Sends requests until each was taken; what was not goes to the end of its queue."""

    port: int
    waiting: deque[bytes]
    repeats: bool
    """Whether answers are lost now and then, so that requests come twice."""
    chance: random.Random
    taken: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send everything."""
        while self.waiting and not self.stopped.is_set():
            body = self.waiting.popleft()
            if not self._post(body):
                self.waiting.append(body)
                time.sleep(0.02)
            elif self.repeats and self.chance.random() < 0.1:
                self.waiting.append(body)
            else:
                self.taken += 1

    def _post(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        assert answer.status in (200, 503), answer.status
        return answer.status == 200


@pytest.mark.parametrize("number", range(_ROUNDS))
def test_killed_at_any_instant(
    number: int,
    requests: Sequence[Request],
    expected: dict[tuple[bytes, bytes], set[bytes]],
    tmp_path: Path,
) -> None:
    """Killed a few times while lines come in and traces go out."""
    chance = random.Random(number)
    port = free_port()
    with http_receiver() as receiver:
        command = ["serve", "-q", "--listen", f"127.0.0.1:{port}", "--state", str(tmp_path / "state")]
        command += ["--otlp", receiver.url, "-o", str(tmp_path / "traces.jsonl")]
        collector = _Collector(port, deque(protobuf_bodies(requests)), bool(number % 2), chance)
        thread = threading.Thread(target=collector.run, daemon=True)
        thread.start()
        try:
            kills = chance.randrange(1, 4)
            for _ in range(kills):
                with fork_server.start(*command, cwd=tmp_path, environ={}) as service:
                    time.sleep(chance.uniform(0.05, 1.5))
                    service.kill()
            with fork_server.start(*command, cwd=tmp_path, environ={}) as service:
                _wait_for(receiver, expected)
                thread.join(20)
                assert not collector.waiting
                _wait_until_ready(port)
                service.send_signal(signal.SIGTERM)
                began_s = time.monotonic()
                _, said = service.communicate(20)
                assert service.poll() == 0, said
                assert time.monotonic() - began_s < 10
        finally:
            collector.stopped.set()
        assert receiver.contents() == expected, "every span of every migration, none with two contents"
        copies = sum(receiver.copies().values())
        counted = re.search(r"(\d+) re-sent", said)
        # the last run says what it sent again; one that was killed could not, and sent no trace again twice
        untold = (kills - 1) * _MIGRATIONS
        assert copies <= untold + (0 if counted is None else int(counted[1])), said
        lines = (tmp_path / "traces.jsonl").read_bytes().splitlines()
        whole = {line for line in lines if line.endswith(b"]}") and line.startswith(b"{")}
        assert len({line for line in whole if _is_trace(line)}) == _MIGRATIONS


def _is_trace(line: bytes) -> bool:
    try:
        Payload.of_line(line)
    except Exception:  # noqa: BLE001 - a line that was cut
        return False
    return True


def _wait_for(receiver: Receiver, expected: dict[tuple[bytes, bytes], set[bytes]]) -> None:
    """Wait until the receiver has every span."""
    until_s = time.monotonic() + 40
    while len(receiver.contents()) < len(expected):
        assert time.monotonic() < until_s, f"{len(receiver.contents())} of {len(expected)} spans"
        time.sleep(0.05)


def _wait_until_ready(port: int) -> None:
    """Wait until the service has read what the last one left, and answers."""
    for _ in range(400):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/status")
            with connection.getresponse() as answer:
                if answer.status == HTTPStatus.OK:
                    return
        time.sleep(0.05)
    raise AssertionError("not ready in time")
