"""Announcements of migrations that programs send to a watcher: in the state before their senders are told so."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.live.receiving.requests import RequestQueue
from otelmig.live.receiving.status import Status
from otelmig.otlp.intake.request import ReceivedLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.live.receiving.requests import Waiting
    from otelmig.live.work import Work

__all__ = ["AnnouncedCounts", "Listening"]

_LINE: Final = "a line of a log"
"""Why a record is passed over that a service for a fleet would take."""


class AnnouncedCounts(NamedTuple):
    """How many migrations were announced, and what came of it; how much came in besides."""

    taken: int
    waiting: int
    unmatched: int
    late: int
    evicted: int
    passed_over: int
    """Log records that are no announcements."""


_NOTHING: Final = AnnouncedCounts(0, 0, 0, 0, 0, 0)


@dataclass(slots=True, kw_only=True)
class Listening:
    """What a watcher takes over the network: announcements, and nothing else."""

    work: Work
    on_change: Callable[[AnnouncedCounts], None]
    """Told when something was announced, or something came of it."""
    requests: RequestQueue = field(default_factory=RequestQueue)
    status: Status = field(init=False)
    _told: AnnouncedCounts = _NOTHING

    def __post_init__(self) -> None:
        self.status = Status(work=self.work, requests=self.requests)

    @property
    def counts(self) -> AnnouncedCounts:
        """How it stands."""
        known = self.work.assembly.announcements
        passed_over = sum(self.requests.passed_over.values())
        return AnnouncedCounts(known.taken, len(known), known.unmatched, known.late, known.evicted, passed_over)

    def start(self) -> None:
        """Take requests from now on: what was read before is read again."""
        self.status.ready = True
        self.requests.open()

    def take(self) -> None:
        """Take what was sent; tell how it stands, if that changed."""
        self._keep(self.requests.next_group())
        self.status.renew(time.monotonic())
        counts = self.counts
        if counts != self._told:
            self._told = counts
            with self.work.guarded("what was announced"):
                self.on_change(counts)

    def end(self) -> None:
        """Take what was sent, and nothing after it."""
        self._keep(self.requests.rest())

    def _keep(self, group: Sequence[Waiting]) -> None:
        """Put announcements in the state, with the lines that were read before them; answer their senders.

        So the times of both are still known after a restart, when all other lines are read as if they came then.
        """
        if not group:
            return
        announced = [record for waiting in group for record in waiting.logs.announcements]
        kept = not announced
        if announced:
            with self.work.guarded("what was announced"):
                logs = ReceivedLogs((), tuple(announced), Counter())
                self.work.assembly.take(logs, time.monotonic(), time.time_ns())
                kept = self.work.flush()
        self.requests.settle(group, kept=kept)
        if kept:
            for waiting in group:
                self._pass_over(waiting.logs)

    def _pass_over(self, logs: ReceivedLogs) -> None:
        passed_over = self.requests.passed_over
        if logs.records and _LINE not in passed_over:
            self.work.say(
                "lines of logs came in: they are counted and not read, since only files of this machine are followed"
            )
        passed_over.update(logs.passed_over)
        if logs.records:
            passed_over[_LINE] += len(logs.records)
