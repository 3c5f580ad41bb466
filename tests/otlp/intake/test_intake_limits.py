"""Senders that send too much, too slowly or too often: they are stopped, others are served, memory is bounded."""

from __future__ import annotations

import gzip
import resource
import socket
import sys
import threading
import time
import tracemalloc
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from google.rpc.status_pb2 import Status
from intake_client import PROTOBUF_HEADERS, Inbox, WireClient, intake, post
from sent_logs import file_record, request

from otelmig.otlp.intake.exchange import Desk, Limits, ReceivedRequest, RefusedError, Verdict
from otelmig.otlp.intake.inflating import inflated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY = request([file_record("a", 0, 1)]).SerializeToString()
GZIP = PROTOBUF_HEADERS | {"Content-Encoding": "gzip"}
MIB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        (Limits(body_bytes=100), post(BODY * 10)),
        (Limits(body_bytes=100), post(BODY * 10, PROTOBUF_HEADERS | {"Expect": "100-continue"})),
        (Limits(body_bytes=MIB), post(bytes(8 * MIB))),
        (
            Limits(body_bytes=100),
            post(b"65\r\n" + bytes(101) + b"\r\n0\r\n\r\n", PROTOBUF_HEADERS | {"Transfer-Encoding": "chunked"}),
        ),
        (Limits(inflated_bytes=1_000), post(gzip.compress(bytes(1_001)), GZIP)),
        (Limits(inflated_bytes=1_000), post(bytes(1_001))),
        (Limits(json_bytes=100), post(b'"' + b"x" * 100 + b'"', {"Content-Type": "application/json"})),
    ],
)
def test_too_large(limits: Limits, sent: bytes) -> None:
    """A body that is too large, as sent or inflated, is refused for good, and the sender hears why."""
    inbox = Inbox()
    with intake(inbox, limits=limits) as server, WireClient(server.address) as client:
        client.send(sent)
        answer = client.answer()
        assert answer.status == 413
        assert b"in one request: send smaller batches" in answer.body
        assert client.is_closed()
        assert [each.status for each in server.refusals()] == [413]
    assert not inbox.requests


def test_the_largest_that_is_taken() -> None:
    """A limit is what is taken."""
    limits = Limits(body_bytes=1_000, inflated_bytes=1_000)
    with intake(limits=limits) as server, WireClient(server.address) as client:
        assert client.post(bytes(1_000)).status == 200
        assert client.post(gzip.compress(bytes(1_000)), GZIP).status == 200


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", lambda: gzip.compress(bytes(MIB)) * 512),
        ("deflate", lambda: zlib.compress(bytes(128 * MIB))),
        ("zstd", lambda: bytes(zstd.compress(bytes(MIB))) * 512),
    ],
    ids=["gzip", "deflate", "zstd"],
)
def test_a_bomb(encoding: str, bomb: Callable[[], bytes]) -> None:
    """A small body that becomes huge is stopped on the way; nothing of its size is ever held."""
    body, held = bomb(), 0

    def hold(size: int) -> None:
        nonlocal held
        held += size
        if held > 4 * MIB:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    tracemalloc.start()
    with pytest.raises(RefusedError, match="too large"):
        inflated(body, encoding, hold)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MIB


def test_a_body_in_crumbs() -> None:
    """A body in chunks of two bytes takes as much memory as it has bytes, and not some fifty for each two."""
    inbox = Inbox()
    size = MIB // 8
    sent = post(b"2\r\nxx\r\n" * (size // 2) + b"0\r\n\r\n", PROTOBUF_HEADERS | {"Transfer-Encoding": "chunked"})
    with intake(inbox) as server, WireClient(server.address) as client:
        tracemalloc.start()
        client.send(sent)
        assert client.answer().status == 200
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert inbox.requests[0].body == b"x" * size
    assert peak < 8 * size


def test_a_window_that_is_too_large() -> None:
    """A zstd frame may ask for memory before it gives anything; more than encoders of Collectors use is not given."""
    options = {
        int(zstd.CompressionParameter.window_log): 27,
        int(zstd.CompressionParameter.enable_long_distance_matching): 1,
    }
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(bytes(MIB)) + compressor.flush()
    with pytest.raises(RefusedError, match="the body is no zstd"):
        inflated(data, "zstd", lambda _: None)


def test_too_much_at_once() -> None:
    """What all requests together hold is bounded: those that do not fit may come again, and then are taken."""
    begun, go_on = threading.Event(), threading.Event()

    def handle(_: ReceivedRequest) -> Verdict:
        begun.set()
        assert go_on.wait(30)
        return Verdict()

    with (
        intake(handle, limits=Limits(bytes_under_way=1_500)) as server,
        WireClient(server.address) as first,
        WireClient(server.address) as second,
        WireClient(server.address) as third,
    ):
        first.send(post(bytes(1_000)))
        assert begun.wait(30)
        answer = second.post(bytes(1_000))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        go_on.set()
        assert first.answer().status == 200
        assert third.post(bytes(1_000)).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/l",
        b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\n",
    ],
)
def test_slow_heads(sent: bytes) -> None:
    """Whoever opens a connection and does not say what for is not waited for."""
    with intake(limits=Limits(head_s=0.2)) as server, WireClient(server.address) as client:
        client.send(sent)
        if sent:
            assert client.answer().status == 503
        assert client.is_closed()


