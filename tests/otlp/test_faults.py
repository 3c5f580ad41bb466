"""Faults at real sockets: nothing is lost, and nothing is there twice but what the account speaks of."""

from __future__ import annotations

import os
import random
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from broken_wire import Cut, broken_wire
from delivery_cases import PROTOCOLS, Clock, check_delivered, delivered, delivery_to, payloads
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # generated code has no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # the same
from listener import listening
from otlp_receiver import Reply, free_port, grpc_receiver, http_receiver, json_rejection, receiver_of, rejection
from trace_invariants import inputs

from otelmig.errors import UsageError
from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.settings import Settings
from otelmig.otlp.receiver.transport import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Otelmig
    from otlp_receiver import Receiver

_CERTIFICATES = Path(__file__).parents[1] / "certificates"
_MANY = 110
"""Three batches."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_down_then_up(protocol: str, tmp_path: Path) -> None:
    """Nobody listens: all is kept after one patient try. Later all goes out, once."""
    given, port, clock = payloads(_MANY), free_port(), Clock()
    said: list[str] = []
    account = delivered(given, f"http://127.0.0.1:{port}", tmp_path, said, protocol=protocol, clock=clock)
    assert account.words() == f"0 exported, {_MANY} spooled ({_MANY} unreachable)"
    assert account.waiting.traces == _MANY
    assert sum(clock.pauses) < 2.0
    assert [text for text in said if text.startswith("not exported: cannot reach")] == said[1:]
    with receiver_of(protocol)(port) as receiver:
        again = delivered([], receiver.url, tmp_path, protocol=protocol)
        assert again.words() == f"0 exported, {_MANY} more from the spool"
        check_delivered(given, receiver, [account, again])
        third = delivered(given, receiver.url, tmp_path, protocol=protocol)
        assert third.words() == f"0 exported, {_MANY} already delivered"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_back_in_time(protocol: str, tmp_path: Path) -> None:
    """A receiver that comes up while the sender is patient gets all; nothing needs to be said of copies."""
    given, port, clock = payloads(_MANY), free_port(), Clock()
    ready = threading.Event()
    stop = threading.Event()
    found: list[Receiver] = []

    def come_up() -> None:
        with receiver_of(protocol)(port) as receiver:
            found.append(receiver)
            ready.set()
            stop.wait()

    thread = threading.Thread(target=come_up)

    def sleep(seconds: float) -> None:
        if not thread.is_alive():
            thread.start()
            ready.wait()
        stop.wait(0.2)  # a gRPC channel takes its time to look again
        Clock.sleep(clock, seconds)

    clock.sleep = sleep  # type: ignore[method-assign] # the moment at which it comes up
    try:
        account = delivered(given, f"http://127.0.0.1:{port}", tmp_path, protocol=protocol, clock=clock, timeout_s=60)
        assert account.words() == f"{_MANY} exported"
        check_delivered(given, found[0], [account])
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gone_for_a_while(protocol: str, tmp_path: Path) -> None:
    """It refuses in the middle of a run: what was kept meanwhile is tried once more at the end, and arrives."""
    given, clock = payloads(_MANY), Clock()
    away = Reply(status=503, code=grpc.StatusCode.UNAVAILABLE, details="shutting down", takes=False)
    with receiver_of(protocol)() as receiver:
        receiver.replies = [Reply(), *[away] * 4]
        account = delivered(given, receiver.url, tmp_path, protocol=protocol, clock=clock)
        assert account.exported.traces == _MANY
        assert account.complete
        assert not account.reasons
        check_delivered(given, receiver, [account])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hanging(protocol: str, tmp_path: Path) -> None:
    """It takes the spans and says nothing: kept, since nobody knows; the second copy is counted and identical."""
    given = payloads(3)
    said: list[str] = []
    with receiver_of(protocol)() as receiver:
        receiver.reply = Reply(hangs=True)
        account = delivered(given[:1], receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.3)
        assert account.reasons == {Reason.TIMEOUT: account.spooled}
        assert account.spooled.traces == 1
        assert "did not answer within 0.3 s" in said[0]
        receiver.go_on.set()
        receiver.reply = Reply()
        again = delivered(given, receiver.url, tmp_path, protocol=protocol)
        assert again.words() == "3 exported, 1 re-sent"
        assert receiver.copies() == {given[0].ident[:32]: account.re_sent.traces + 1}
        check_delivered(given, receiver, [account, again])


def test_slow_answer_is_not_waited_for_longer_than_allowed(tmp_path: Path) -> None:
    """An answer that trickles is over when the time is: a receiver cannot hold the sender for ever."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n"
    for at_once in (head, head[:20], b""):
        with _trickling(at_once) as url:
            account = delivered(payloads(1), url, tmp_path / str(len(at_once)), timeout_s=0.3)
        assert account.reasons == {Reason.TIMEOUT: account.spooled}
        assert account.spooled.traces == 1


