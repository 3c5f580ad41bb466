"""`otelmig serve` as a process of its own: what it prints for scripts, and what it says while it starts."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import fork_server
import pytest
from asking import running_program
from intake_client import ask
from live_run import LiveRun
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otlp_receiver import free_port
from output_schemas import validated
from sent_files import protobuf_bodies, recording_requests
from trace_invariants import CORPUS

from otelmig.live.outlet import Outlet
from otelmig.live.receiving.service import Service
from otelmig.live.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONG_S = 30.0


def _await(port: int, traced: int) -> None:
    until = time.monotonic() + _LONG_S
    while True:
        status, body = ask(port, "GET", "/status")
        if status == HTTPStatus.OK and validated(body)["migrations"]["traced"] >= traced:
            return
        assert time.monotonic() < until, f"{traced} traces were expected"
        time.sleep(0.02)


def test_a_line_of_json_for_each_migration(tmp_path: Path) -> None:
    """And nothing else on stdout: who reads line by line is not to meet a document at the end."""
    port = free_port()
    command = ["serve", "--json", "--listen", f"127.0.0.1:{port}", "--state", str(tmp_path / "state")]
    hosts = {"source": "host-a", "destination": "host-b"}
    with fork_server.start(*command, "-o", str(tmp_path / "traces.jsonl"), cwd=tmp_path, environ={}) as service:
        _await(port, 0)
        for body in protobuf_bodies(recording_requests(CORPUS / "v53.0-basicv", hosts, 50)):
            assert ask(port, "POST", "/v1/logs", body)[0] == HTTPStatus.OK
        _await(port, 1)
        assert ask(port, "POST", "/v1/traces", b"")[0] == HTTPStatus.NOT_FOUND
        until = time.monotonic() + _LONG_S
        while not (refusals := validated(ask(port, "GET", "/status")[1])["refusals"]):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert [(each["sender"], each["status"], each["times"]) for each in refusals] == [("127.0.0.1", 404, 1)]
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(_LONG_S)
        assert service.returncode == 0
    (line,) = out.splitlines()
    assert json.loads(line)["result"] == "success"
    assert "1 migration traced (1 with both sides), 1 written to traces.jsonl" in err
    assert len((tmp_path / "traces.jsonl").read_text().splitlines()) == 1


def test_what_was_announced_is_measured(tmp_path: Path) -> None:
    """How many migrations wait for their traces, and what came of the others: in the status and in metrics."""
    port = free_port()
    with running_program() as program:
        asked = [program.ask("tcp:192.0.2.20:4444") for _ in range(2)]
    with _metrics_receiver() as (url, exported):
        command = ["serve", "-q", "--listen", f"127.0.0.1:{port}", "--metrics", url]
        with fork_server.start(*command, "--state", str(tmp_path / "state"), cwd=tmp_path, environ={}) as service:
            _await(port, 0)
            for body in (asked[0].announced, asked[0].announced, asked[1].announced, asked[0].returned):
                assert ask(port, "POST", "/v1/logs", body)[0] == HTTPStatus.OK
            until = time.monotonic() + _LONG_S
            while (told := json.loads(ask(port, "GET", "/status")[1])["announcements"])["taken"] < 2:
                assert time.monotonic() < until
                time.sleep(0.02)
            service.send_signal(signal.SIGTERM)
            _, said = service.communicate(_LONG_S)
    assert told == {"taken": 2, "waiting": 2, "unmatched": 0, "late": 0, "evicted": 0}
    assert {name: value for name, value in exported.items() if ".announcements." in name} == {
        "otelmig.serve.announcements.waiting": 2,
        "otelmig.serve.announcements.unmatched": 0,
        "otelmig.serve.announcements.late": 0,
        "otelmig.serve.announcements.evicted": 0,
    }
    assert "2 migrations announced (2 not traced)" in said


@contextmanager
def _metrics_receiver() -> Iterator[tuple[str, dict[str, int]]]:
    """Run a receiver of metrics; yield its address, and the last value of each metric that is a sum."""
    exported: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    exported.update(
                        (each.name, each.sum.data_points[-1].as_int) for each in scope.metrics if each.HasField("sum")
                    )
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", exported
        server.shutdown()
        thread.join()


def test_what_it_says_while_it_starts(tmp_path: Path) -> None:
    """The same document as later: that it is not ready is no reason to say nothing."""
    with LiveRun(directory=tmp_path / "state") as run:
        outlet = Outlet(open_delivery=None, file=None, on_trace=lambda _: None, wake=lambda: None, say=lambda _: None)
        work = Work(
            state=run.state,
            assembly=run.assembly,
            outlet=outlet,
            say=lambda _: None,
            on_fate=lambda _: None,
            flush_s=1.0,
            flushes_first=False,
        )
        service = Service(work=work, on_tick=lambda _: None)
        before = service.status.document
        assert before["ready"] is False
        service.restore()
        service.stop()
        service.run()
        assert service.status.document["ready"] is True
        assert service.status.document.keys() == before.keys()


@pytest.mark.parametrize("command", [["serve", "--listen", "127.0.0.1:0"], ["watch", "."]])
def test_traces_are_not_appended_to_stdout(command: list[str], tmp_path: Path) -> None:
    """Stdout has what is shown."""
    state = ["--state", str(tmp_path / "state")]
    result = fork_server.finished(*command, *state, "-o", "-", cwd=tmp_path, environ={})
    assert result.returncode == 2
    assert "-o -: traces are appended to a file (want its name)" in result.stderr
