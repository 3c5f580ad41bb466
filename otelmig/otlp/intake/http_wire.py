"""HTTP/1.1 as it comes in: heads and bodies off one connection, within limits of size and of time.

Nothing here waits longer than the limits say, but for the first byte of another request on a connection that has sent a
good one: Collectors keep theirs. (RFC 9112.)
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.otlp.intake.exchange import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.otlp.intake.exchange import Limits

__all__ = ["GoneError", "Head", "HttpWire"]

_CHUNK: Final = 1 << 16
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE: Final = re.compile(r"([A-Z]{1,16}) ([\x21-\x7e]+) HTTP/1\.([01])")
_MOST_HEADERS: Final = 100
_LONGEST_CHUNK_LINE: Final = 1_024
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}(?=[ \t;]|$)")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_LINE_END: Final = b"\r\n"
_END: Final = _LINE_END * 2
_LINGER_S: Final = 1.0
_LATER_S: Final = 5.0
"""When a sender that was too slow should come again."""


class GoneError(Exception):
    """The other end closed the connection in the middle of a request, or takes no answer."""


class Head(NamedTuple):
    """A request without its body."""

    method: str
    path: str
    """Without the query."""
    is_1_1: bool
    headers: Mapping[str, str]
    """By their names in small letters; several of one name are joined by commas."""
    length: int | None
    """Bytes of the body; None: it comes in chunks, each with its size."""

    @property
    def has_body(self) -> bool:
        """Whether anything follows."""
        return self.length != 0

    @property
    def keeps(self) -> bool:
        """Whether the sender means to go on using the connection."""
        wishes = {wish.strip() for wish in self.headers.get("connection", "").lower().split(",")}
        return self.is_1_1 and "close" not in wishes


class HttpWire:
    """One connection, of which requests are read and to which answers are written."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        """Read from ``connection``; its timeout is changed at will."""
        self._connection = connection
        self._limits = limits
        self._buffer = bytearray()

    def wait(self, timeout_s: float | None) -> bool:
        """Return whether another request begins before ``timeout_s``; False: the other end is gone, or silent."""
        while True:
            while self._buffer.startswith((b"\r", b"\n")):  # empty lines before a request are nothing
                del self._buffer[0]
            if self._buffer:
                return True
            self._connection.settimeout(timeout_s)
            try:
                more = self._connection.recv(_CHUNK)
            except OSError:
                return False
            if not more:
                return False
            self._buffer += more

    def head(self) -> Head:
        """Return the head of the request that begins.

        Raises:
            RefusedError: it is malformed, too large, or comes too slowly.
            GoneError: it does not end.
        """
        return _parsed(self._until(_END, self._limits.header_bytes, time.monotonic() + self._limits.head_s))

    def pieces(self, head: Head) -> Iterator[bytes]:
        """Yield the body as it comes in. It may be gone on with after whoever took a piece refused it.

        Raises:
            RefusedError: it is malformed, or comes too slowly.
            GoneError: it does not end.
        """
        pace = _Pace(self._limits)
        if head.length is not None:
            yield from self._counted(head.length, pace)
            return
        while (size := self._chunk_size(pace)) > 0:
            yield from self._counted(size, pace)
            if b"".join(self._counted(len(_LINE_END), pace)) != _LINE_END:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk is longer than it says")
        for _ in range(_MOST_HEADERS):
            if not self._until(_LINE_END, self._limits.header_bytes, pace.deadline):
                return
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many trailers")

    def send(self, data: bytes) -> None:
        """Write an answer.

        Raises:
            GoneError: it is not taken in time, or nobody is there to take it.
        """
        try:
            self._connection.settimeout(self._limits.answer_s)
            self._connection.sendall(data)
        except OSError as error:
            raise GoneError from error

    def linger(self) -> None:
        """Read on for a moment after the last answer: bytes that nobody reads make the system take the answer back."""
        deadline = time.monotonic() + _LINGER_S
        with contextlib.suppress(OSError, RefusedError, GoneError):
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            while time.monotonic() < deadline:
                self._buffer.clear()
                self._receive(deadline)

    def _counted(self, size: int, pace: _Pace) -> Iterator[bytes]:
        left = size
        while left:
            if not self._buffer:
                self._receive(pace.deadline)
            piece = bytes(self._buffer[:left])
            del self._buffer[:left]
            left -= len(piece)
            pace.advance(len(piece))
            yield piece

    def _chunk_size(self, pace: _Pace) -> int:
        line = self._until(_LINE_END, _LONGEST_CHUNK_LINE, pace.deadline)
        match = _CHUNK_SIZE.match(line)
        if match is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk has no size")
        return int(match[0], 16)

    def _until(self, end: bytes, limit: int, deadline: float) -> bytes:
        """Return what comes before ``end``, both of at most ``limit`` bytes."""
        searched = 0
        while (place := self._buffer.find(end, max(searched - len(end) + 1, 0))) < 0:
            searched = len(self._buffer)
            if searched >= limit:
                break
            self._receive(deadline)
        if not 0 <= place <= limit - len(end):
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {limit} bytes of a head")
        data = bytes(self._buffer[:place])
        del self._buffer[: place + len(end)]
        return data

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        try:
            self._connection.settimeout(max(left, 0))  # 0: what is there
            more = self._connection.recv(_CHUNK)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError) as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the request comes too slowly", _LATER_S) from error
        except OSError as error:
            raise GoneError from error
        if not more:
            raise GoneError
        self._buffer += more


class _Pace:
    """Until when more of a body must have come: the more of it is there, the later."""

    def __init__(self, limits: Limits) -> None:
        self._bytes_per_s = limits.bytes_per_s
        self.deadline = time.monotonic() + limits.body_s

    def advance(self, size: int) -> None:
        self.deadline += size / self._bytes_per_s


def _parsed(data: bytes) -> Head:
    line, *lines = data.decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request line is no HTTP/1.1")
    if len(lines) > _MOST_HEADERS:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {_MOST_HEADERS} headers")
    headers: dict[str, str] = {}
    for header in lines:
        name, colon, value = header.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or "\r" in value or "\n" in value or "\0" in value:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a header is malformed")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(match[1], match[2].partition("?")[0], match[3] == "1", headers, _length(headers, match[1]))


def _length(headers: Mapping[str, str], method: str) -> int | None:
    """Return the bytes of the body; None: chunks. Whatever could be read in two ways is refused."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise RefusedError(HTTPStatus.BAD_REQUEST, "want a Content-Length, or the Transfer-Encoding chunked")
        return None
    if length is None:
        if method in ("POST", "PUT"):
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "want a Content-Length, or the Transfer-Encoding chunked")
        return 0
    if not _LENGTH.fullmatch(length):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the Content-Length is no number")
    return int(length)