@contextmanager
def _trickling(at_once: bytes) -> Iterator[str]:
    """A server whose answer, its body, its headers or its first line, goes on for ever, byte by byte."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        while not stop.is_set():
            with suppress(OSError):
                near, _ = listener.accept()
                with near:
                    near.sendall(at_once or b"H")
                    while not stop.wait(0.05):
                        near.sendall(b"T")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(50 if os.environ.get("OTELMIG_FULL") else 2))
def test_connections_that_break_anywhere(protocol: str, seed: int, tmp_path: Path) -> None:
    """Resets after any number of bytes, there or back: in the end all is there, and no copy is kept quiet about."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    given = payloads(20 if protocol == "http/json" else _MANY)
    cuts = [
        Cut(there=chance.randrange(60_000)) if chance.random() < 0.5 else Cut(back=chance.randrange(400))
        for _ in range(12)
    ]
    accounts = []
    with receiver_of(protocol)() as receiver, broken_wire(receiver.url, cuts) as url:
        for _ in range(20):
            accounts.append(delivered(given, url, tmp_path, protocol=protocol, timeout_s=0.5))
            if accounts[-1].complete:
                break
        assert accounts[-1].complete
        assert accounts[-1].waiting.traces == 0
        check_delivered(given, receiver, accounts)
    assert sum(account.exported.traces + account.from_spool.traces for account in accounts) == len(given)


def test_reset_in_the_middle_of_the_answer(tmp_path: Path) -> None:
    """The request was taken, the answer lost: sent again, and exactly that copy is counted."""
    given = payloads(5)
    with http_receiver() as receiver:
        receiver.replies = [Reply(breaks=True)]
        account = delivered(given, receiver.url, tmp_path)
        assert account.words() == "5 exported, 5 re-sent"
        assert receiver.copies().total() == 5
        check_delivered(given, receiver, [account])


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(status=301, headers={"Location": "https://elsewhere/v1/traces"}), "redirects to https://elsewhere/v1/"),
        (Reply(status=302, headers={"Location": "/login?next=secret"}), "redirects to /login (302)"),
        (Reply(status=400), "400"),
        (Reply(status=401), "401"),
        (Reply(status=403), "403"),
        (Reply(status=404), "is the path /v1/traces?"),
        (Reply(status=405), "is this an OTLP port?"),
        (Reply(status=415), "see `Settings.protocol`"),
        (Reply(status=500), "500"),
        (Reply(status=502), "502"),
        (Reply(status=503), "503"),
        (Reply(headers={"Content-Type": "text/html"}, body=b"<html>"), "a web page"),
        (Reply(headers={"Content-Type": "text/plain"}, body=b""), "text/plain: this is no OTLP receiver"),
        (Reply(headers={"Content-Type": ""}, body=b""), "no content type"),
        (Reply(body=b"\xff\xff\xff"), "no OTLP response"),
        (Reply(status=204, body=b"", headers={"Content-Type": ""}), "204"),
    ],
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_wrong_answers(reply: Reply, words: str, protocol: str, tmp_path: Path) -> None:
    """Redirects, errors and answers of another kind: nothing counts as delivered, all is kept, one line says why."""
    given = payloads(3)
    said: list[str] = []
    with http_receiver() as receiver:
        receiver.reply = replace(reply, takes=False)
        account = delivered(given, receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.6)
        assert account.exported.traces == 0
        assert account.spooled.traces == account.waiting.traces == 3
        assert any(words in text for text in said), said
        assert not [text for text in said if "\n" in text]
        receiver.reply = Reply()
        again = delivered(given, receiver.url, tmp_path, protocol=protocol)
        assert again.exported.traces == 3
        check_delivered(given, receiver, [account, again])


