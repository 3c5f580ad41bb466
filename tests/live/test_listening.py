"""`otelmig watch --listen` as a process of its own: whose request a migration on this machine was."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import fork_server
import pytest
from asking import running_program
from document_parts import REPOSITORY
from hypervisor_pair import HypervisorPair
from intake_client import PROTOBUF_HEADERS
from otlp_receiver import free_port, http_receiver
from output_schemas import validated
from replay import Playback, Player, steps_of
from sent_files import protobuf_bodies, recording_requests
from trace_invariants import CORPUS

from otelmig.announcement import REQUEST_SPAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asking import Asked, Program
    from replay import Step

_LONG_S: Final = 30.0
_URL: Final = "tcp:127.0.0.1:4444"


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """A program whose spans are exported."""
    with running_program() as each:
        yield each


class _Watched:
    """A folder that a watcher follows, and the watcher, which listens; a context, which ends it."""

    def __init__(self, folder: Path, *options: str, headers: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.headers = PROTOBUF_HEADERS | (headers or {})
        self._folder, self._options = folder, options
        self._player = Player()
        (folder / "logs").mkdir()
        self._start()

    def _start(self) -> None:
        command = ["watch", str(self._folder / "logs"), "--listen", f"127.0.0.1:{self.port}", "--json"]
        command += ["--state", str(self._folder / "state"), "-o", str(self._folder / "traces.jsonl"), *self._options]
        self.process = fork_server.start(*command, cwd=self._folder, environ={})
        self.eventually(lambda status: status["ready"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._player.close()
        self.process.close()

    def restart(self, after_s: float = 0.0) -> None:
        """Kill it, and start it again."""
        self.process.close()
        time.sleep(after_s)
        self._start()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return what it answers; 0 while it does not listen."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                connection.request(method, path, body, self.headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 0, b""

    def post(self, body: bytes) -> None:
        """Send a request, which it takes."""
        assert self.ask("POST", "/v1/logs", body)[0] == HTTPStatus.OK

    def eventually(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until something holds of its status; return the status."""
        until = time.monotonic() + _LONG_S
        while True:
            _, body = self.ask("GET", "/status")
            status: dict[str, Any] = json.loads(body or b"{}")
            if status and holds(status):
                return status
            assert time.monotonic() < until, body
            time.sleep(0.02)

    def write(self, steps: list[Step]) -> None:
        """Write what hypervisors write."""
        for step in steps:
            self._player.do(step)

    def traced(self, count: int) -> None:
        """Wait for so many traces."""
        self.eventually(lambda status: status["migrations"]["traced"] == count)

    def roots(self) -> list[dict[str, Any]]:
        """Return the root of each trace that was written."""
        return [
            span
            for line in (self._folder / "traces.jsonl").read_text().splitlines()
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
            if span["name"] == "migration"
        ]

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """Ask it to end; return the events that it printed, and what it said."""
        self.process.send_signal(signal.SIGTERM)
        out, said = self.process.communicate(_LONG_S)
        assert self.process.returncode == 0, said
        return [validated(line) for line in out.splitlines()], said


def _steps(watched: Path, recording: str) -> tuple[list[Step], list[Step]]:
    """What two hypervisors write that migrate a VM: up to the middle of the migration, and the rest."""
    folders = dict.fromkeys(("source", "destination"), watched / "logs")
    steps = steps_of(CORPUS / recording, folders, Playback(begin_ns=1_780_000_000 * 10**9))
    begun = next(at for at, step in enumerate(steps) if b"Sending migration" in step.data)
    middle = begun + (len(steps) - begun) // 2
    return steps[:middle], steps[middle:]


def _ids(root: dict[str, Any]) -> tuple[str, str]:
    return root["traceId"], root.get("parentSpanId", "")


def _of(asked: Asked) -> tuple[str, str]:
    return asked.trace_id, asked.span_id


def test_a_migration_below_the_span_that_asked_for_it(program: Program, tmp_path: Path) -> None:
    """What was announced is there after a kill, copies of it change nothing, and scripts are told."""
    asked = program.ask(_URL)
    first, rest = _steps(tmp_path, "v53.0-wallclock")
    with _Watched(tmp_path) as watched:
        watched.post(asked.announced)
        watched.restart()
        assert watched.eventually(lambda status: status["ready"])["announcements"]["waiting"] == 1
        watched.post(asked.announced)
        watched.write(first)
        watched.post(asked.returned)
        watched.restart()
        watched.write(rest)
        watched.traced(1)
        watched.post(asked.returned)
        status = watched.eventually(lambda status: status["requests"]["taken"] == 1)
        assert [status["announcements"][name] for name in ("waiting", "unmatched", "late", "evicted")] == [0] * 4
        assert [_ids(root) for root in watched.roots()] == [_of(asked)]
        events, said = watched.end()
    assert {event["event"] for event in events} >= {"announcements", "traced"}
    assert "listening on 127.0.0.1:" in said


