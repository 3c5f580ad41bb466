"""Answers of HTTP as a receiver should not give them, or not often, and what cannot be sent at all."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from delivery_cases import check_delivered, delivered, payloads
from listener import listening
from otlp_receiver import Reply, free_port, http_receiver
from trace_invariants import inputs

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.settings import Settings
from otelmig.otlp.receiver.transport import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Otelmig

_CERTIFICATES = Path(__file__).parents[1] / "certificates"
_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_EARLY = (
    b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nContent-Length: 9\r\n\r\n"
)


@pytest.mark.parametrize(
    ("raw", "said", "words", "later"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0, 5\r\n\r\n",
            "answered with a malformed header",
            "0 exported, 2 spooled (2 receiver error)",
            "2 exported, 2 re-sent",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://[x\r\nContent-Length: 0\r\n\r\n",
            "redirects to somewhere else (302)",
            "0 exported, 2 spooled (2 not otlp)",
            "2 exported",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
            "redirects to http://\xff\xfe/ (302)",
            "0 exported, 2 spooled (2 not otlp)",
            "2 exported",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "answered 101: this is no OTLP receiver",
            "0 exported, 2 spooled (2 not otlp)",
            "2 exported, 2 re-sent",
        ),
    ],
    ids=["length", "location", "location that is no text", "upgrade"],
)
def test_malformed(raw: bytes, said: str, words: str, later: str, tmp_path: Path) -> None:
    """One line says what it was; all is kept, the run goes on, and the next one knows what may have been taken."""
    given = payloads(2)
    lines: list[str] = []
    with http_receiver() as receiver:
        receiver.replies = [Reply(raw=raw, takes="re-sent" in later)]
        account = delivered(given, receiver.url, tmp_path, lines)
        assert account.words() == words
        assert [said in line for line in lines] == [True]
        again = delivered(given, receiver.url, tmp_path)
        assert again.words() == later
        check_delivered(given, receiver, [account, again])


@pytest.mark.parametrize("year", ["99999999999999999999", "0000", "-1"])
def test_date_that_is_none(year: str, tmp_path: Path) -> None:
    """A time to come back that no calendar has is no time: the usual pause is made."""
    date = f"Mon, 01 Jan {year} 00:00:00 GMT".encode()
    busy = Reply(raw=b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % date, takes=False)
    with http_receiver() as receiver:
        receiver.replies = [busy]
        assert delivered(payloads(2), receiver.url, tmp_path).words() == "2 exported"


@pytest.mark.parametrize("way", ["plain", "TLS", "proxy"])
def test_interim_answers(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a receiver says on its way to the answer is passed over, and the connection serves on."""
    given = payloads(110)
    with http_receiver(tls=_context() if way == "TLS" else None) as receiver:
        receiver.reply = Reply(raw=_EARLY + _TAKEN)
        if way == "proxy":
            monkeypatch.setenv("http_proxy", receiver.url)
        url = "http://collector.invalid" if way == "proxy" else receiver.url
        account = delivered(given, url, tmp_path, certificate=str(_CERTIFICATES / "ca.pem"))
        assert account.words() == "110 exported"
        assert len(receiver.requests) == 3
        check_delivered(given, receiver, [account])


@pytest.mark.parametrize("status", [502, 504])
def test_gateway_that_got_no_answer(status: int, tmp_path: Path) -> None:
    """Nobody knows what the receiver behind it did: sent again, and counted."""
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=status)]
        account = delivered(payloads(1), receiver.url, tmp_path)
        assert account.words() == "1 exported, 1 re-sent"
        check_delivered(payloads(1), receiver, [account])


def test_fields_of_a_later_version(tmp_path: Path) -> None:
    """What a partial success of JSON says besides is passed over, as the specification wants it."""
    body = b'{"partialSuccess":{"rejectedSpans":"0","retryable":{"a":[1]}}}'
    with http_receiver() as receiver:
        receiver.replies = [Reply(body=body)]
        assert delivered(payloads(1), receiver.url, tmp_path, protocol="http/json").words() == "1 exported"