@pytest.mark.parametrize("chunked", [False, True])
def test_slow_bodies(*, chunked: bool) -> None:
    """A body whose next byte is always about to come is not waited for; it may come again, on a better day."""
    headers = PROTOBUF_HEADERS | ({"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "1000"})
    head = post(b"", headers)
    with intake(limits=Limits(body_s=0.3, bytes_per_s=MIB)) as server, WireClient(server.address) as client:
        client.send(head)
        stopped = threading.Event()

        def drip() -> None:
            for _ in range(1_000):
                try:
                    client.send(b"1\r\nx\r\n" if chunked else b"x")
                except OSError:
                    return
                if stopped.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = client.answer()
        stopped.set()
        dripping.join()
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert Status.FromString(answer.body).message == "the request comes too slowly"


def test_silence_between_requests_is_no_slowness() -> None:
    """A Collector keeps its connection for as long as it has nothing to send."""
    with intake(limits=Limits(head_s=1.0, body_s=1.0)) as server, WireClient(server.address) as client:
        assert client.post(BODY).status == 200
        time.sleep(1.5)
        assert client.post(BODY).status == 200


def test_a_body_may_take_longer_the_more_of_it_comes() -> None:
    """What comes at the pace that is wanted is not cut off, however long it takes."""
    inbox = Inbox()
    with intake(inbox, limits=Limits(body_s=1.0, bytes_per_s=100)) as server, WireClient(server.address) as client:
        client.send(post(bytes(1_000)).removesuffix(bytes(1_000)))
        for _ in range(10):
            client.send(bytes(100))
            time.sleep(0.15)
        assert client.answer().status == 200
    assert len(inbox.requests[0].body) == 1_000


def test_an_answer_that_nobody_takes() -> None:
    """A sender that never reads ends its own connection alone."""
    with intake(Inbox(Verdict(reason="x" * MIB)), limits=Limits(answer_s=0.2)) as server:
        with WireClient(server.address) as deaf:
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            for _ in range(20):
                try:
                    deaf.send(post(BODY))
                except OSError:
                    break
            while server.connections:
                time.sleep(0.02)
        with WireClient(server.address) as client:
            assert client.post(BODY).status == 200


@pytest.fixture
def many_files() -> Iterator[None]:
    """The process may open as many files as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections() -> None:
    """A thousand senders are served at once; those beyond are told to come again, and are served when others go."""
    inbox = Inbox()
    with intake(inbox, limits=Limits(connections=1_000)) as server:
        clients = [WireClient(server.address) for _ in range(1_000)]
        for client in clients:
            client.send(post(BODY))
        assert {client.answer().status for client in clients} == {200}
        assert server.connections == 1_000
        with WireClient(server.address) as late:
            answer = late.post(BODY)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        crowd = [WireClient(server.address) for _ in range(30)]
        assert all(each.is_closed() for each in crowd[16:])
        for client in crowd:
            client.socket.close()
        for client in clients[1:]:
            client.send(post(BODY))
        assert {client.answer().status for client in clients[1:]} == {200}
        clients[0].socket.close()
        while server.connections >= 1_000:
            time.sleep(0.02)
        with WireClient(server.address) as late:
            assert late.post(BODY).status == 200
        for client in clients[1:]:
            client.socket.close()
    assert len(inbox.requests) == 1_000 + 999 + 1


def test_refusals_are_counted_within_bounds() -> None:
    """Each sender's refusals are counted apart, up to a thousand; those of later ones together."""
    desk = Desk(Inbox(), Limits(), None)
    for number in range(1_500):
        desk.count(f"peer {number % 1_200}", Verdict(HTTPStatus.NOT_FOUND, "not here"))
    refusals = desk.refusals()
    assert len(refusals) == 1_001
    assert refusals[0] == ("others", HTTPStatus.NOT_FOUND, "", 200)
    assert sum(each.times for each in refusals) == 1_500
