"""One request of a sender over HTTP and its answer: what is asked, whether it may be, and what it holds."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from otelmig.otlp.intake.exchange import ReceivedRequest, RefusedError, Verdict
from otelmig.otlp.intake.http_answer import CONTINUE, JSON, PROTOBUF, answer, document
from otelmig.otlp.intake.http_wire import GoneError
from otelmig.otlp.intake.inflating import inflated
from otelmig.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otelmig.otlp.intake.exchange import Desk, Limits
    from otelmig.otlp.intake.http_wire import Head, HttpWire

__all__ = ["HttpExchange"]

_LOGS: Final = "/v1/logs"
_STATUS: Final = "/status"
_LONGEST_DRAIN_S: Final = 60.0
"""How long the rest of a refused body is read: a sender that is cut off may not read the answer, and come again."""


class HttpExchange:
    """Answers requests, one at a time for each connection."""

    def __init__(
        self, desk: Desk, limits: Limits, status: Callable[[], tuple[int, Mapping[str, object]]] | None
    ) -> None:
        """Hand requests over at ``desk``; ``status`` gives what ``/status`` answers."""
        self._desk = desk
        self._limits = limits
        self._status = status

    def answer(self, wire: HttpWire, peer: str, is_last: Callable[[], bool]) -> bool:
        """Answer the request that begins, and return whether another may follow.

        Raises:
            GoneError: the other end is gone.
        """
        pieces: Iterator[bytes] = iter(())
        is_json = True
        try:
            head = wire.head()
            pieces = wire.pieces(head)
            is_json = _is_json(head) is not False
            self._desk.authorize(head.headers.get("authorization"))
            if head.path == _STATUS and self._status is not None:
                return self._answer_status(wire, head, pieces)
            _check(head)
            verdict = self._taken(wire, head, pieces, peer)
        except RefusedError as refused:
            self._desk.count(peer, refused.verdict)
            self._say(wire, refused, pieces, is_json=is_json)
            return False
        keeps = head.keeps and not is_last()
        wire.send(answer(verdict, is_json=is_json, keeps=keeps))
        return keeps

    def refuse(self, wire: HttpWire, peer: str, refused: RefusedError) -> None:
        """Refuse the request that begins, whatever it is.

        Raises:
            GoneError: the other end is gone.
        """
        pieces: Iterator[bytes] = iter(())
        is_json = True
        try:
            head = wire.head()
            pieces, is_json = wire.pieces(head), _is_json(head) is not False
        except RefusedError:
            pass  # nor is it a request
        self._desk.count(peer, refused.verdict)
        self._say(wire, refused, pieces, is_json=is_json)

    def _say(self, wire: HttpWire, refused: RefusedError, pieces: Iterator[bytes], *, is_json: bool) -> None:
        """Answer that the request is refused, and have the rest of it read."""
        wire.send(answer(refused.verdict, is_json=is_json, keeps=False))
        _drain(pieces)
        wire.linger()

    def _answer_status(self, wire: HttpWire, head: Head, pieces: Iterator[bytes]) -> bool:
        if head.method != "GET":
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"want GET {_STATUS}")
        keeps = head.keeps and not head.has_body
        try:
            status, value = (500, {}) if self._status is None else self._status()
            said = document(HTTPStatus(status), value, keeps=keeps)
        except Exception as error:
            reason = f"internal error: {type(error).__name__}"
            raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, reason) from error
        wire.send(said)
        if not keeps:
            _drain(pieces)
        return keeps

    def _taken(self, wire: HttpWire, head: Head, pieces: Iterator[bytes], peer: str) -> Verdict:
        """Return the verdict of the handler."""
        held = _Held(self._desk)
        try:
            if head.length is not None and head.length > self._limits.body_bytes:
                raise _too_large(self._limits.body_bytes)
            if head.headers.get("expect", "").lower() == "100-continue" and head.is_1_1:
                wire.send(CONTINUE)
            body = self._inflated(head, _read(pieces, held, self._limits.body_bytes), held)
            return self._desk.take(ReceivedRequest(body, _is_json(head) is True, peer))
        finally:
            held.release()

    def _inflated(self, head: Head, body: bytes, held: _Held) -> bytes:
        encoding = head.headers.get("content-encoding", "").lower() or "identity"
        limit = self._limits.json_bytes if _is_json(head) else self._limits.inflated_bytes
        size = 0

        def hold(step: int) -> None:
            nonlocal size
            size += step
            if size > limit:
                raise _too_large(limit)
            if encoding != "identity":
                held.add(step)

        return inflated(body, encoding, hold)


class _Held:
    """The bytes that one request holds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._size = 0

    def add(self, size: int) -> None:
        self._desk.reserve(size)
        self._size += size

    def release(self) -> None:
        self._desk.release(self._size)
        self._size = 0


def _read(pieces: Iterator[bytes], held: _Held, limit: int) -> bytes:
    """Return a body that is not too large."""
    body = bytearray()  # pieces may be of a byte each, and an object takes fifty
    for piece in pieces:
        if len(body) + len(piece) > limit:
            raise _too_large(limit)
        held.add(len(piece))
        body += piece
    return bytes(body)


def _drain(pieces: Iterator[bytes]) -> None:
    """Read what is left of a body, for a while; nothing of it is kept."""
    deadline = time.monotonic() + _LONGEST_DRAIN_S
    try:
        for _ in pieces:
            if time.monotonic() > deadline:
                return
    except (RefusedError, GoneError):
        pass  # it was refused before


def _too_large(limit: int) -> RefusedError:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit} bytes"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {size} in one request: send smaller batches")


def _check(head: Head) -> None:
    """Check that a request is one with logs.

    Raises:
        RefusedError: it is none.
    """
    if head.path != _LOGS:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"this service takes logs, at {_LOGS}, and nothing else")
    if head.method != "POST":
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"want POST {_LOGS}")
    if _is_json(head) is None:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"want Content-Type {PROTOBUF} or {JSON}")
    if head.headers.get("expect", "100-continue").lower() != "100-continue":
        raise RefusedError(HTTPStatus.EXPECTATION_FAILED, "want no Expect but 100-continue")


def _is_json(head: Head) -> bool | None:
    """Return whether the body is JSON; None if it is neither that nor protobuf."""
    content_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return {JSON: True, PROTOBUF: False}.get(content_type)
