"""The spool as one run uses it: opened when first needed, and given up for the rest of the run once it fails."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from otelmig.errors import InputError, SpoolError, SpoolFullError, SpoolVersionError
from otelmig.otlp.account import Reason
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.content import SpoolContent
from otelmig.otlp.spool.directory import check_spool
from otelmig.otlp.spool.late import write_late
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from otelmig.otlp.spool.entries import Entry
    from otelmig.otlp.spool.format import Record

__all__ = ["SpoolSession", "stored_payload"]


class SpoolSession:
    """One run's use of a spool; whatever happens to the spool, the delivery goes on."""

    def __init__(
        self,
        directory: Path | None,
        bounds: Bounds,
        *,
        say: Callable[[str], None],
        on_evicted: Callable[[Entry, Reason], None],
        on_gone: Callable[[], None],
    ) -> None:
        """Prepare; nothing is opened yet, and without a ``directory`` nothing ever is.

        ``say`` is called with one line for a person if the spool is locked or fails, ``on_evicted`` for each entry that
        leaves it undelivered, and ``on_gone`` if what this run stored has disappeared.
        """
        self.directory = directory
        self.failure: Reason | None = None
        """Why nothing is stored any more; None while the spool works."""
        self.blocked_by: SpoolVersionError | None = None
        """The error if a newer otelmig wrote the spool: then nothing is sent, because nothing can be recorded."""
        self._bounds = bounds
        self._say = say
        self._on_evicted = on_evicted
        self._on_gone = on_gone
        self._spool: Spool | None = None
        self._last_known: SpoolContent | None = None
        """What the spool held when it was given up."""
        self._is_gone = False

    def check(self) -> None:
        """Find out whether a newer otelmig wrote the spool; any other failure is reported when the spool is used."""
        if self.directory is not None:
            try:
                check_spool(self.directory)
            except SpoolVersionError as error:
                self.blocked_by = error
            except SpoolError:
                pass

    def get(self) -> Spool | None:
        """Return the spool, opened if necessary; None if there is none, or it failed."""
        if self._spool is None and self.directory is not None and self.failure is None and self.blocked_by is None:
            try:
                self._spool = Spool(self.directory, self._bounds, on_evicted=self._on_evicted, on_wait=self._say)
                self._spool.tidy()
            except SpoolVersionError as error:
                self.blocked_by = error
            except SpoolError as error:
                self._give_up(error)
        return self._spool

    @property
    def opened(self) -> Spool | None:
        """The spool, if it is open."""
        return self._spool

    def known(self) -> SpoolContent | None:
        """Return what is known of the spool, whether or not it can be used: what it held when it was given up."""
        return self.get() or self._last_known

    def attempt(self, action: Callable[[Spool], None]) -> bool:
        """Call ``action`` with the spool; give the spool up if that fails. False if that failed, or there is none."""
        spool = self.get()
        if spool is None:
            return False
        try:
            action(spool)
        except SpoolError as error:
            self._give_up(error)
            return False
        return True

    def record_late(self, records: Sequence[Record]) -> bool:
        """Write what could not be written at its time: into the spool, or beside it if another process has the lock.

        False if there is no way.
        """
        if self.directory is None or self.blocked_by is not None or self._is_gone:
            return False
        if self._spool is not None:
            return self.attempt(lambda spool: spool.take_in(records))
        with suppress(SpoolError):
            spool = Spool(self.directory, self._bounds, wait_s=0.0)
            try:
                spool.take_in(records)
            finally:
                spool.close()
            return True
        with suppress(SpoolError):
            if check_spool(self.directory):
                write_late(self.directory, records)
                return True
        return False

    def payloads(self, entries: Iterable[Entry]) -> Iterator[Payload]:
        """Yield the stored payloads of ``entries``; a damaged one is reported as evicted and dropped."""
        for entry in entries:
            spool = self.get()
            if spool is None:
                return
            if spool.entry(entry.ident, entry.endpoint) is not entry:
                continue  # it was evicted or delivered in the meantime
            try:
                payload = stored_payload(spool, entry)
                if payload is None:
                    self._on_evicted(entry, Reason.BROKEN_LINE)
                    spool.drop([entry])
            except SpoolError as error:
                self._give_up(error)
                return
            if payload is not None:
                yield payload

    def close(self) -> list[Entry]:
        """Close and unlock the spool; return the entries still waiting."""
        if self._spool is None:
            return []
        if not self._spool.exists:
            self._give_up(SpoolError(f"the spool {self.directory} is not there any longer"))
            return []
        waiting = self._spool.waiting()
        with suppress(SpoolError):  # the next run frees the space of what was delivered
            self._spool.close()
        return waiting

    def _give_up(self, error: SpoolError) -> None:
        """Report ``error``, and use the spool no longer."""
        self.failure = Reason.SPOOL_FULL if isinstance(error, SpoolFullError) else Reason.SPOOL_UNAVAILABLE
        self._say(f"{error}; what is not delivered now is not kept")
        if self._spool is None:
            with suppress(SpoolError):
                if self.directory is not None and check_spool(self.directory):
                    self._last_known = SpoolContent(self.directory, since_s=self._bounds.since_s(time.time()))
        else:
            self._last_known = self._spool
            if not self._spool.exists:
                self._is_gone = True
                self._on_gone()
            with suppress(SpoolError):  # the failure has been reported already
                self._spool.close()
            self._spool = None


def stored_payload(spool: SpoolContent, entry: Entry) -> Payload | None:
    """Return the payload that the spool holds for a waiting ``entry``; None if its line is damaged.

    Raises:
        SpoolError: the line cannot be read.
    """
    try:
        payload = Payload.of_line(spool.line(entry))
    except InputError:
        return None
    return payload if (payload.ident, payload.digest) == (entry.ident, entry.digest) else None
