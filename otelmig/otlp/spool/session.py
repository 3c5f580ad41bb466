"""One run's use of a spool: opened when it is first needed, and given up for the rest of the run once it fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from otelmig.errors import InputError, SpoolError, SpoolFullError, SpoolVersionError
from otelmig.otlp.account import Reason
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.directory import check_spool
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from otelmig.otlp.spool.segment import Entry

__all__ = ["SpoolSession", "kept_payload"]


class SpoolSession:
    """The spool for as long as it can be used: whatever happens to it, the delivery goes on."""

    def __init__(
        self,
        directory: Path | None,
        bounds: Bounds,
        *,
        say: Callable[[str], None],
        evicted: Callable[[Entry, Reason], None],
        gone: Callable[[], None],
    ) -> None:
        """Prepare; nothing is opened yet, and without a ``directory`` nothing ever is.

        ``say`` is told in one line if it has to be waited for or fails. ``evicted`` hears of what leaves it
        undelivered, ``gone`` that nothing is there of what this run kept.
        """
        self.directory = directory
        self.failure: Reason | None = None
        """Why nothing is kept any longer."""
        self.bar: SpoolVersionError | None = None
        """A newer otelmig wrote it: nothing can be recorded, and what was already delivered cannot be known."""
        self._bounds = bounds
        self._say = say
        self._evicted = evicted
        self._gone = gone
        self._spool: Spool | None = None

    def check(self) -> None:
        """Find out whether a newer otelmig wrote it; what else is wrong is said when it is used."""
        if self.directory is not None:
            try:
                check_spool(self.directory)
            except SpoolVersionError as error:
                self.bar = error
            except SpoolError:
                pass

    def opened(self) -> Spool | None:
        """The spool; None if there is none to be used."""
        if self._spool is None and self.directory is not None and self.failure is None and self.bar is None:
            try:
                self._spool = Spool(self.directory, self._bounds, evicted=self._evicted, waiting=self._say)
                self._spool.tidy()
            except SpoolVersionError as error:
                self.bar = error
            except SpoolError as error:
                self._give_up(error)
        return self._spool

    def use(self, action: Callable[[Spool], None]) -> None:
        """Do it with the spool, if there is one to be used."""
        spool = self.opened()
        if spool is not None:
            try:
                action(spool)
            except SpoolError as error:
                self._give_up(error)

    def payloads(self, entries: Iterable[Entry]) -> Iterator[Payload]:
        """What it holds of these; what is damaged is said, counted and given up."""
        for entry in entries:
            spool = self.opened()
            if spool is None:
                return
            if spool.entry(entry.ident, entry.endpoint) is not entry:
                continue  # evicted, or delivered, in the meantime
            try:
                payload = kept_payload(spool, entry)
                if payload is None:
                    self._evicted(entry, Reason.BROKEN_LINE)
                    spool.drop([entry])
            except SpoolError as error:
                self._give_up(error)
                return
            if payload is not None:
                yield payload

    def close(self) -> list[Entry]:
        """Let others have it; what waits in it."""
        if self._spool is None:
            return []
        if not self._spool.is_there:
            self._give_up(SpoolError(f"the spool {self.directory} is not there any longer"))
            return []
        waiting = self._spool.waiting()
        with suppress(SpoolError):  # the space of what was delivered is freed another time
            self._spool.close()
        return waiting

    def _give_up(self, error: SpoolError) -> None:
        self.failure = Reason.SPOOL_FULL if isinstance(error, SpoolFullError) else Reason.SPOOL_UNAVAILABLE
        self._say(f"{error}; what is not delivered now is not kept")
        if self._spool is not None:
            if not self._spool.is_there:
                self._gone()
            with suppress(SpoolError):  # one line about it is enough
                self._spool.close()
            self._spool = None


def kept_payload(spool: Spool, entry: Entry) -> Payload | None:
    """What the spool holds; None if it is damaged.

    Raises:
        SpoolError: it cannot be read.
    """
    try:
        payload = Payload.of_line(spool.line(entry))
    except InputError:
        return None
    return payload if (payload.ident, payload.digest) == (entry.ident, entry.digest) else None
