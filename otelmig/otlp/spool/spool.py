"""The spool: a directory that keeps payloads until a receiver acknowledges them.

:mod:`otelmig.otlp.spool.format` describes the files, and why a crash at any instant loses nothing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolFullError
from otelmig.otlp.account import Reason
from otelmig.otlp.spool.content import SpoolContent
from otelmig.otlp.spool.directory import open_directory
from otelmig.otlp.spool.entries import Entry
from otelmig.otlp.spool.format import DROPPED, FAILED, KEPT, SENDING, Record
from otelmig.otlp.spool.segment import strike_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from otelmig.otlp.payload import Payload

__all__ = ["Bounds", "Spool"]

_HEAD: Final = 300
"""Bytes of a record before its rest, roughly."""
_SEGMENT: Final = 8 << 20
"""Bytes after which a segment is closed."""
_SHARE: Final = 8
"""One eighth of the bound is the most that one segment, or the file of receipts, may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a spool may hold, and for how long; the oldest entries are dropped first."""

    size: int = 1 << 30
    """Bytes on the disk."""
    age_s: int = 30 * 86_400
    """Seconds that an entry or a receipt is kept."""

    def since_s(self, now_s: float) -> int:
        """Return the time before which nothing is kept, in whole seconds since the Unix epoch, as ``now_s`` is."""
        return int(now_s) - self.age_s


class Spool(SpoolContent):
    """An open spool, locked against other processes."""

    def __init__(
        self,
        directory: Path,
        bounds: Bounds,
        *,
        on_evicted: Callable[[Entry, Reason], None] = lambda _entry, _reason: None,
        on_wait: Callable[[str], None] = lambda _text: None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Open the spool in ``directory``, making it if necessary.

        ``on_evicted`` is called for each entry that leaves the spool undelivered, ``on_wait`` once, with one line for a
        person, if another process has the lock. ``now_s`` returns seconds since the Unix epoch.

        Raises:
            SpoolError: the spool cannot be used.
        """
        self._bounds = bounds
        self._on_evicted = on_evicted
        self._now_s = now_s
        self._segment_size = min(_SEGMENT, bounds.size // _SHARE)
        self._lock = open_directory(directory, on_wait)
        try:
            super().__init__(directory, since_s=bounds.since_s(now_s()))
        except SpoolError:
            os.close(self._lock)
            raise

    @property
    def exists(self) -> bool:
        """Whether every file with an entry is still where it was written."""
        return self._segments.exist

    def store(self, payloads: Sequence[Payload], endpoint: str, *, lines: bool, sending: bool) -> None:
        """Write the payloads that are not stored yet, and a record that they are being sent; durable on return.

        Without ``lines``, an archive keeps the payloads; without ``sending``, they are not being sent yet. Earlier
        receipts of the endpoint for them are revoked: the caller wants them sent.

        Raises:
            SpoolError: not everything was written.
        """
        now_s = int(self._now_s())
        revoked = {payload.ident for payload in payloads if self._receipts.has_any(payload.ident, endpoint)}
        records = [
            Record.of(DROPPED, payload, endpoint, now_s)
            for payload in payloads
            if payload.ident in revoked and self.entry(payload.ident, endpoint) is None
        ]
        records += [
            Record.of(KEPT, payload, endpoint, now_s, payload.line)
            for payload in payloads
            if lines and not self._has_line(payload, endpoint)
        ]
        records += [
            Record.of(SENDING, payload, endpoint, now_s) for payload in payloads if sending or payload.ident in revoked
        ]
        self._append(records, durable=True)
        if revoked:
            self._receipts.revoke(revoked, endpoint)

    def _has_line(self, payload: Payload, endpoint: str) -> bool:
        """Return whether the line of ``payload`` is stored for ``endpoint``."""
        entry = self.entry(payload.ident, endpoint)
        return entry is not None and entry.path is not None and entry.digest == payload.digest

    def acknowledge(self, payloads: Sequence[Payload], endpoint: str) -> None:
        """Write receipts: the endpoint acknowledged ``payloads``. They are durable once synced.

        Raises:
            SpoolError: the receipts could not be written.
        """
        self._receipts.add(payloads, endpoint, int(self._now_s()))
        for payload in payloads:
            self._entries.remove(payload.ident, endpoint)

    def sync_receipts(self) -> None:
        """Fsync the receipts; without them, a power failure would have everything since sent again.

        Raises:
            SpoolError: they may not be durable.
        """
        self._receipts.sync()

    def fail(self, payloads: Sequence[Payload], endpoint: str, reason: Reason, *, uncertain: Iterable[bool]) -> None:
        """Write that the endpoint did not acknowledge ``payloads``; it may have accepted those that are ``uncertain``.

        Raises:
            SpoolError: that could not be written.
        """
        now_s = int(self._now_s())
        self._append(
            [
                Record.of(FAILED, payload, endpoint, now_s, f"{int(doubt)} {reason}".encode())
                for payload, doubt in zip(payloads, uncertain, strict=True)
            ],
            durable=False,
        )

    def drop(self, entries: Iterable[Entry]) -> None:
        """Stop keeping ``entries``; durable on return.

        Raises:
            SpoolError: that could not be written.
        """
        self._append([entry.record(DROPPED) for entry in entries], durable=True)

    def _append(self, records: Sequence[Record], *, durable: bool) -> None:
        """Write ``records``, and make room for them if necessary.

        Raises:
            SpoolError: they could not be written.
        """
        if not records:
            return
        self._make_room(sum(len(record.rest) for record in records) + _HEAD * len(records))
        try:
            self._write(records, durable=durable)
        except SpoolFullError:
            self._segments.close()
            self._compact(least=0)
            self._write(records, durable=durable)
        if self._segments.current_size > self._segment_size:
            self._segments.close()
            self._compact()

    def _write(self, records: Sequence[Record], *, durable: bool) -> None:
        """Write ``records`` to the open segment, and learn from them."""
        for record, path in self._segments.append(records, durable=durable):
            self._entries.learn(record, path)

    def tidy(self) -> None:
        """Give up what is damaged or too old, and free the space that nothing needs any more.

        Raises:
            SpoolError: a file could not be written or removed.
        """
        for record, path in self._entries.lost:
            strike_out(path, [record.line_offset])
            self._on_evicted(Entry(ident="", digest="", spans=0, endpoint="", time_s=0), Reason.BROKEN_LINE)
        self._entries.lost = []
        since_s = self._bounds.since_s(self._now_s())
        expired = [entry for entry in self._entries if entry.time_s < since_s]
        if expired:
            self.drop(expired)
            self._evict(expired, Reason.EVICTED_AGE)
        largest = self._bounds.size // _SHARE
        if self._receipts.needs_tidying(largest):
            self.drop(self._delivered)  # once their receipts are forgotten, nothing else keeps them from being sent
            self._receipts.tidy(largest)
        self._segments.close()
        self._compact()

    def _evict(self, entries: Iterable[Entry], reason: Reason) -> None:
        """Forget ``entries``, and report those whose line was in the spool."""
        for entry in entries:
            self._entries.remove(entry.ident, entry.endpoint)
            if entry.path is not None:
                self._on_evicted(entry, reason)

    def _make_room(self, size: int) -> None:
        """Evict the oldest segments until ``size`` bytes more are within the bound.

        Raises:
            SpoolFullError: the bound is too small for them.
            SpoolError: a segment could not be rewritten or removed.
        """
        if self._used + size <= self._bounds.size:
            return
        self._segments.close()
        self._compact()
        while self._segments.paths and self._used + size > self._bounds.size:
            oldest = self._segments.paths[0]
            self._evict([entry for entry in self._entries if entry.path == oldest], Reason.EVICTED_SIZE)
            self._segments.remove([oldest])
        if self._used + size > self._bounds.size:
            raise SpoolFullError(f"the spool {self.directory} may not grow beyond {self._bounds.size} bytes")

    @property
    def _used(self) -> int:
        """Bytes of all segments and receipts."""
        return self._segments.size + self._receipts.size

    def _compact(self, least: int | None = None) -> None:
        """Rewrite what the segments still have to tell, and remove them, if most of their bytes are obsolete.

        No segment may be open. Unless nothing is left to tell, more than ``least`` bytes (None: of one segment) must be
        gained.

        Raises:
            SpoolError: a segment could not be rewritten or removed.
        """
        live = sum(entry.size for entry in self._entries)
        worth = self._segment_size if least is None else least
        if self._segments.size <= 2 * live + (worth if self._entries else 0):
            return
        self._receipts.sync()
        old = list(self._segments.paths)
        for entry in list(self._entries):
            self._write(list(self._records_of(entry)), durable=False)
        self._segments.sync()
        self._segments.close()
        self._segments.remove(old)

    def _records_of(self, entry: Entry) -> Iterator[Record]:
        """Yield the records that state everything known of ``entry``."""
        if entry.path is not None:
            yield entry.record(KEPT, self.line(entry))
        if entry.uncertain:
            yield entry.record(SENDING)
        if entry.reason:
            yield entry.record(FAILED, f"{int(entry.uncertain)} {entry.reason}".encode())

    def close(self) -> None:
        """Close the files, remove what was delivered, and release the lock.

        Raises:
            SpoolError: not everything could be written or removed; the spool is closed all the same.
        """
        try:
            self._segments.close()
            self._compact()
        finally:
            try:
                self._receipts.close()
            finally:
                os.close(self._lock)
