"""Requests to one receiver, each tried while that can help; a receiver that is not there is not asked every time."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.settings import JSON
from otelmig.otlp.receiver.transport import Answer, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["Sender", "Sent"]

_FIRST_PAUSE_S: Final = 0.25
_PROBE_TIMEOUT_S: Final = 3.0
_PROBE_PAUSE_S: Final = 5.0
"""So long nothing is sent to a receiver that was not there."""
_WRONG_PLACE: Final = frozenset({Reason.NOT_OTLP, Reason.TLS, Reason.UNAUTHORIZED})
"""What does not change while a command runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of a request with its retries."""

    answer: Answer
    """The last one."""
    arrivals: int = 0
    """Sends that were taken, or may have been."""
    repeats: int = 0
    """Those of them that followed another."""


class Sender:
    """Sends to one receiver; knows whether it is worth trying."""

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; ``jitter`` gives numbers in [0, 1), so that many that were turned away do not come back at once."""
        self._settings = settings
        self._transport = open_transport(settings)
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._refusal: Answer | None = None
        self._not_before: float = 0

    def preflight(self) -> Answer:
        """The answer to a request without spans: it tells a wrong URL, and nothing about whether spans are taken."""
        answer = self._transport.send(
            b'{"resourceSpans":[]}' if self._settings.protocol == JSON else b"",
            min(_PROBE_TIMEOUT_S, self._settings.timeout_s),
        )
        if answer.failure is not None and answer.reason in _WRONG_PLACE:
            self._refuse(answer)
        return answer

    def refusal(self, *, at_last: bool = False) -> Answer | None:
        """Why nothing should be sent now; None if it is worth trying. ``at_last``: there will be no other time."""
        found = self._refusal
        if found is None or found.reason in _WRONG_PLACE:
            return found
        if self._clock() < self._not_before and not (at_last and found.retry_after_s is None):
            return found
        answer = self.preflight()
        if answer.failure is not None and (answer.retryable or answer.reason in _WRONG_PLACE):
            self._refuse(answer)
            return answer
        self._refusal = None
        return None

    def send(self, body: bytes) -> Sent:
        """Send one request until it is taken, cannot be, or its time is over."""
        deadline = self._clock() + self._settings.timeout_s
        pause, arrivals, repeats = _FIRST_PAUSE_S, 0, 0
        while True:
            answer = self._transport.send(body, max(deadline - self._clock(), 0.001))
            if answer.failure is None or answer.maybe_taken:
                repeats += arrivals > 0
                arrivals += 1
            wait = max(answer.retry_after_s or 0.0, pause * (0.5 + self._jitter()))
            if answer.failure is None or not answer.retryable or self._clock() + wait >= deadline:
                break
            self._sleep(wait)
            pause *= 2
        if answer.failure is not None and not answer.of_request:
            self._refuse(answer)
        return Sent(answer=answer, arrivals=arrivals, repeats=repeats)

    def _refuse(self, answer: Answer) -> None:
        self._refusal = answer
        self._not_before = self._clock() + max(answer.retry_after_s or 0.0, _PROBE_PAUSE_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()