def test_when_a_line_came_is_known_after_a_restart(program: Program, tmp_path: Path) -> None:
    """The answer of a call that blocks is the migration's end: what is read again later came before it all the same."""
    asked = program.ask(_URL)
    first, rest = _steps(tmp_path, "v52.0-basic")
    with _Watched(tmp_path) as watched:
        watched.post(asked.announced)
        watched.write(first)
        watched.post(asked.returned)
        watched.restart(after_s=2.5)  # what is read from here on is received too late
        watched.write(rest)
        watched.traced(1)
        assert [_ids(root) for root in watched.roots()] == [_of(asked)]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_example_that_is_instrumented_from_outside(protocol: str, tmp_path: Path) -> None:
    """`opentelemetry-instrument`, by variables alone: the migration is below the span that the backend has."""
    grpc_port = free_port()
    with (
        http_receiver() as backend,
        _Watched(tmp_path, "--grpc", f"127.0.0.1:{grpc_port}") as watched,
        HypervisorPair(
            tmp_path / "logs", "v53.0", recording=CORPUS / "v53.0-basicv", patience_s=_LONG_S, speed=20
        ) as pair,
    ):
        for role in pair.logs.values():
            role.mkdir()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PYTHON"))} | {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{backend.url}/v1/traces",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{grpc_port}"
            if protocol == "grpc"
            else f"http://127.0.0.1:{watched.port}/v1/logs",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
        }
        instrument = Path(sys.executable).with_name("opentelemetry-instrument")
        command = [str(instrument), sys.executable, str(REPOSITORY / "examples" / "move_vm.py")]
        command += [str(pair.source), str(pair.destination), _URL]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        assert (done.returncode, done.stderr) == (0, "")
        watched.traced(1)
        (asked,) = (span for span in backend.spans if span.name == REQUEST_SPAN)
        assert [_ids(root) for root in watched.roots()] == [(asked.trace_id.hex(), asked.span_id.hex())]


def test_two_that_fit(program: Program, tmp_path: Path) -> None:
    """Either could be meant: links to both, as from `otelmig serve`; both are told of."""
    asked = [program.ask(_URL) for _ in range(2)]
    first, rest = _steps(tmp_path, "v53.0-wallclock")
    with _Watched(tmp_path) as watched:
        for each in asked:
            watched.post(each.announced)
        watched.write([*first, *rest])
        watched.traced(1)
        (root,) = watched.roots()
        assert "parentSpanId" not in root
        assert {link["spanId"] for link in root["links"]} == {each.span_id for each in asked}
        events, said = watched.end()
    counts = [event for event in events if event["event"] == "announcements"]
    assert [(event["taken"], event["waiting"]) for event in counts][-1] == (2, 2)
    assert "2 migrations announced (2 not traced)" in said


def test_lines_of_logs_are_passed_over(tmp_path: Path) -> None:
    """They are answered, counted, told of once, and no trace is made of them."""
    hosts = {"source": "host-a", "destination": "host-b"}
    requests = recording_requests(CORPUS / "v53.0-basicv", hosts, 50)
    with _Watched(tmp_path) as watched:
        for body in protobuf_bodies(requests):
            watched.post(body)
        status = watched.eventually(lambda status: status["requests"]["taken"] == len(requests))
        assert status["records"]["passed_over"] == {"a line of a log": sum(map(len, requests))}
        assert (status["records"]["taken"], status["under_way_count"]) == (0, 0)
        assert watched.ask("POST", "/v1/logs", b"no request")[0] == HTTPStatus.BAD_REQUEST
        events, said = watched.end()
    assert [event["passed_over"] for event in events][-1] == sum(map(len, requests))
    assert said.count("lines of logs came in") == 1


def test_who_does_not_know_the_token(program: Program, tmp_path: Path) -> None:
    """As for `otelmig serve`: 401, and nothing is taken."""
    (tmp_path / "token").write_text("sesame\n")
    asked = program.ask(_URL)
    given = {"Authorization": "Bearer sesame"}
    with _Watched(tmp_path, "--token-file", str(tmp_path / "token"), headers=given) as watched:
        watched.headers = PROTOBUF_HEADERS
        assert watched.ask("POST", "/v1/logs", asked.announced)[0] == HTTPStatus.UNAUTHORIZED
        watched.headers = PROTOBUF_HEADERS | given
        watched.post(asked.returned)
        status = watched.eventually(lambda status: status["requests"]["taken"] == 1)
        assert (status["schema"], status["announcements"]["taken"]) == ("otelmig.status/1", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--token-file", "token"], "--token-file belongs to --listen"),
        (["--grpc", "127.0.0.1:0"], "--grpc belongs to --listen"),
        (["--listen", "127.0.0.1:0", "--tls-key", "key"], "--tls-key and --tls-client-ca belong to --tls-certificate"),
        (["--listen", "./logs"], "--listen ./logs: want HOST:PORT or [IPV6]:PORT"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], said: str, tmp_path: Path) -> None:
    """What is said of a server that there is none of is no less wrong for that."""
    state = ["--state", str(tmp_path / "state")]
    result = fork_server.finished("watch", ".", *state, *options, cwd=tmp_path, environ={})
    assert result.returncode == 2
    assert said in result.stderr
