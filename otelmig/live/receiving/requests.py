"""Requests between the servers' threads, which wait for the answers, and the one thread that works."""

from __future__ import annotations

import threading
from collections import Counter, deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.otlp.intake.exchange import Verdict
from otelmig.otlp.intake.request import MalformedRequestError, decode_logs
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.otlp.intake.exchange import ReceivedRequest, Refusal
    from otelmig.otlp.intake.request import ReceivedLogs

__all__ = ["RequestQueue", "Waiting"]

_PER_GROUP: Final = 64
"""At most so many requests are put on the disk together."""
_MOST_WAITING: Final = 1 << 26
"""Bytes of requests that wait to be put on the disk."""
_ANSWER_S: Final = 20.0
"""Seconds after which a sender is told to come back later."""
_RETRY_AFTER_S: Final = 2.0
_STARTING: Final = "the service is starting"
_STOPPING: Final = "the service is stopping"


class Waiting(Struct, eq=False):
    """A request whose sender waits for the answer."""

    request: ReceivedRequest
    logs: ReceivedLogs
    settled: threading.Event = field(default_factory=threading.Event)
    verdict: Verdict | None = None


class RequestQueue(Struct):
    """Requests that wait to be put on the disk, and an account of all there were."""

    wake: Callable[[], None] = lambda: None
    """Has the working thread look around; called from the servers' threads."""
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were not taken, by reason."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Parts of requests that were not used, by reason."""
    refused_by_servers: list[Callable[[], Sequence[Refusal]]] = field(default_factory=list)
    """For each server: returns what it answered with an error, and to whom."""
    _closed: str = _STARTING
    """Why no request is taken; empty while requests are."""
    _queue: deque[Waiting] = field(default_factory=deque)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self._queue)

    def refusals(self) -> list[Refusal]:
        """Return what was refused, by sender and reason, the most frequent first."""
        refusals = (refusal for refused in self.refused_by_servers for refusal in refused())
        return sorted(refusals, key=lambda refusal: -refusal.times)

    def open(self) -> None:
        """Take requests from now on."""
        self._closed = ""

    def stop(self) -> None:
        """Take no more requests; may be called from a signal handler."""
        self._closed = _STOPPING

    def accept(self, request: ReceivedRequest) -> Verdict:
        """Take a request; return once it is on the disk, or is not taken. Called from the servers' threads."""
        try:
            logs = decode_logs(request.body, is_json=request.is_json)
        except MalformedRequestError as error:
            self.refused["malformed"] += 1
            return Verdict(HTTPStatus.BAD_REQUEST, str(error))
        waiting = Waiting(request, logs)
        with self._lock:
            if self._closed:
                return self._later(self._closed)
            if self._bytes + len(request.body) > _MOST_WAITING and self._queue:
                return self._later("too many requests are waiting")
            self._queue.append(waiting)
            self._bytes += len(request.body)
        self.wake()
        if not waiting.settled.wait(_ANSWER_S):
            return self._later("the disk is slow")
        return waiting.verdict or self._later("the request was not kept")

    def next_group(self) -> list[Waiting]:
        """Return requests that are to be put on the disk together."""
        with self._lock:
            return self._next(min(_PER_GROUP, len(self._queue)))

    def rest(self) -> list[Waiting]:
        """Return all requests that wait; none comes after them."""
        with self._lock:
            self.stop()
            return self._next(len(self._queue))

    def settle(self, group: Iterable[Waiting], *, kept: bool) -> None:
        """Answer the senders of requests: they are on the disk, or could not be put there."""
        for waiting in group:
            self.taken += kept
            waiting.verdict = Verdict() if kept else self._later("the state cannot be written")
            waiting.settled.set()

    def _next(self, count: int) -> list[Waiting]:
        group = [self._queue.popleft() for _ in range(count)]
        self._bytes -= sum(len(waiting.request.body) for waiting in group)
        return group

    def _later(self, reason: str) -> Verdict:
        self.refused[reason] += 1
        return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, reason, _RETRY_AFTER_S)
