"""A delivery in a thread of its own: while a batch is on its way, the next traces are read and built."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final

from otelmig.otlp.delivery import LARGEST_REQUEST, PER_BATCH, Origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Self

    from otelmig.otlp.delivery import Delivery
    from otelmig.otlp.payload import Payload

__all__ = ["BackgroundDelivery"]

_POLL_S: Final = 0.2
"""Seconds between two calls of ``while_waiting``."""


class BackgroundDelivery:
    """Delivers in the background; a context, which opens and closes ``delivery``.

    An interrupt inside the context makes the request that is under way the last one; its answer is waited for, so that
    the account says what the receiver has. ``while_waiting`` is called several times a second while the caller waits
    for the thread; ``on_wait`` is told what an interrupt has to wait for.

    Example:
        with BackgroundDelivery(delivery) as background:
            for trace in traces:
                background.add(Payload.of_trace(trace))
            background.finish()
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        origin: Origin = Origin.TRACED,
        while_waiting: Callable[[], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Deliver what is added, all of it of one ``origin``."""
        self._delivery = delivery
        self._origin = origin
        self._while_waiting = while_waiting
        self._on_wait = on_wait
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._batch: list[Payload] = []
        self._size = 0
        self._under_way: Future[Any] | None = None

    def __enter__(self) -> Self:
        self._delivery.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                self._delivery.interrupt()
                self._say_waiting()
            self._executor.shutdown()
        finally:
            self._delivery.__exit__(kind, error, traceback)

    def _say_waiting(self) -> None:
        """Say that the answer to the last request is waited for, unless it comes at once."""
        if self._on_wait is None:
            return
        idle = self._executor.submit(lambda: None)  # done once the thread has nothing else to do
        if not wait([idle], _POLL_S).done:
            self._on_wait(
                f"{self._delivery.display_url} has not answered the last request yet: its answer is waited for"
            )

    def add(self, payload: Payload) -> None:
        """Take a payload; a full batch is handed over as soon as the one before it is settled."""
        self._batch.append(payload)
        self._size += len(payload.body)
        if len(self._batch) == PER_BATCH or self._size >= LARGEST_REQUEST:
            self._hand_over()

    def add_broken_line(self) -> None:
        """Count a line of an archive that cannot be sent, in the thread that counts everything else."""
        self._executor.submit(self._delivery.account.count_broken_line)

    def finish(self) -> None:
        """Deliver what was added and, after traces, what earlier runs left over for this receiver; wait for it."""
        self._hand_over()
        if self._origin is Origin.TRACED:
            self._under_way = self._executor.submit(self._delivery.deliver_leftovers)
        self._settle()

    def deliver_spool(self) -> bool:
        """Deliver what the spool holds, and wait for it; False if the spool cannot be used."""
        self._delivery.open_spool()
        self._under_way = delivered = self._executor.submit(self._delivery.deliver_spool)
        self._settle()
        return delivered.result()

    def _hand_over(self) -> None:
        """Give the batch to the thread, once it has settled the one before."""
        if not self._batch:
            return
        if self._under_way is None:
            self._delivery.open_spool()
        self._settle()
        self._under_way = self._executor.submit(self._delivery.deliver, self._batch, self._origin)
        self._batch, self._size = [], 0

    def _settle(self) -> None:
        if self._under_way is None:
            return
        while self._while_waiting is not None and not wait([self._under_way], _POLL_S).done:
            self._while_waiting()
        self._under_way.result()
