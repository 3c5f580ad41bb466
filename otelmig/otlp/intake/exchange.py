"""What both servers share: requests and verdicts, their limits, who may send, and an account of what was refused."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from otelmig.structs import Struct
from otelmig.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.otlp.intake.access import TokenFile

__all__ = ["Desk", "Handler", "Limits", "ReceivedRequest", "Refusal", "RefusedError", "Verdict"]

_MOST_REFUSALS: Final = 1_000
"""Senders and reasons that are counted apart; those beyond are counted together."""
_MOST_FAULTS: Final = 1_000
_OFTEN: Final = 3
"""How often the handler may fail over one and the same request before it is refused for good."""
_SOON_S: Final = 1.0
"""When to come again, where nothing is known of how long it will take."""
_OTHERS: Final = "others"


class ReceivedRequest(NamedTuple):
    """A request with logs, whole and inflated."""

    body: bytes
    is_json: bool
    """Whether it is OTLP/JSON; else protobuf."""
    peer: str
    """The address of whoever sent it, without the port."""


class Verdict(NamedTuple):
    """What becomes of a request."""

    status: HTTPStatus = HTTPStatus.OK
    """OK: it is taken, for good. SERVICE_UNAVAILABLE: it is not, and may come again. BAD_REQUEST: it is malformed."""
    reason: str = ""
    """For the sender: one line."""
    retry_after_s: float | None = None
    """How long the sender should wait before it comes again."""


Handler: TypeAlias = "Callable[[ReceivedRequest], Verdict]"
"""Takes a request, in the thread of its connection; may wait until the request is durable. Called by many at once."""


class Limits(Struct, frozen=True, kw_only=True):
    """How much senders may send, how slowly, and how many at once."""

    connections: int = 2_048
    """At once; those beyond are answered 503. Fewer where the process may open fewer files. (HTTP)"""
    header_bytes: int = 1 << 15
    """Bytes of the request line and the headers, or of the trailers. (HTTP)"""
    body_bytes: int = 20 * MIB
    """Bytes of a body as it is sent."""
    inflated_bytes: int = 32 * MIB
    """Bytes of a body that is protobuf, inflated."""
    json_bytes: int = 8 * MIB
    """Bytes of a body that is JSON, inflated: it takes many times as much memory while it is read. (HTTP)"""
    bytes_under_way: int = 256 * MIB
    """Bytes of all bodies that are held at once, as sent and inflated; what does not fit is answered 503."""
    head_s: float = 10.0
    """Seconds for a TLS handshake, for the first request of a connection to begin, and for its headers. (HTTP)"""
    body_s: float = 20.0
    """Seconds within which a body must be there; ... (HTTP)"""
    bytes_per_s: int = 1 << 14
    """... one more for each so many bytes of it that are. (HTTP)"""
    answer_s: float = 10.0
    """Seconds within which an answer must be taken. (HTTP)"""
    workers: int = 16
    """Requests handled at once. (gRPC)"""


class Refusal(NamedTuple):
    """What was refused for good, or for the moment."""

    peer: str
    status: HTTPStatus
    reason: str
    times: int


class RefusedError(Exception):
    """A request is not taken; the verdict says why."""

    def __init__(self, status: HTTPStatus, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.verdict: Final = Verdict(status, reason, retry_after_s)


class Desk:
    """Where requests of one server are handed over; used by all of its threads."""

    def __init__(self, handler: Handler, limits: Limits, token: TokenFile | None) -> None:
        """Hand requests to ``handler``; ``token``: what senders must know, if anything."""
        self._handler = handler
        self._limits = limits
        self._token = token
        self._lock = threading.Lock()
        self._held = 0
        self._refusals: Counter[tuple[str, HTTPStatus, str]] = Counter()
        self._faults: OrderedDict[bytes, int] = OrderedDict()

    def authorize(self, header: str | None) -> None:
        """Check the ``Authorization`` of a request.

        Raises:
            RefusedError: it lacks the token.
        """
        if self._token is not None and not self._token.is_in(header):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the bearer token is missing or wrong")

    def reserve(self, size: int) -> None:
        """Count ``size`` bytes as held, until they are released.

        Raises:
            RefusedError: there are too many.
        """
        with self._lock:
            if self._held + size > self._limits.bytes_under_way:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests under way", _SOON_S)
            self._held += size

    def release(self, size: int) -> None:
        """Count ``size`` bytes as held no more."""
        with self._lock:
            self._held -= size

    def take(self, request: ReceivedRequest) -> Verdict:
        """Return what the handler says of a request; never raises.

        A handler that fails over a request has not taken it: it may come again. One that fails over it again and again
        would keep everything behind it waiting; so then it is refused for good, and counted.
        """
        try:
            verdict = self._handler(request)
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails must not end a server's thread
            verdict = self._fault(request.body, error)
        if verdict.status is not HTTPStatus.OK:
            self.count(request.peer, verdict)
        return verdict

    def _fault(self, body: bytes, error: Exception) -> Verdict:
        digest = hashlib.sha256(body).digest()
        with self._lock:
            count = self._faults.pop(digest, 0) + 1
            self._faults[digest] = count
            if len(self._faults) > _MOST_FAULTS:
                self._faults.popitem(last=False)
        reason = f"internal error: {type(error).__name__}"
        if count >= _OFTEN:
            return Verdict(HTTPStatus.INTERNAL_SERVER_ERROR, reason)
        return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, reason, _SOON_S)

    def count(self, peer: str, verdict: Verdict) -> None:
        """Count what was refused."""
        key = (peer, verdict.status, verdict.reason)
        with self._lock:
            if key not in self._refusals and len(self._refusals) >= _MOST_REFUSALS:
                key = (_OTHERS, verdict.status, "")
            self._refusals[key] += 1

    def refusals(self) -> tuple[Refusal, ...]:
        """Return what was refused since the server began, the most frequent first."""
        with self._lock:
            return tuple(Refusal(*key, count) for key, count in self._refusals.most_common())
