"""Finished traces -> where they cannot be lost: a file, the spool, a receiver; in a thread of its own.

Whoever gives a trace keeps the lines that it was made of until the trace is safe. What cannot be kept anywhere is tried
again, and counted.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.errors import FaultError
from otelmig.otlp.account import Account
from otelmig.otlp.delivery import PER_BATCH, Origin
from otelmig.otlp.payload import Payload
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from otelmig.live.drawing import Finished
    from otelmig.otlp.delivery import Delivery

__all__ = ["Outlet", "TraceFile"]

_PER_DELIVERY: Final = 2000
"""Traces after which the delivery begins anew: it remembers each of them."""
_RETRY_S: Final = 5.0
"""Seconds until what could not be kept, or waits in the spool, is tried again."""
_PAUSE_S: Final = 1.0
"""Seconds between two attempts to keep traces somewhere."""
_TAIL: Final = 1 << 22
"""Bytes at the end of a file in which a trace is looked for that was written before a restart."""


class TraceFile:
    """A file that gets a line of OTLP/JSON for each trace, at its end; durable after each batch.

    Raises:
        OSError: it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab+")
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - _TAIL))
        self._before = self._file.read()
        if self._before and not self._before.endswith(b"\n"):
            self._file.write(b"\n")  # a line was cut when its writer was killed: it stays a line of its own
        self._file.seek(0, os.SEEK_END)

    def append(self, payloads: Sequence[Payload]) -> None:
        """Write those that are not among the last lines of an earlier run."""
        for payload in payloads:
            if not self._before or payload.line not in self._before:
                self._file.write(payload.line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class OutletCounts(Struct, kw_only=True):
    """What became of traces, since the start."""

    written: int = 0
    unsafe: int = 0
    """Traces that could neither be exported nor kept the last time that this was tried."""
    failures: int = 0
    """Traces that could not be encoded or shown."""


class Outlet(Struct, kw_only=True):
    """The thread that finished traces go to."""

    open_delivery: Callable[[], Delivery] | None
    file: TraceFile | None
    on_trace: Callable[[Finished], None]
    """Called of each trace once it is safe."""
    wake: Callable[[], None]
    """Called when traces became safe."""
    say: Callable[[str], None]
    counts: OutletCounts = field(default_factory=OutletCounts)
    _account: Account = field(default_factory=Account)
    """Of the deliveries that are over."""
    _in_file: set[int] = field(default_factory=set)
    """The identities of traces that wait and are in the file already."""
    _waiting: deque[Finished] = field(default_factory=deque)
    _safe: deque[Finished] = field(default_factory=deque)
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _thread: threading.Thread | None = None
    _delivery: Delivery | None = None
    _delivered: int = 0
    _retry_s: float = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="otelmig-outlet", daemon=True)
        self._thread.start()

    def put(self, finished: Finished) -> None:
        """Take a trace."""
        with self._arrived:
            self._waiting.append(finished)
            self._arrived.notify()

    def safe(self) -> list[Finished]:
        """Return the traces that became safe since this was asked last."""
        finished = []
        while self._safe:
            finished.append(self._safe.popleft())
        return finished

    @property
    def account(self) -> Account:
        """What became of all traces so far."""
        account = Account()
        account.add_all(self._account)
        delivery = self._delivery
        if delivery is not None:
            account.add_all(delivery.account)
        return account

    @property
    def backlog(self) -> int:
        """Traces that are not safe yet."""
        return len(self._waiting)

    def stop(self, timeout_s: float) -> bool:
        """Deliver what there is, within a time; return whether all of it is safe."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s / 2)
            if thread.is_alive() and self._delivery is not None:
                self._delivery.interrupt()
                thread.join(timeout_s / 2)
        return not self._waiting

    def _run(self) -> None:
        while True:
            with self._arrived:
                if not self._waiting and not self._stopping:
                    self._arrived.wait(_RETRY_S)
                batch = [self._waiting[at] for at in range(min(PER_BATCH, len(self._waiting)))]
                stopping = self._stopping
            kept = 0
            try:
                kept = self._put_all(batch) if batch else 0
                if not kept:
                    self._idle(stopping=stopping)
            except Exception as error:  # noqa: BLE001 - the edge of the thread: without it no trace goes out any more
                self.say(str(FaultError.of("the delivery", error)))
            if not kept:
                if stopping:
                    break
                if batch:
                    time.sleep(_PAUSE_S)
        if self._delivery is not None:
            self._close()

    def _put_all(self, batch: Sequence[Finished]) -> int:
        """Put a batch everywhere; return how many of it are safe."""
        payloads = self._encoded(batch)
        if not self._write(
            [trace for trace in batch if id(trace) in payloads and id(trace) not in self._in_file], payloads
        ):
            return 0
        delivery = self._opened()
        if delivery is not None and payloads:
            delivery.deliver(payloads.values(), Origin.TRACED)
            self._delivered += len(payloads)
        safe: list[Finished] = []
        unsafe: list[Finished] = []
        for trace in batch:
            payload = payloads.get(id(trace))
            is_safe = delivery is None or payload is None or delivery.keeps(payload)
            (safe if is_safe else unsafe).append(trace)
        self.counts.unsafe = len(unsafe)
        with self._arrived:
            for _ in batch:
                self._waiting.popleft()
            self._waiting.extendleft(reversed(unsafe))
            self._safe.extend(safe)
        for trace in safe:
            self._in_file.discard(id(trace))
            self._show(trace)
        if safe:
            self.wake()
        if self._delivered >= _PER_DELIVERY:
            self._close()
        return len(safe)

    def _write(self, new: Sequence[Finished], payloads: Mapping[int, Payload]) -> bool:
        """Put traces into the file, if there is one; return whether they are there."""
        if self.file is None or not new:
            return True
        try:
            self.file.append([payloads[id(trace)] for trace in new])
        except OSError as error:
            self.say(f"cannot write {self.file.path.name}: {os.strerror(error.errno or 0)}; tried again")
            return False
        self._in_file |= {id(trace) for trace in new}
        self.counts.written += len(new)
        return True

    def _show(self, finished: Finished) -> None:
        """Tell of a trace that is safe; whatever fails over that takes nothing from the traces."""
        try:
            self.on_trace(finished)
        except Exception as error:  # noqa: BLE001 - the edge of one trace
            self.counts.failures += 1
            self.say(str(FaultError.of(f"trace {finished.trace.trace_id}", error)))

    def _encoded(self, batch: Sequence[Finished]) -> dict[int, Payload]:
        """Return the payload of each trace by its identity; one that cannot be encoded costs the others nothing."""
        payloads: dict[int, Payload] = {}
        for finished in batch:
            try:
                payloads[id(finished)] = Payload.of_trace(finished.trace)
            except Exception as error:  # noqa: BLE001 - the edge of one trace: the others are delivered
                self.counts.failures += 1
                self.say(str(FaultError.of(f"trace {finished.trace.trace_id}", error)))
        return payloads

    def _opened(self) -> Delivery | None:
        if self._delivery is None and self.open_delivery is not None:
            self._delivery = self.open_delivery().__enter__()
        return self._delivery

    def _idle(self, *, stopping: bool) -> None:
        """Try once more what waits in the spool."""
        now_s = time.monotonic()
        if self.open_delivery is None or (now_s < self._retry_s and not stopping):
            return
        self._retry_s = now_s + _RETRY_S
        delivery = self._opened()
        if delivery is not None and delivery.may_hold_traces():
            delivery.deliver_leftovers()

    def _close(self) -> None:
        """End the delivery, and add what it counted."""
        delivery, self._delivery, self._delivered = self._delivery, None, 0
        if delivery is not None:
            delivery.__exit__(None, None, None)
            self._account.add_all(delivery.account)
