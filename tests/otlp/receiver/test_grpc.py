"""OTLP over gRPC: what each code, and each of gRPC's own words about a connection, means."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from delivery_cases import Clock, delivered, delivery_to, payloads
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from listener import listening
from otlp_receiver import Reply, grpc_receiver, rejection
from tls_receiver import TRUSTED, server_context
from trace_invariants import inputs

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.settings import Settings
from otelmig.otlp.receiver.transport import open_transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from conftest import Otelmig
if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig


def _retry_info(seconds: int, nanos: int = 0) -> tuple[tuple[str, bytes], ...]:
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
    return (("grpc-status-details-bin", status.SerializeToString()),)


@pytest.mark.parametrize(
    ("code", "trailers", "pauses", "words"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, _retry_info(4), [4.0], "2 exported"),
        (grpc.StatusCode.UNAVAILABLE, _retry_info(4), [4.0], "2 exported"),
        (grpc.StatusCode.UNAVAILABLE, _retry_info(0, 500_000_000), [0.5], "2 exported"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, (), [], "0 exported, 2 spooled (2 receiver busy)"),
        (grpc.StatusCode.ABORTED, (), None, "2 exported, 2 re-sent"),
        (grpc.StatusCode.INVALID_ARGUMENT, (), [], "2 exported"),
        (grpc.StatusCode.UNAUTHENTICATED, (), [], "0 exported, 2 spooled (2 unauthorized)"),
        (grpc.StatusCode.PERMISSION_DENIED, (), [], "0 exported, 2 spooled (2 unauthorized)"),
        (grpc.StatusCode.UNIMPLEMENTED, (), [], "0 exported, 2 spooled (2 not otlp)"),
        (grpc.StatusCode.INTERNAL, (), [], "0 exported, 2 spooled (2 receiver error)"),
    ],
)
def test_grpc_codes(
    code: grpc.StatusCode,
    trailers: tuple[tuple[str, bytes], ...],
    pauses: list[float] | None,
    words: str,
    tmp_path: Path,
) -> None:
    """What the specification says may be tried again is, after what the receiver asks for; the rest is not."""
    traces, clock = payloads(2), Clock()
    with grpc_receiver() as receiver:
        receiver.replies = [Reply(code=code, details="because", trailers=trailers, takes=False)]
        account = delivered(traces, receiver.url, tmp_path, protocol="grpc", clock=clock, timeout_s=20)
        assert account.words() == words
        assert pauses is None or clock.pauses == pauses


@pytest.mark.parametrize(
    ("details", "trailers", "reason", "copies"),
    [
        ("sending queue is full", (), Reason.RECEIVER_BUSY, 0),
        ("data refused due to high memory usage", (), Reason.RECEIVER_BUSY, 0),
        ("come later", (("x-who", b"gateway"),), Reason.RECEIVER_BUSY, 0),
        ("queue is full, connection reset by peer", (("x-who", b"gateway"),), Reason.CONNECTION_LOST, 1),
        ("something else", (), Reason.CONNECTION_LOST, 1),
    ],
)
def test_grpc_unavailable(
    details: str, trailers: tuple[tuple[str, bytes], ...], reason: Reason, copies: int, tmp_path: Path
) -> None:
    """A receiver that says that it takes nothing makes no copies; where that is not sure, a copy is possible."""
    traces = payloads(1)
    busy = Reply(code=grpc.StatusCode.UNAVAILABLE, details=details, trailers=trailers, takes=False)
    with grpc_receiver() as receiver:
        receiver.reply = busy
        account = delivered(traces, receiver.url, tmp_path, protocol="grpc")
        assert set(account.reasons) == {reason}
        receiver.reply = Reply()
        again = delivered(traces, receiver.url, tmp_path, protocol="grpc")
        assert (again.exported.traces, again.re_sent.traces) == (1, copies)


@pytest.mark.parametrize(("status", "copies"), [("429", 0), ("502", 1), ("503", 0), ("504", 1)])
def test_grpc_behind_a_gateway(status: str, copies: int, tmp_path: Path) -> None:
    """A gateway that answers in HTTP is busy, and not the wrong place."""
    said: list[str] = []

    def say(near: socket.socket, stream: int) -> None:
        near.sendall(_frame(1, 5, stream, b"\x08\x03" + status.encode()))

    with _gateway(say) as url:
        settings = Settings.of({}, url=url, protocol="grpc")
        transport = open_transport(settings)
        answer = transport.send(payloads(1)[0].body, 2)
        transport.close()
        assert answer.maybe_accepted is bool(copies)
        account = delivered(payloads(1), url, tmp_path, said, protocol="grpc", timeout_s=0.4)
    assert account.words() == f"0 exported, {'1 re-sent, ' * copies}1 spooled (1 receiver busy)"
    assert f"answered {status}" in said[0]


def test_grpc_answer_that_is_too_large(tmp_path: Path) -> None:
    """Our own library refuses to read it; the receiver has the spans, so that a second send makes a copy: counted."""
    with grpc_receiver() as receiver:
        receiver.replies = [Reply(body=rejection(1, "x" * (5 << 20)))]
        account = delivered(payloads(1), receiver.url, tmp_path, protocol="grpc")
        assert account.words() == "0 exported, 1 spooled (1 not otlp)"
        again = delivered(payloads(1), receiver.url, tmp_path, protocol="grpc")
        assert again.words() == "1 exported, 1 re-sent"
        assert receiver.copies().total() == 1


@pytest.mark.parametrize(
    ("details", "copies"),
    [
        ("Received message larger than max (99999999 vs. 4194304)", 1),
        ("CLIENT: Received message larger than max (10 vs. 4)", 1),
        ("grpc: received message larger than max (700 vs. 600)", 0),
        ("SERVER: Received message larger than max (99999999 vs. 4194304)", 0),
        ("CLIENT: Sent message larger than max (700 vs. 600)", 0),
    ],
)
def test_grpc_whose_message_is_too_large(details: str, copies: int, tmp_path: Path) -> None:
    """Of a request that is too large nothing was taken; the words of releases that do not say whose message it was."""
    reply = Reply(code=grpc.StatusCode.RESOURCE_EXHAUSTED, details=details, takes=False)
    with grpc_receiver() as receiver:
        receiver.replies = [reply]
        account = delivered(payloads(1), receiver.url, tmp_path, protocol="grpc")
        assert set(account.reasons) == {Reason.NOT_OTLP if copies else Reason.TOO_LARGE}
        with delivery_to(receiver.url, tmp_path, [], protocol="grpc") as delivery:
            delivery.deliver_spool()
        assert (delivery.account.exported.traces, delivery.account.re_sent.traces) == (1, copies)


def test_grpc_answer_of_trailers_only(tmp_path: Path) -> None:
    """OK without a message proves nothing: what was sent stays in the spool, and a second send may be a copy."""
    said: list[str] = []

    def reply(near: socket.socket, stream: int) -> None:
        headers = ((b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"0"))
        block = b"".join(b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in headers)
        near.sendall(_frame(1, 5, stream, block))

    with _gateway(reply) as url:
        account = delivered(payloads(1), url, tmp_path, said, protocol="grpc")
    assert account.words() == "0 exported, 1 spooled (1 not otlp)"
    assert said == [f"{url} answered OK without a message: this is no OTLP receiver"]
    with grpc_receiver() as receiver:
        again = delivered(payloads(1), receiver.url, tmp_path, protocol="grpc")
    assert again.exported.traces == 1


def test_grpc_over_tls_that_breaks_in_mid_exchange() -> None:
    """It is a connection that broke, and no wrong TLS: tried again, and counted, as nobody knows what arrived."""

    def reply(near: socket.socket, _: int) -> None:
        os.write(near.fileno(), b"\x17\x03\x03\x00\x20" + b"g" * 32)

    context = server_context(mutual=False)
    context.set_alpn_protocols(["h2"])
    with _gateway(reply, context) as url:
        settings = Settings.of(
            {}, url=url.replace("http:", "https:"), protocol="grpc", certificate=TRUSTED["certificate"]
        )
        transport = open_transport(settings)
        answer = transport.send(payloads(1)[0].body, 5)
        transport.close()
    assert (answer.reason, answer.retryable, answer.maybe_accepted) == (Reason.CONNECTION_LOST, True, True)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


@contextmanager
def _gateway(answer: Callable[[socket.socket, int], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that speaks HTTP/2 and no gRPC: the headers of each request are followed by ``answer``."""

    def serve(plain: socket.socket) -> None:
        near = tls.wrap_socket(plain, server_side=True) if tls is not None else plain
        with near, near.makefile("rb") as words:
            near.sendall(_frame(4, 0, 0))
            words.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            while len(head := words.read(9)) == 9:
                words.read(int.from_bytes(head[:3], "big"))
                if head[3] == 4 and not head[4]:
                    near.sendall(_frame(4, 1, 0))
                if head[3] == 1:
                    answer(near, int.from_bytes(head[5:], "big"))

    with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY"])
def test_grpc_proxy(name: str, otelmig: Otelmig) -> None:
    """A proxy that is named in capital letters holds for gRPC, too."""
    heard: list[bytes] = []

    def listen() -> None:
        near, _ = listener.accept()
        with near:
            heard.append(near.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=listen)
        thread.start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = ("--timeout", "1", "--protocol", "grpc", "--no-spool", "--otlp", "http://collector.invalid:4317")
        otelmig("trace", "-q", *inputs("v53.0-twohosts"), *options, **{name: proxy})
        thread.join()
    assert heard[0].startswith(b"CONNECT collector.invalid:4317 ")


def test_host_that_is_named_after_tls(tmp_path: Path) -> None:
    """A host that does not exist is unreachable, whatever its name."""
    account = delivered(payloads(1), "http://tls-handshake.invalid:4317", tmp_path, protocol="grpc", timeout_s=1)
    assert account.words() == "0 exported, 1 spooled (1 unreachable)"
