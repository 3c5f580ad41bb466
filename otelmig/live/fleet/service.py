"""The service: requests in, traces out, nothing lost in between.

Servers hand requests over from threads of their own; one thread does everything else, one request after the
other, so that what happens depends on their order alone; the traces go to a third (:mod:`otelmig.live.outlet`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from otelmig.dataclass import dataclass
from otelmig.otlp.intake.exchange import Verdict
from otelmig.otlp.intake.request import MalformedRequestError, decode_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otelmig.live.work import Work
    from otelmig.otlp.intake.exchange import ReceivedRequest
    from otelmig.otlp.intake.request import ReceivedLogs

__all__ = ["Service"]

_PER_GROUP: Final = 64
"""At most so many requests are put on the disk together."""
_MOST_WAITING: Final = 1 << 26
"""Bytes of requests that wait to be put on the disk."""
_ANSWER_S: Final = 20.0
"""Seconds after which a sender is told to come back later."""
_TICK_S: Final = 1.0
_RETRY_AFTER_S: Final = 2.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request whose sender waits for the answer."""

    request: ReceivedRequest
    logs: ReceivedLogs
    settled: threading.Event = field(default_factory=threading.Event)
    verdict: Verdict | None = None


@dataclass(slots=True, kw_only=True)
class Service:
    """Everything between the servers and the receivers."""

    work: Work
    describe: Callable[[Service, float], Mapping[str, object]]
    """Returns what is said of the service to whoever asks."""
    on_tick: Callable[[Service], None]
    """Called about once a second, by the working thread."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Parts of requests that are no lines, by reason."""
    requests: int = 0
    replayed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were not taken, by reason."""
    last_delay_s: float | None = None
    """Seconds from the last line of the latest migration to its trace being made."""
    document: Mapping[str, object] = field(init=False)
    """What is said of the service to whoever asks: about a second old."""
    ready: bool = False
    """Whether everything that was on the disk at the start is worked off."""
    _queue: deque[_Waiting] = field(default_factory=deque)
    _bytes: int = 0
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _woken: bool = False
    _worked_off: list[int] = field(default_factory=list)
    _ticked_s: float = 0.0

    def __post_init__(self) -> None:
        self.work.before_flush = self._take_worked_off
        self.document = self.describe(self, time.monotonic())

    def accept(self, request: ReceivedRequest) -> Verdict:
        """Take a request; return once it is on the disk, or is not taken."""
        try:
            logs = decode_logs(request.body, is_json=request.is_json)
        except MalformedRequestError as error:
            self.refused["malformed"] += 1
            return Verdict(HTTPStatus.BAD_REQUEST, str(error))
        waiting = _Waiting(request, logs)
        with self._arrived:
            if self._stopping or not self.ready:
                return self._later("the service is stopping" if self._stopping else "the service is starting")
            if self._bytes + len(request.body) > _MOST_WAITING and self._queue:
                return self._later("too many requests are waiting")
            self._queue.append(waiting)
            self._bytes += len(request.body)
            self._arrived.notify()
        if not waiting.settled.wait(_ANSWER_S):
            return self._later("the disk is slow")
        return waiting.verdict or self._later("the request was not kept")

    def _later(self, reason: str) -> Verdict:
        self.refused[reason] += 1
        return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, reason, _RETRY_AFTER_S)

    @property
    def backlog(self) -> int:
        """Requests that wait to be put on the disk."""
        return len(self._queue)

    def wake(self) -> None:
        """Have the working thread look around; may be called from any thread."""
        with self._arrived:
            self._woken = True
            self._arrived.notify()

    def stop(self) -> None:
        """Have :meth:`run` end once what was taken is on the disk; may be called from a signal handler."""
        self._stopping = True

    def restore(self) -> None:
        """Go on where the last run stopped.

        Raises:
            StateError: the state cannot be read.
        """
        now_s = time.monotonic()
        self.work.assembly.restore(now_s)
        for stored in self.work.state.requests():
            self.replayed += 1
            try:
                logs = decode_logs(stored.body, is_json=stored.is_json)
            except MalformedRequestError:  # an earlier release took it
                self.refused["malformed"] += 1
            else:
                self._work_off(logs, stored.at_ns)
            self._worked_off.append(stored.ident)
        self.work.flush()
        self.ready = True

    def run(self) -> None:
        """Work until :meth:`stop` is called."""
        while not self._stopping:
            group = self._next_group()
            if group:
                self._keep(group)
            self._look_around()
        with self._arrived:
            group = list(self._queue)
            self._queue.clear()
        if group:
            self._keep(group)
        self._look_around()

    def _next_group(self) -> list[_Waiting]:
        """Wait for requests, or until something is due."""
        with self._arrived:
            if not self._queue and not self._woken and not self._stopping:
                now_s = time.monotonic()
                due_s = min(self.work.assembly.next_due_s or now_s + _TICK_S, self._ticked_s + _TICK_S)
                self._arrived.wait(min(max(due_s - now_s, 0.0), _TICK_S))
            self._woken = False
            group = [self._queue.popleft() for _ in range(min(_PER_GROUP, len(self._queue)))]
            self._bytes -= sum(len(each.request.body) for each in group)
        return group

    def _keep(self, group: Sequence[_Waiting]) -> None:
        """Put requests on the disk, answer their senders, and work them off."""
        with_lines = [each for each in group if each.logs.records or each.logs.announcements]
        at_ns = time.time_ns()
        kept: list[int] | None = None
        with self.work.guarded("requests"):
            kept = self.work.state.keep(((each.request.body, each.request.is_json) for each in with_lines), at_ns)
        if kept is None:
            for each in group:
                each.verdict = self._later("the state cannot be written")
                each.settled.set()
            return
        for each in group:
            each.verdict = Verdict()
            each.settled.set()
        self.requests += len(group)
        for each in group:
            self.passed_over.update(each.logs.passed_over)
        for ident, each in zip(kept, with_lines, strict=True):
            self._work_off(each.logs, at_ns)
            self._worked_off.append(ident)

    def _work_off(self, logs: ReceivedLogs, at_ns: int) -> None:
        with self.work.guarded("a request"):
            self.work.assembly.take(logs, time.monotonic(), at_ns)

    def _look_around(self) -> None:
        """Do what is due, and once a second what is due then."""
        now_s = time.monotonic()
        for finished in self.work.look_around():
            self.last_delay_s = now_s - finished.last_word_s
        if now_s - self._ticked_s >= _TICK_S:
            self._ticked_s = now_s
            with self.work.guarded("the status"):
                self.document = self.describe(self, now_s)
                self.on_tick(self)

    def _take_worked_off(self) -> list[int]:
        """Return the requests that were worked off since this was asked last."""
        requests, self._worked_off = self._worked_off, []
        return requests