@pytest.mark.parametrize("body", [b'{"status":"Server available","uptime":"1h"}', b"[]", b"", b'"ok"', b"null"])
def test_health_port_is_no_receiver(body: bytes, tmp_path: Path) -> None:
    """A port that answers 200 with JSON of its own has taken nothing."""
    with http_receiver() as receiver:
        receiver.reply = Reply(body=body, headers={"Content-Type": "application/json"}, takes=False)
        for protocol in ("http/protobuf", "http/json"):
            account = delivered(payloads(1), receiver.url, tmp_path / protocol, protocol=protocol)
            assert account.words() == "0 exported, 1 spooled (1 not otlp)"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wrong_protocol(protocol: str, tmp_path: Path) -> None:
    """A port of gRPC spoken to in HTTP, or the reverse: the preflight names the option before any span leaves."""
    said: list[str] = []
    with (http_receiver if protocol == "grpc" else grpc_receiver)() as receiver:
        account = delivered(payloads(2), receiver.url, tmp_path, said, protocol=protocol)
        assert account.words() == "0 exported, 2 spooled (2 not otlp)"
        assert len(said) == 1
        assert f"say `Settings.protocol` {'http/protobuf' if protocol == 'grpc' else 'grpc'}" in said[0]
        assert not receiver.requests


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rejected_spans(protocol: str, tmp_path: Path) -> None:
    """A partial success is a failure: not sent again by itself, kept, and said with the receiver's words."""
    given = payloads(2)
    said: list[str] = []
    with receiver_of(protocol)() as receiver:
        receiver.replies = [Reply(body=json_rejection(3) if protocol == "http/json" else rejection(3))]
        account = delivered(given, receiver.url, tmp_path, said, protocol=protocol)
        assert account.reasons[Reason.REJECTED_SPANS].traces == account.spooled.traces > 0
        assert "rejected 3 spans: too old" in said[0]
        sent = len(receiver.requests)
        assert delivered([], receiver.url, tmp_path, protocol=protocol).words() == "0 exported"
        assert len(receiver.requests) == sent
        with delivery_to(receiver.url, tmp_path, said, protocol=protocol) as explicit:
            explicit.deliver_spool()
        assert explicit.account.exported.traces == explicit.account.re_sent.traces == account.spooled.traces
        check_delivered(given, receiver, [account, explicit.account])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("style", ["seconds", "date", "none", "nonsense"])
def test_busy(status: int, style: str, tmp_path: Path) -> None:
    """429 and 503 are waited out, as long as they say; nothing was taken, so nothing is a copy."""
    given, clock = payloads(2), Clock()
    wait = {"seconds": "7", "date": formatdate(time() + 7, usegmt=True), "nonsense": "soon"}.get(style)
    headers = {} if wait is None else {"Retry-After": wait}
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=status, headers=headers, takes=False)] * 2
        account = delivered(given, receiver.url, tmp_path, clock=clock, timeout_s=20)
        assert account.words() == "2 exported"
        check_delivered(given, receiver, [account])
    assert len(clock.pauses) == 2
    if style in ("seconds", "date"):
        assert all(4.5 < pause <= 7 for pause in clock.pauses)
    else:
        assert all(pause < 1 for pause in clock.pauses)


