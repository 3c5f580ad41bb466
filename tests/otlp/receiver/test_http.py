"""OTLP over HTTP: what each answer means, from those a receiver should give to those that it should not."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Any

import pytest
from delivery_cases import Clock, check_delivered, delivered, payloads
from otlp_receiver import Reply, free_port, http_receiver

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.settings import Settings
from otelmig.otlp.receiver.transport import open_transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANY = 110
"""Three batches."""


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
    traces = payloads(3)
    said: list[str] = []
    with http_receiver() as receiver:
        receiver.reply = replace(reply, takes=False)
        account = delivered(traces, receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.6)
        assert account.exported.traces == 0
        assert account.spooled.traces == account.waiting.traces == 3
        assert any(words in text for text in said), said
        assert not [text for text in said if "\n" in text]
        receiver.reply = Reply()
        again = delivered(traces, receiver.url, tmp_path, protocol=protocol)
        assert again.exported.traces == 3
        check_delivered(traces, receiver, [account, again])


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        (Reply(status=404), True),
        (Reply(status=405), True),
        (Reply(status=301, headers={"Location": "/login"}), True),
        (Reply(headers={"Content-Type": "text/html"}, body=b"<html>"), True),
        (Reply(status=401), False),
        (Reply(status=500), False),
    ],
)
def test_base_url_with_the_path_already(reply: Reply, *, named: bool) -> None:
    """Where nothing answers at a path that stands twice, the mistake is named, and no other guess is made."""
    with http_receiver() as receiver:
        receiver.reply = replace(reply, takes=False)
        for path in ("/v1/traces", ""):
            settings = Settings.of({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url + path})
            transport = open_transport(settings)
            failure = transport.send(payloads(1)[0].body, 5.0).failure or ""
            transport.close()
            assert ("OTEL_EXPORTER_OTLP_ENDPOINT is a base URL" in failure) is (named and path != "")
            assert not (path and "is the path" in failure)


@pytest.mark.parametrize("body", [b'{"status":"Server available","uptime":"1h"}', b"[]", b"", b'"ok"', b"null"])
def test_health_port_is_no_receiver(body: bytes, tmp_path: Path) -> None:
    """A port that answers 200 with JSON of its own has taken nothing."""
    with http_receiver() as receiver:
        receiver.reply = Reply(body=body, headers={"Content-Type": "application/json"}, takes=False)
        for protocol in ("http/protobuf", "http/json"):
            account = delivered(payloads(1), receiver.url, tmp_path / protocol, protocol=protocol)
            assert account.words() == "0 exported, 1 spooled (1 not otlp)"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("style", ["seconds", "date", "none", "nonsense"])
def test_busy(status: int, style: str, tmp_path: Path) -> None:
    """429 and 503 are waited out, as long as they say; nothing was taken, so nothing is a copy."""
    traces, clock = payloads(2), Clock()
    wait = {"seconds": "7", "date": formatdate(time() + 7, usegmt=True), "nonsense": "soon"}.get(style)
    headers = {} if wait is None else {"Retry-After": wait}
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=status, headers=headers, takes=False)] * 2
        account = delivered(traces, receiver.url, tmp_path, clock=clock, timeout_s=20)
        assert account.words() == "2 exported"
        check_delivered(traces, receiver, [account])
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
    traces = payloads(2)
    lines: list[str] = []
    with http_receiver() as receiver:
        receiver.replies = [Reply(raw=raw, takes="re-sent" in later)]
        account = delivered(traces, receiver.url, tmp_path, lines)
        assert account.words() == words
        assert [said in line for line in lines] == [True]
        again = delivered(traces, receiver.url, tmp_path)
        assert again.words() == later
        check_delivered(traces, receiver, [account, again])


@pytest.mark.parametrize("year", ["99999999999999999999", "0000", "-1"])
def test_date_that_is_none(year: str, tmp_path: Path) -> None:
    """A time to come back that no calendar has is no time: the usual pause is made."""
    date = f"Mon, 01 Jan {year} 00:00:00 GMT".encode()
    busy = Reply(raw=b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % date, takes=False)
    with http_receiver() as receiver:
        receiver.replies = [busy]
        assert delivered(payloads(2), receiver.url, tmp_path).words() == "2 exported"


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


def test_fault_of_our_own() -> None:
    """What nobody foresaw while a request is under way is raised where it is waited for, not kept quiet about."""
    transport = open_transport(Settings.of({}, url=f"http://127.0.0.1:{free_port()}", compression="gzip"))
    wrong: Any = "no bytes"
    with pytest.raises(TypeError, match="bytes-like"):
        transport.send(wrong, 5)
    transport.close()
