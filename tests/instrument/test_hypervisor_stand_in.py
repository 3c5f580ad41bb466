"""The hypervisor's API that the examples are tried with has the habits of the real one."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypervisor_http import MOST_CONNECTIONS
from hypervisor_pair import RELEASES, Ending, HypervisorPair
from move_vm import connect
from trace_invariants import CORPUS

import otelmig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPConnection
    from pathlib import Path

_RELEASES: Final = pytest.mark.parametrize("release", RELEASES)
_URL: Final = "tcp:127.0.0.1:4444"


class _Told(NamedTuple):
    status: int
    text: str


def _ask(api: HTTPConnection, method: str, name: str, body: object = None) -> _Told:
    api.request(method, f"/api/v1/{name}", None if body is None else json.dumps(body))
    answer = api.getresponse()
    return _Told(answer.status, answer.read().decode())


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    """Connections that are closed when the test is over."""
    with ExitStack() as stack:
        yield stack


def _api(path: Path, connections: ExitStack, timeout: float = 5) -> HTTPConnection:
    return connections.enter_context(closing(connect(str(path), timeout)))


def _raw(path: Path, sent: bytes) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        if sent:
            client.sendall(sent)
        return b"".join(iter(lambda: client.recv(4096), b""))


@_RELEASES
def test_one_connection_serves_many_calls(release: str, tmp_path: Path, connections: ExitStack) -> None:
    """A ping, the VM, what there is not, and what cannot be read."""
    with HypervisorPair(tmp_path, release) as pair:
        api = _api(pair.source, connections)
        assert json.loads(_ask(api, "GET", "vmm.ping").text)["build_version"] == release
        assert json.loads(_ask(api, "GET", "vm.info").text)["state"] == "Running"
        assert [_ask(api, "GET", "vm.migration-progress").status, _ask(api, "PUT", "vm.pause").status] == [404, 204]
        answer = _ask(api, "PUT", "vm.send-migration", {})
        assert answer.status == 400
        if pair.semantics.errors_are_json:
            assert json.loads(answer.text)[0] == "Error from API"
        else:
            assert answer.text.startswith("ApiError(")
        wrong = {"destination_url": _URL, "downtime_ms": 0}
        answer = _ask(api, "PUT", "vm.send-migration", wrong)
        assert (answer.status, bool(answer.text)) == (400 if release == "head" else 500, True)


def test_the_eleventh_connection(tmp_path: Path, connections: ExitStack) -> None:
    """Ten are served; one more is told 503 and closed; one that closes makes room."""
    with HypervisorPair(tmp_path, "v53.0") as pair:
        served = [_api(pair.source, connections) for _ in range(MOST_CONNECTIONS)]
        assert {_ask(api, "GET", "vmm.ping").text[:1] for api in served} == {"{"}
        assert _raw(pair.source, b"").startswith(b"HTTP/1.1 503 \r\n")
        served[0].close()
        assert _ask(served[1], "GET", "vmm.ping").status == 200
        assert _ask(_api(pair.source, connections), "GET", "vmm.ping").status == 200


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /api/v1/vmm.ping HTTP/1.1\r\nX: " + b"x" * 1024 + b"\r\n\r\n", b"HTTP/1.1 400"),
        (b"PUT /api/v1/vm.pause HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 400"),
        (b"PUT /api/v1/vm.pause HTTP/1.1\r\nContent-Length: 51201\r\n\r\n", b"HTTP/1.1 400"),
        (b"hello\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
def test_requests_that_are_refused(sent: bytes, answer: bytes, tmp_path: Path) -> None:
    """Lines of 1 KiB, bodies in chunks, bodies that are too large, and what is no request."""
    with HypervisorPair(tmp_path, "v53.0") as pair:
        assert _raw(pair.source, sent).startswith(answer)


def test_a_half_closed_connection_gets_no_answer(tmp_path: Path, connections: ExitStack) -> None:
    """What a client does that pipes a request into a socket: its end is seen before the answer is given."""
    with HypervisorPair(tmp_path, "v52.0", Ending.FAILS, lasts_s=60) as pair:
        receiving, sending = _api(pair.destination, connections), _api(pair.source, connections)
        receiving.request("PUT", "/api/v1/vm.receive-migration", json.dumps({"receiver_url": "tcp:0.0.0.0:4444"}))
        assert pair.listens(60)
        sending.request("PUT", "/api/v1/vm.send-migration", json.dumps({"destination_url": _URL}))
        assert pair.is_busy(60)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(pair.source))
            client.sendall(b"GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            pair.end_now()
            assert client.recv(4096) == b""
        assert sending.getresponse().status == 500
        assert _ask(_api(pair.source, connections), "GET", "vmm.ping").status == 200


def test_a_body_that_waits_to_be_asked_for(tmp_path: Path) -> None:
    """The server says that it may come."""
    with HypervisorPair(tmp_path, "v53.0") as pair, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(pair.source))
        client.sendall(b"PUT /api/v1/vm.send-migration HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 100 \r\n")
        client.sendall(b"{}")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 \r\n")


@_RELEASES
def test_which_calls_block(release: str, tmp_path: Path, connections: ExitStack) -> None:
    """Receiving deadens the destination in every release, sending the source up to v52."""
    with HypervisorPair(tmp_path, release, Ending.HANGS, lasts_s=0) as pair:
        receiving, sending = _api(pair.destination, connections), _api(pair.source, connections, 0.2)
        receiving.request("PUT", "/api/v1/vm.receive-migration", json.dumps({"receiver_url": "tcp:0.0.0.0:4444"}))
        assert pair.listens(60)
        with pytest.raises(TimeoutError):
            _ask(_api(pair.destination, connections, 0.2), "GET", "vmm.ping")
        sending.request("PUT", "/api/v1/vm.send-migration", json.dumps({"destination_url": _URL}))
        second = _api(pair.source, connections, 0.2)
        if pair.semantics.send_blocks:
            with pytest.raises(TimeoutError):
                sending.getresponse()
            with pytest.raises(TimeoutError):
                _ask(second, "GET", "vmm.ping")
        else:
            assert sending.getresponse().status == 204
            assert _ask(second, "GET", "vm.info").status == 200
            assert _ask(second, "PUT", "vm.pause").status == 500


def test_a_recording_is_played_beside(tmp_path: Path, connections: ExitStack) -> None:
    """The logs that are written while the API migrates are the recording's, and make its trace."""
    recording = CORPUS / "v53.0-basicv"
    with HypervisorPair(tmp_path, "v53.0", recording=recording, speed=20) as pair:
        receiving, sending = _api(pair.destination, connections, 60), _api(pair.source, connections)
        receiving.request("PUT", "/api/v1/vm.receive-migration", json.dumps({"receiver_url": "tcp:0.0.0.0:4444"}))
        assert pair.listens(60)
        with pytest.raises(TimeoutError):
            _ask(_api(pair.destination, connections, 0.1), "GET", "vmm.ping")
        assert _ask(sending, "PUT", "vm.send-migration", {"destination_url": _URL}).status == 204
        assert receiving.getresponse().status == 204
        pair.await_last_line()
        (trace,) = otelmig.trace_migrations([pair.logs["source"], pair.logs["destination"]])
    (recorded,) = otelmig.trace_migrations([recording])
    assert [span.name for span in trace.spans] == [span.name for span in recorded.spans]