def test_busy_for_longer_than_allowed(tmp_path: Path) -> None:
    """Who says to come back in an hour is not asked again in this run."""
    clock = Clock()
    with http_receiver() as receiver:
        receiver.reply = Reply(status=429, headers={"Retry-After": "3600"}, takes=False)
        account = delivered(payloads(_MANY), receiver.url, tmp_path, clock=clock)
        assert account.words() == f"0 exported, {_MANY} spooled ({_MANY} receiver busy)"
        assert len(receiver.requests) == 1
    assert clock.pauses == []


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
    given, clock = payloads(2), Clock()
    with grpc_receiver() as receiver:
        receiver.replies = [Reply(code=code, details="because", trailers=trailers, takes=False)]
        account = delivered(given, receiver.url, tmp_path, protocol="grpc", clock=clock, timeout_s=20)
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
    given = payloads(1)
    busy = Reply(code=grpc.StatusCode.UNAVAILABLE, details=details, trailers=trailers, takes=False)
    with grpc_receiver() as receiver:
        receiver.reply = busy
        account = delivered(given, receiver.url, tmp_path, protocol="grpc", timeout_s=0.2)
        assert set(account.reasons) == {reason}
        receiver.reply = Reply()
        again = delivered(given, receiver.url, tmp_path, protocol="grpc")
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
        assert answer.maybe_taken is bool(copies)
        account = delivered(payloads(1), url, tmp_path, said, protocol="grpc", timeout_s=0.4)
    assert account.words() == f"0 exported, {'1 re-sent, ' * copies}1 spooled (1 receiver busy)"
    assert f"answered {status}" in said[0]


def test_grpc_over_tls_that_breaks_in_mid_exchange() -> None:
    """It is a connection that broke, and no wrong TLS: tried again, and counted, as nobody knows what arrived."""

    def answer(near: socket.socket, _: int) -> None:
        os.write(near.fileno(), b"\x17\x03\x03\x00\x20" + b"g" * 32)

    context = _server_context(mutual=False)
    context.set_alpn_protocols(["h2"])
    with _gateway(answer, context) as url:
        settings = Settings.of(
            {}, url=url.replace("http:", "https:"), protocol="grpc", certificate=_TRUSTED["certificate"]
        )
        transport = open_transport(settings)
        found = transport.send(payloads(1)[0].body, 5)
        transport.close()
    assert (found.reason, found.retryable, found.maybe_taken) == (Reason.CONNECTION_LOST, True, True)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


