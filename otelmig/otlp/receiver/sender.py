"""Requests to one receiver: each is retried while that may help; a receiver that is down is asked now and then."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.answer import Answer
from otelmig.otlp.receiver.settings import JSON
from otelmig.otlp.receiver.transport import open_transport
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["SendResult", "Sender"]

_FIRST_PAUSE_S: Final = 0.25
"""Seconds, on average, before the first retry; each further pause is twice as long."""
_PROBE_TIMEOUT_S: Final = 3.0
"""At most this many seconds are waited for the answer to a request without spans."""
_PROBE_PAUSE_S: Final = 5.0
"""At least this many seconds pass before a receiver that failed is asked again."""
_LEAST_TIMEOUT_S: Final = 0.001
"""At least this many seconds are left to a request whose time is over."""
_WRONG_RECEIVER: Final = frozenset({Reason.NOT_OTLP, Reason.TLS, Reason.UNAUTHORIZED})
"""Reasons that do not go away while a command runs."""


class SendResult(Struct, frozen=True, kw_only=True):
    """The result of a request with its retries."""

    answer: Answer
    """The last answer."""
    arrivals: int = 0
    """How many of the sends were accepted, or may have been."""
    repeats: int = 0
    """How many of these followed another one: at most this many duplicates are possible."""


class Sender:
    """Sends requests to one receiver and remembers whether the receiver is worth trying."""

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare the connection; nothing is sent yet.

        ``sleep`` and ``clock`` count seconds. ``jitter`` returns numbers in [0, 1), so that many senders that were
        turned away together do not come back together.

        Raises:
            UsageError: a certificate or key, the URL, a header or the proxy cannot be used.
        """
        self._settings = settings
        self._transport = open_transport(settings)
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._refusal: Answer | None = None
        self._not_before_s: float = 0

    def preflight(self) -> Answer:
        """Return the answer to a request without spans: it reveals a wrong URL, but not whether spans are accepted."""
        answer = self._answer_to(
            b'{"resourceSpans":[]}' if self._settings.protocol == JSON else b"",
            min(_PROBE_TIMEOUT_S, self._settings.timeout_s),
        )
        if answer.failure is not None and answer.reason in _WRONG_RECEIVER:
            self._refuse(answer)
        return answer

    def refusal(self, *, last_chance: bool = False) -> Answer | None:
        """Return the failure because of which nothing should be sent now; None if it is worth trying.

        With ``last_chance``, nothing will be sent later: the receiver is asked again at once, unless it asked for time.
        """
        refusal = self._refusal
        if refusal is None or refusal.reason in _WRONG_RECEIVER:
            return refusal
        if self._clock() < self._not_before_s and not (last_chance and refusal.retry_after_s is None):
            return refusal
        answer = self.preflight()
        if answer.failure is not None and (answer.retryable or answer.reason in _WRONG_RECEIVER):
            self._refuse(answer)
            return answer
        self._refusal = None
        return None

    def send(self, body: bytes, *, on_repeat: Callable[[], None] = lambda: None) -> SendResult:
        """Send one request until it is accepted, cannot be accepted, or the timeout of the settings has passed.

        ``on_repeat`` is called before each retry of a request that may have been accepted already.
        """
        deadline_s = self._clock() + self._settings.timeout_s
        pause_s, arrivals, repeats = _FIRST_PAUSE_S, 0, 0
        # every round sends once: `arrivals` counts the sends that may have been accepted, `repeats` those of them that
        # came after another, and `pause_s` is the average pause before the next round
        while True:
            answer = self._answer_to(body, max(deadline_s - self._clock(), _LEAST_TIMEOUT_S))
            if answer.failure is None or answer.maybe_accepted:
                repeats += arrivals > 0
                arrivals += 1
            wait_s = max(answer.retry_after_s or 0.0, pause_s * (0.5 + self._jitter()))
            if answer.failure is None or not answer.retryable or self._clock() + wait_s >= deadline_s:
                break
            self._sleep(wait_s)
            if arrivals:
                on_repeat()
            pause_s *= 2
        if answer.failure is not None and not answer.concerns_request:
            self._refuse(answer)
        return SendResult(answer=answer, arrivals=arrivals, repeats=repeats)

    def _answer_to(self, body: bytes, timeout_s: float) -> Answer:
        """Return the answer to one request; a fault of ours, or of a library below, is one of them."""
        try:
            return self._transport.send(body, timeout_s)
        except Exception as error:  # noqa: BLE001 - the edge of one request: the account needs its outcome
            failure = f"{self._settings.display_url}: internal error: {type(error).__name__}: {error}"
            return Answer(failure=failure, reason=Reason.RECEIVER_ERROR, maybe_accepted=True)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _refuse(self, answer: Answer) -> None:
        """Remember the failure, and send nothing for as long as the receiver asks, or for the probe pause."""
        self._refusal = answer
        self._not_before_s = self._clock() + max(answer.retry_after_s or 0.0, _PROBE_PAUSE_S)
