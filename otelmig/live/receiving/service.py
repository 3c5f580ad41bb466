"""The service: requests in, traces out, nothing lost in between.

Servers hand requests over from threads of their own; one thread does everything else, one request after the
other, so that what happens depends on their order alone; the traces go to a third (:mod:`otelmig.live.outlet`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelmig.live.receiving.requests import RequestQueue
from otelmig.live.receiving.status import AGE_S, Status
from otelmig.otlp.intake.request import MalformedRequestError, decode_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.live.receiving.requests import Waiting
    from otelmig.live.work import Work
    from otelmig.otlp.intake.request import ReceivedLogs

__all__ = ["Service"]


@dataclass(slots=True, kw_only=True)
class Service:
    """Everything between the servers and the receivers."""

    work: Work
    on_tick: Callable[[Service], None]
    """Called about once a second, by the working thread."""
    requests: RequestQueue = field(default_factory=RequestQueue)
    status: Status = field(init=False)
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _woken: bool = False
    _worked_off: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.before_flush = self._take_worked_off
        self.requests.wake = self.wake
        self.status = Status(work=self.work, requests=self.requests)

    def wake(self) -> None:
        """Wake the working thread; may be called from any thread."""
        with self._arrived:
            self._woken = True
            self._arrived.notify()

    def stop(self) -> None:
        """Make :meth:`run` end once what was taken is on the disk; may be called from a signal handler."""
        self._stopping = True
        self.requests.stop()

    def restore(self) -> None:
        """Go on where the last run stopped.

        Raises:
            StateError: the state cannot be read.
        """
        now_s = time.monotonic()
        self.work.assembly.restore(now_s)
        for stored in self.work.state.requests():
            self.status.replayed += 1
            try:
                logs = decode_logs(stored.body, is_json=stored.is_json)
            except MalformedRequestError:  # an earlier release took it
                self.requests.refused["malformed"] += 1
            else:
                self._work_off(logs, stored.at_ns)
            self._worked_off.append(stored.ident)
        self.work.flush()
        self.status.ready = True
        if not self._stopping:
            self.requests.open()

    def run(self) -> None:
        """Work until :meth:`stop` is called."""
        while not self._stopping:
            self._await()
            self._keep(self.requests.next_group())
            self._look_around()
        self._keep(self.requests.rest())
        self._look_around()

    def _await(self) -> None:
        """Wait for requests, or until something is due."""
        with self._arrived:
            if not self.requests and not self._woken and not self._stopping:
                now_s = time.monotonic()
                due_s = min(self.work.assembly.next_due_s or now_s + AGE_S, self.status.made_s + AGE_S)
                self._arrived.wait(min(max(due_s - now_s, 0.0), AGE_S))
            self._woken = False

    def _keep(self, group: Sequence[Waiting]) -> None:
        """Put requests on the disk, answer their senders, and work them off."""
        if not group:
            return
        with_lines = [waiting for waiting in group if waiting.logs.records or waiting.logs.announcements]
        at_ns = time.time_ns()
        kept: list[int] | None = None
        with self.work.guarded("requests"):
            kept = self.work.state.keep(
                ((waiting.request.body, waiting.request.is_json) for waiting in with_lines), at_ns
            )
        self.requests.settle(group, kept=kept is not None)
        if kept is None:
            return
        for waiting in group:
            self.requests.passed_over.update(waiting.logs.passed_over)
        for ident, waiting in zip(kept, with_lines, strict=True):
            self._work_off(waiting.logs, at_ns)
            self._worked_off.append(ident)

    def _work_off(self, logs: ReceivedLogs, at_ns: int) -> None:
        with self.work.guarded("a request"):
            self.work.assembly.take(logs, time.monotonic(), at_ns)

    def _look_around(self) -> None:
        """Do what is due, and once a second what is due then."""
        now_s = time.monotonic()
        for finished in self.work.look_around():
            self.status.last_delay_s = now_s - finished.last_word_s
        if self.status.renew(now_s):
            with self.work.guarded("the status"):
                self.on_tick(self)

    def _take_worked_off(self) -> list[int]:
        """Return the requests that were worked off since this was asked last."""
        requests, self._worked_off = self._worked_off, []
        return requests
