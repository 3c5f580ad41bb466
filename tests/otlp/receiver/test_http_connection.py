"""HTTP connections: what cannot be connected is said beforehand, and what breaks is told from what was never made."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
from delivery_cases import check_delivered, delivered, payloads
from listener import listening
from otlp_receiver import Reply, http_receiver
from tls_receiver import certificate, server_context
from trace_invariants import inputs

from otelmig.otlp.account import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Otelmig
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Otelmig

_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_EARLY = (
    b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nContent-Length: 9\r\n\r\n"
)


@pytest.mark.parametrize("way", ["plain", "TLS", "proxy"])
def test_interim_answers(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a receiver says on its way to the answer is passed over, and the connection serves on."""
    traces = payloads(110)
    with http_receiver(tls=server_context() if way == "TLS" else None) as receiver:
        receiver.reply = Reply(raw=_EARLY + _TAKEN)
        if way == "proxy":
            monkeypatch.setenv("http_proxy", receiver.url)
        url = "http://collector.invalid" if way == "proxy" else receiver.url
        account = delivered(traces, url, tmp_path, certificate=certificate("ca.pem"))
        assert account.words() == "110 exported"
        assert len(receiver.requests) == 3
        check_delivered(traces, receiver, [account])


def test_user_in_any_script(tmp_path: Path) -> None:
    """User and password of the URL are sent as UTF-8."""
    with http_receiver() as receiver:
        url = receiver.url.replace("//", "//us%C3%A9r:p%E2%82%AC@")
        assert delivered(payloads(1), url, tmp_path).words() == "1 exported"
        assert receiver.headers[-1]["authorization"] == "Basic " + b64encode("us\xe9r:p\u20ac".encode()).decode()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ("--otlp", "http://a..b:4318"),
            "not an OTLP endpoint: 'http://a..b:4318'; want a URL such as http://localhost:4318",
        ),
        (
            ("--otlp", f"http://{'a' * 64}.x/"),
            f"not an OTLP endpoint: 'http://{'a' * 64}.x/'; want a URL such as http://localho",
        ),
        (("--otlp", "http://*:4318"), "http://*:4318/v1/traces cannot be used: it is no URL"),
        (
            ("--otlp", "http://x/\udcff"),
            "not an OTLP endpoint: 'http://x/\\udcff'; want a URL such as http://localhost:4318",
        ),
        (("--otlp", "http://x", "--header", "a=b"), "a header's value cannot be HTTP's: it begins with a space"),
    ],
    ids=["empty label", "long label", "star", "no UTF-8", "header"],
)
def test_what_cannot_be_sent(options: tuple[str, ...], why: str, otelmig: Otelmig) -> None:
    """A URL or a header that cannot be sent is one line and exit code 2, before a log is read."""
    done = otelmig("trace", "missing.log", *options, OTEL_EXPORTER_OTLP_HEADERS="c=%20d" if "a=b" in options else "")
    assert done.returncode == 2
    *usage, said = done.stderr.splitlines()
    assert usage in ([], ["usage: otelmig trace [OPTION]... FILE..."])
    assert said.startswith(f"otelmig: {why}")


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
        with server_context().wrap_socket(plain, server_side=True) as near, near.makefile("rb") as words:
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
        account = delivered(payloads(100), url, tmp_path, certificate=certificate("ca.pem"))
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

    context = server_context(mutual=True)
    with listening(refuse) as port:
        url = f"https://127.0.0.1:{port}"
        account = delivered(payloads(1), url, tmp_path, said, certificate=certificate("ca.pem"))
    assert account.reasons == {Reason.TLS: account.spooled}
    assert ["certificate required" in line for line in said] == [True]


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