def test_user_in_any_script(tmp_path: Path) -> None:
    """User and password of the URL are sent as UTF-8."""
    with http_receiver() as receiver:
        url = receiver.url.replace("//", "//us%C3%A9r:p%E2%82%AC@")
        assert delivered(payloads(1), url, tmp_path).words() == "1 exported"
        assert receiver.headers[-1]["authorization"] == "Basic " + b64encode("us\xe9r:p\u20ac".encode()).decode()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--otlp", "http://a..b:4318"), "not an OTLP endpoint: 'http://a..b:4318' (such as http://localhost:4318)"),
        (("--otlp", f"http://{'a' * 64}.x/"), f"not an OTLP endpoint: 'http://{'a' * 64}.x/' (such as http://localho"),
        (("--otlp", "http://*:4318"), "http://*:4318/v1/traces cannot be used: it is no URL"),
        (("--otlp", "http://x/\udcff"), "not an OTLP endpoint: 'http://x/\\udcff' (such as http://localhost:4318)"),
        (("--otlp", "http://x", "--header", "a=b"), "a header's value cannot be HTTP's: it begins with a space"),
    ],
    ids=["empty label", "long label", "star", "no UTF-8", "header"],
)
def test_what_cannot_be_sent(options: tuple[str, ...], why: str, otelmig: Otelmig) -> None:
    """A URL or a header that cannot be sent is one line and exit code 2, before a log is read."""
    done = otelmig("trace", "missing.log", *options, OTEL_EXPORTER_OTLP_HEADERS="c=%20d" if "a=b" in options else "")
    assert done.returncode == 2
    assert done.stderr.startswith(f"otelmig: {why}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("socks5://me:hunter2@127.0.0.1:1", "'127.0.0.1:1' to http://collector.invalid/v1/traces: Missing depend"),
        ("http://[x", "'http://[x' to http://collector.invalid/v1/traces: want http://HOST:PORT"),
        ("http://", "'http://' to http://collector.invalid/v1/traces: want http://HOST:PORT"),
        ("ftp://x:1", "'ftp://x:1' to http://collector.invalid/v1/traces: want http://HOST:PORT"),
        ("http://me:hunter2%E2%82%AC@x:1", "'x:1' to http://collector.invalid/v1/traces: want http://HOST:PORT"),
    ],
)
def test_proxy_that_cannot_be_used(proxy: str, why: str, otelmig: Otelmig) -> None:
    """It is named, without its password, before a log is read; a URL that is reached without it needs it not."""
    logs = map(str, inputs("v53.0-twohosts"))
    arguments = ("trace", "-q", *logs, "--no-spool", "--timeout", "1", "--otlp")
    done = otelmig(*arguments, "http://collector.invalid", http_proxy=proxy)
    assert done.returncode == 2
    assert done.stderr.startswith(f"otelmig: cannot use the proxy {why}")
    assert done.stderr.count("\n") == 1
    with http_receiver() as receiver:
        assert otelmig(*arguments, receiver.url, http_proxy=proxy, no_proxy="127.0.0.1").returncode == 0


def test_fault_of_our_own() -> None:
    """What nobody foresaw while a request is under way is raised where it is waited for, not kept quiet about."""
    transport = open_transport(Settings.of({}, url=f"http://127.0.0.1:{free_port()}", compression="gzip"))
    wrong: Any = "no bytes"
    with pytest.raises(TypeError, match="bytes-like"):
        transport.send(wrong, 5)
    transport.close()


def _context(*, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATES / "server.pem", _CERTIFICATES / "server.key")
    if mutual:
        context.load_verify_locations(_CERTIFICATES / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _garbage(near: ssl.SSLSocket) -> None:
    with socket.socket(fileno=near.detach()) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x20" + b"g" * 32)
        plain.recv(1)


def _alert(near: ssl.SSLSocket) -> None:
    with socket.socket(fileno=near.detach()) as plain:
        plain.sendall(b"\x15\x03\x03\x00\x02\x02\x50")
        plain.recv(1)


def _goodbye(near: ssl.SSLSocket) -> None:
    near.settimeout(0.2)
    with suppress(OSError), near:
        near.unwrap()


@contextmanager
def _breaking(fault: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """A receiver over TLS whose first request with spans ends with ``fault``, the body not being read."""
    faults = [fault]

    def serve(plain: socket.socket) -> None:
        with _context().wrap_socket(plain, server_side=True) as near, near.makefile("rb") as words:
            while head := b"".join(takewhile(b"\r\n".__ne__, words)):  # up to an empty line, or to the end
                size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index] # always sent
                if size and faults:
                    faults.pop()(near)
                    return
                words.read(size)
                near.sendall(_TAKEN)

    with listening(serve) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("fault", [_garbage, _alert, _goodbye])
def test_tls_that_breaks_in_mid_exchange(fault: Callable[[ssl.SSLSocket], None], tmp_path: Path) -> None:
    """It is a connection that broke: tried again, and counted, as nobody knows what arrived."""
    with _breaking(fault) as url:
        account = delivered(payloads(100), url, tmp_path, certificate=str(_CERTIFICATES / "ca.pem"))
    assert account.words() == "100 exported, 50 re-sent"


def test_certificate_that_the_receiver_does_not_take(tmp_path: Path) -> None:
    """TLS 1.3 says so after the sender's handshake: it is wrong TLS all the same, and not tried again."""
    said: list[str] = []

    def refuse(near: socket.socket) -> None:
        secure = context.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
        with suppress(ssl.SSLError):
            secure.do_handshake()
        with socket.socket(fileno=secure.detach()) as plain:
            while plain.recv(1 << 16):  # a reset would overtake the alert
                pass

    context = _context(mutual=True)
    with listening(refuse) as port:
        url = f"https://127.0.0.1:{port}"
        account = delivered(payloads(1), url, tmp_path, said, certificate=str(_CERTIFICATES / "ca.pem"))
    assert account.reasons == {Reason.TLS: account.spooled}
    assert ["certificate required" in line for line in said] == [True]
