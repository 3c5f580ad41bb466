"""A hypervisor's HTTP server on a UNIX socket, with the limits and habits of the one in Cloud Hypervisor.

One thread accepts, reads, answers. So a call that blocks blocks every other one, and nobody is even accepted. Ten
connections at most: the eleventh is told 503 and closed. Lines of a request are shorter than 1 KiB, bodies have an end
that is told beforehand, and who closes its half of the connection early does not get the answer.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["MOST_CONNECTIONS", "Answer", "ApiServer", "Call", "VanishedError"]

MOST_CONNECTIONS: Final = 10
_LONGEST_LINE: Final = 1024
_NO_CONTENT: Final = 204
_END_OF_LINE: Final = b"\r\n"


class Call(NamedTuple):
    """What a client asks for."""

    method: str
    path: str
    body: bytes


class Answer(NamedTuple):
    """What it is told."""

    status: int
    body: object = None
    """Text, or what becomes JSON; None is no body."""


class VanishedError(Exception):
    """The process is gone: no answer, and no socket any more."""


class _BadRequestError(Exception):
    """A request that the server does not read to its end."""


@dataclass
class _Connection:
    sock: socket.socket
    received: bytes = b""
    has_continued: bool = False
    calls: list[Call] = field(default_factory=list)

    def take(self, data: bytes, most_body: int) -> None:
        """Add what was received, and move every whole request to ``calls``; nothing is the end of the connection."""
        if not data:
            raise ConnectionResetError
        self.received += data
        while (call := self._first(most_body)) is not None:
            self.calls.append(call)

    def _first(self, most_body: int) -> Call | None:
        head, separator, rest = self.received.partition(_END_OF_LINE * 2)
        lines = head.split(_END_OF_LINE)
        if any(len(line) + len(_END_OF_LINE) > _LONGEST_LINE for line in lines):
            raise _BadRequestError("a line of the request is too long")
        if not separator:
            return None
        try:
            method, path, version = lines[0].decode("ascii").split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
            size = int(headers.get(b"content-length", b"0"))
        except ValueError:
            raise _BadRequestError("invalid request") from None
        if b"transfer-encoding" in headers or version not in ("HTTP/1.0", "HTTP/1.1"):
            raise _BadRequestError("unsupported header or version")
        if size > most_body:
            raise _BadRequestError(f"a payload of {size} bytes is larger than the limit of {most_body}")
        if headers.get(b"expect", b"").lower() == b"100-continue" and not self.has_continued:
            self.has_continued = True
            self.sock.sendall(b"HTTP/1.1 100 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n")
        if len(rest) < size:
            return None
        self.received, self.has_continued = rest[size:], False
        return Call(method, path, rest[:size])

    def answer(self, answer: Answer) -> None:
        """Send an answer, unless the client has closed its half: then it gets none."""
        if self.is_half_closed():
            raise ConnectionError
        head = f"HTTP/1.1 {answer.status} \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"
        body = b""
        if answer.body is not None:
            body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            head += "Content-Type: application/json\r\n"
        if answer.status != _NO_CONTENT:
            head += f"Content-Length: {len(body)}\r\n"
        self.sock.sendall(f"{head}\r\n".encode() + body)

    def is_half_closed(self) -> bool:
        """Whether the client is known to send nothing any more."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False


class ApiServer:
    """Serves one API socket in a thread, until it is closed or its process vanishes."""

    def __init__(self, path: Path, answer: Callable[[Call], Answer], *, most_body: int = 50 * 1024) -> None:
        self.path = path
        self._answer = answer
        self._most_body = most_body
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._wake, self._woken = socket.socketpair()
        self._connections: dict[socket.socket, _Connection] = {}
        self._selector = selectors.DefaultSelector()
        for each in (self._listener, self._woken):
            self._selector.register(each, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):  # its process vanished
            self._wake.send(b".")
        self._thread.join()
        self._wake.close()

    def _serve(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    sock = key.fileobj
                    if sock is self._woken:
                        return
                    if sock is self._listener:
                        self._accept()
                    elif isinstance(sock, socket.socket) and sock in self._connections:
                        self._read(self._connections[sock])
        except VanishedError:
            pass
        finally:
            self._selector.close()
            for each in (self._listener, self._woken, *self._connections):
                each.close()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        if len(self._connections) >= MOST_CONNECTIONS:
            with sock:
                _Connection(sock).answer(Answer(503, {"error": "Too many open connections"}))
            return
        self._connections[sock] = _Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, connection: _Connection) -> None:
        """Read once; answer every request that is whole now."""
        try:
            connection.take(connection.sock.recv(_LONGEST_LINE), self._most_body)
            while connection.calls:
                connection.answer(self._answer(connection.calls.pop(0)))
        except _BadRequestError as error:
            self._refuse(connection, str(error))
        except ConnectionError:
            self._drop(connection)

    def _refuse(self, connection: _Connection, text: str) -> None:
        try:
            connection.answer(Answer(400, {"error": text}))
        except ConnectionError:
            pass
        finally:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.sock)
        del self._connections[connection.sock]
        connection.sock.close()
