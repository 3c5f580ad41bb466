"""Senders of OTLP logs, byte by byte: what no client library would do."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.exchange import Verdict
from otelmig.otlp.intake.http import HttpIntake

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from otelmig.otlp.intake.exchange import ReceivedRequest

__all__ = ["LOCAL", "PROTOBUF_HEADERS", "Answer", "Held", "Inbox", "WireClient", "ask", "intake", "post"]

LOCAL = Address("127.0.0.1", 0)
PROTOBUF_HEADERS = {"Content-Type": "application/x-protobuf"}


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes


class Inbox:
    """A handler that keeps what it is given, and says what it is told to say."""

    def __init__(self, verdict: Verdict | Callable[[ReceivedRequest], Verdict] = Verdict()) -> None:  # noqa: B008 - immutable
        self.requests: list[ReceivedRequest] = []
        self.verdict = verdict
        self._lock = threading.Lock()

    def __call__(self, request: ReceivedRequest) -> Verdict:
        """Keep a request."""
        with self._lock:
            self.requests.append(request)
        return self.verdict if isinstance(self.verdict, Verdict) else self.verdict(request)


class Held:
    """A handler that answers once it is told to go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        """Set once a request is there."""
        self.go_on = threading.Event()

    def __call__(self, request: ReceivedRequest) -> Verdict:
        """Hold a request."""
        del request
        self.begun.set()
        assert self.go_on.wait(30)
        return Verdict()


@contextmanager
def intake(handler: Any = None, **given: Any) -> Iterator[HttpIntake]:
    """Run a server on a free port."""
    server = HttpIntake(LOCAL, handler or Inbox(), **given)
    server.start()
    try:
        yield server
    finally:
        server.stop(grace_s=5.0)


class WireClient:
    """One connection; what is sent is sent as it is."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self._rest = b""
        self.socket = socket.create_connection(address, timeout=30)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Return the next answer."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        size = int(headers["content-length"])
        while len(self._rest) < size:
            self._receive()
        body, self._rest = self._rest[:size], self._rest[size:]
        return Answer(int(status), headers, body)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(end)
        return head

    def _receive(self) -> None:
        more = self.socket.recv(1 << 16)
        if not more:
            raise ConnectionResetError("the server ended the connection")
        self._rest += more

    def is_closed(self) -> bool:
        """Return whether the server ends the connection, and nothing more was said."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def post(self, body: bytes, headers: dict[str, str] = PROTOBUF_HEADERS, path: str = "/v1/logs") -> Answer:
        """Send a request and return the answer."""
        return self.post_sent(post(body, headers, path))

    def post_sent(self, sent: bytes) -> Answer:
        """Send a request that is complete, and return the answer."""
        self.send(sent)
        return self.answer()


def post(body: bytes, headers: dict[str, str] = PROTOBUF_HEADERS, path: str = "/v1/logs") -> bytes:
    """Return a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost"]
    length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
    lines += [f"{name}: {value}" for name, value in (length | headers).items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return the status and the body of a service's answer; 0 while it does not listen."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request(method, path, body, PROTOBUF_HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
