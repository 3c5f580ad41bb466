"""`otelmig serve` as a process of its own: what it prints for scripts, and what it says while it starts."""

from __future__ import annotations

import http.client
import json
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING

import fork_server
import pytest
from intake_client import PROTOBUF_HEADERS
from live_run import LiveRun
from otlp_receiver import free_port
from sent_files import protobuf_bodies, recording_requests
from trace_invariants import CORPUS

from otelmig.live.fleet.service import Service
from otelmig.live.outlet import Outlet
from otelmig.live.receiving.status import status
from otelmig.live.work import Work

if TYPE_CHECKING:
    from pathlib import Path

_LONG_S = 30.0


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """What the service answers; 0 while it does not listen."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request(method, path, body, PROTOBUF_HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""


def _await(port: int, traced: int) -> None:
    until = time.monotonic() + _LONG_S
    while True:
        status, body = _ask(port, "GET", "/status")
        if status == http.HTTPStatus.OK and json.loads(body)["migrations"]["traced"] >= traced:
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
            assert _ask(port, "POST", "/v1/logs", body)[0] == http.HTTPStatus.OK
        _await(port, 1)
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(_LONG_S)
        assert service.returncode == 0
    (line,) = out.splitlines()
    assert json.loads(line)["result"] == "success"
    assert "1 migration traced (1 with both sides), 1 written to traces.jsonl" in err
    assert len((tmp_path / "traces.jsonl").read_text().splitlines()) == 1


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
        service = Service(work=work, describe=status, on_tick=lambda _: None)
        before = service.document
        assert before["ready"] is False
        service.restore()
        service.stop()
        service.run()
        assert service.document["ready"] is True
        assert service.document.keys() == before.keys()


@pytest.mark.parametrize("command", [["serve", "--listen", "127.0.0.1:0"], ["watch", "."]])
def test_traces_are_not_appended_to_stdout(command: list[str], tmp_path: Path) -> None:
    """Stdout has what is shown."""
    state = ["--state", str(tmp_path / "state")]
    result = fork_server.finished(*command, *state, "-o", "-", cwd=tmp_path, environ={})
    assert result.returncode == 2
    assert "-o -: traces are appended to a file (want its name)" in result.stderr