@contextmanager
def _gateway(answer: Callable[[socket.socket, int], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that speaks HTTP/2 and no gRPC: the headers of each request are followed by ``answer``."""

    def serve(given: socket.socket) -> None:
        near = tls.wrap_socket(given, server_side=True) if tls is not None else given
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


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_too_large_for_the_receiver(protocol: str, tmp_path: Path) -> None:
    """A request that is too large is sent again trace by trace; a trace that is too large by itself is kept."""
    given = payloads(4)
    said: list[str] = []
    large = Reply(
        status=413,
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        details="grpc: received message larger than max (9 vs. 4)",
        takes=False,
    )
    with receiver_of(protocol)() as receiver:
        receiver.replies = [large, Reply(), large]
        account = delivered(given, receiver.url, tmp_path, said, protocol=protocol)
        assert account.words() == "3 exported, 1 spooled (1 too large)"
        assert len(receiver.requests) == 5
        assert not receiver.copies()
        waiting = delivered([], receiver.url, tmp_path, protocol=protocol)
        assert waiting.words() == "0 exported"
        assert waiting.waiting.traces == 1


def _server_context(*, mutual: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATES / "server.pem", _CERTIFICATES / "server.key")
    if mutual:
        context.load_verify_locations(_CERTIFICATES / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _server_credentials(*, mutual: bool) -> grpc.ServerCredentials:
    pair = [(_CERTIFICATES / name).read_bytes() for name in ("server.key", "server.pem")]
    authority = (_CERTIFICATES / "ca.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([(pair[0], pair[1])], authority, mutual)


@contextmanager
def _tls_receiver(protocol: str, *, mutual: bool = False) -> Iterator[Receiver]:
    if protocol == "grpc":
        with grpc_receiver(tls=_server_credentials(mutual=mutual)) as receiver:
            yield receiver
    else:
        with http_receiver(tls=_server_context(mutual=mutual)) as receiver:
            yield receiver


def _certificate(name: str) -> str:
    return str(_CERTIFICATES / name)


_TRUSTED = {"certificate": _certificate("ca.pem")}
_CLIENT = {"client_certificate": _certificate("client.pem"), "client_key": _certificate("client.key")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("mutual", "options", "good"),
    [
        (False, _TRUSTED, True),
        (True, _TRUSTED | _CLIENT, True),
        (False, {}, False),
        (False, {"certificate": _certificate("other-ca.pem")}, False),
        (True, _TRUSTED, False),
    ],
    ids=["trusted", "mutual", "unknown authority", "other authority", "no client certificate"],
)
def test_tls(protocol: str, mutual: bool, options: dict[str, str], good: bool, tmp_path: Path) -> None:  # noqa: FBT001 - parameters of the table
    """Delivered over a connection that is proved to be the right one, or kept with one line about TLS."""
    given = payloads(2)
    said: list[str] = []
    with _tls_receiver(protocol, mutual=mutual) as receiver:
        account = delivered(given, receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.5, **options)
        if good:
            assert account.words() == "2 exported"
            check_delivered(given, receiver, [account])
        else:
            assert account.spooled.traces == 2
            assert not receiver.requests
            assert said
            assert mutual or account.reasons == {Reason.TLS: account.spooled}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_plain_and_tls_mixed_up(protocol: str, tmp_path: Path) -> None:
    """TLS to a plain port, and plain words to a TLS port: kept, with a line."""
    said: list[str] = []
    with receiver_of(protocol)() as plain, _tls_receiver(protocol) as secure:
        for number, url in enumerate((plain.url.replace("http:", "https:"), secure.url.replace("https:", "http:"))):
            directory = tmp_path / str(number)
            account = delivered(payloads(1), url, directory, said, protocol=protocol, timeout_s=0.5, **_TRUSTED)
            assert account.spooled.traces == 1
            assert said
            said.clear()


def test_tls_failure_is_one_line(otelmig: Otelmig) -> None:
    """The command says what is wrong with TLS once, without anything that a library adds."""
    with grpc_receiver() as plain, _tls_receiver("grpc") as secure:
        url = plain.url.replace("http:", "https:")
        for target, why in ((url, "does the port speak TLS?"), (secure.url, "its certificate is not trusted")):
            done = otelmig(
                "trace", "-q", *inputs("v53.0-twohosts"), "--protocol", "grpc", "--otlp", target, "--no-spool"
            )
            assert done.stderr.splitlines() == [
                f"otelmig: {target}: TLS failed ({why})",
                "1 migration found, 0 exported, 1 not exported (1 tls); 0 lines not understood",
            ]


def test_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """A wrong path is a usage error for every transport, before anything is sent."""
    for protocol in PROTOCOLS:
        with pytest.raises(UsageError, match=r"cannot read the certificate or key .*missing\.pem: No such file"):
            delivered(payloads(1), "https://127.0.0.1:1", tmp_path, protocol=protocol, certificate="missing.pem")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_certificate_that_cannot_be_used(protocol: str, tmp_path: Path) -> None:
    """Half a pair, another's key, or something else than PEM: a usage error, not a library that aborts."""
    (tmp_path / "text.pem").write_text("no certificate\n")
    (tmp_path / "cut.pem").write_bytes((_CERTIFICATES / "client.pem").read_bytes()[:200])
    text, cut = str(tmp_path / "text.pem"), str(tmp_path / "cut.pem")
    given: list[dict[str, Any]] = [
        {"client_key": _certificate("client.key")},
        {"client_certificate": _certificate("client.pem")},
        {"client_certificate": text, "client_key": _certificate("client.key")},
        {"client_certificate": cut, "client_key": _certificate("client.key")},
        {"client_certificate": _certificate("client.pem"), "client_key": text},
        {"client_certificate": _certificate("client.pem"), "client_key": _certificate("server.key")},
        {"certificate": text},
        {"certificate": cut},
        {"certificate": str(tmp_path)},
    ]
    for options in given:
        with pytest.raises(UsageError, match="certificate"):
            delivered(payloads(1), "https://127.0.0.1:1", None, protocol=protocol, **options)


def test_half_a_pair_of_the_environment(otelmig: Otelmig) -> None:
    """It is one line and exit code 2, before a log is read."""
    done = otelmig(
        *("trace", "missing.log", "--otlp", "https://127.0.0.1:1", "--protocol", "grpc"),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=_certificate("client.key"),
    )
    assert done.returncode == 2
    assert done.stderr == "otelmig: a client key without its certificate: want --client-certificate, too\n"


def test_proxy(otelmig: Otelmig) -> None:
    """HTTP_PROXY is used, unless NO_PROXY names the host."""
    logs = inputs("v53.0-twohosts")
    arguments = ("trace", "-q", *map(str, logs), "--timeout", "1")
    with http_receiver() as proxy:
        url = proxy.url
        through = otelmig(*arguments, "--otlp", "http://collector.invalid:4318", HTTP_PROXY=url, http_proxy=url)
        assert through.returncode == 0
        assert {headers["host"] for headers in proxy.headers} == {"collector.invalid:4318"}
        count = len(proxy.headers)
        around = otelmig(
            *arguments, "--otlp", "http://collector.invalid:4318", "--resend", http_proxy=url, no_proxy=".invalid"
        )
        assert around.returncode == 3
        assert len(proxy.headers) == count


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
        given = ("--timeout", "1", "--protocol", "grpc", "--no-spool", "--otlp", "http://collector.invalid:4317")
        otelmig("trace", "-q", *inputs("v53.0-twohosts"), *given, **{name: proxy})
        thread.join()
    assert heard[0].startswith(b"CONNECT collector.invalid:4317 ")


def test_secrets_stay_secret(otelmig: Otelmig, tmp_path: Path) -> None:
    """Credentials reach the receiver and nothing else, even if the receiver repeats them."""
    secret = "hunter2SECRET"  # noqa: S105 - the bait
    logs = inputs("v53.0-twohosts")
    options = ("--header", f"Authorization=Bearer {secret}", "--header", f"x-key={secret}2")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login nobody password wrong\n")
    (home / ".netrc").chmod(0o600)
    outputs = []
    with http_receiver() as receiver, grpc_receiver() as other:
        receiver.reply = Reply(body=rejection(1, f"no quota for Bearer {secret}"))
        outputs += [otelmig("trace", "--json", *logs, "--otlp", receiver.url, *options, HOME=str(home))]
        assert {headers["authorization"] for headers in receiver.headers} == {f"Bearer {secret}"}
        receiver.reply = Reply(status=302, headers={"Location": f"http://u:{secret}@x/?t={secret}"})
        with_user = receiver.url.replace("http://", f"http://me:{secret}@") + f"/v1/traces?token={secret}"
        outputs += [otelmig("trace", "--json", *logs, "--otlp", with_user, OTELMIG_DEBUG="1")]
        assert receiver.headers[-1]["authorization"].startswith("Basic ")
        other.reply = Reply(code=grpc.StatusCode.UNAUTHENTICATED, details=f"bad token {secret}")
        grpc_options = ("--protocol", "grpc", "--otlp", other.url)
        outputs += [otelmig("trace", "--json", *logs, *grpc_options, OTEL_EXPORTER_OTLP_HEADERS=f"a=b%20{secret}")]
        outputs += [otelmig("send", "--json", "--dry-run", "--otlp", with_user, *options)]
    assert [done.returncode for done in outputs] == [3, 3, 3, 0]
    assert "no quota for ***" in outputs[0].stderr
    for done in outputs:
        assert "hunter2" not in done.stdout + done.stderr
    kept = [path for path in (tmp_path / "spool").iterdir() if path.is_file()]
    assert any(path.name.startswith("segment-") for path in kept)
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]
