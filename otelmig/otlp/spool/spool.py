"""The spool: a directory that keeps payloads until a receiver acknowledges them.

:mod:`otelmig.otlp.spool.format` describes the files, and why a crash at any instant loses nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolFullError
from otelmig.otlp.account import Reason
from otelmig.otlp.spool.bounds import Bounds
from otelmig.otlp.spool.content import SpoolContent
from otelmig.otlp.spool.directory import open_directory
from otelmig.otlp.spool.entries import Entry
from otelmig.otlp.spool.format import ACKNOWLEDGED, DROPPED, FAILED, KEPT, SENDING, Record
from otelmig.otlp.spool.segment import strike_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from otelmig.otlp.payload import Payload

__all__ = ["Bounds", "Spool"]

_HEAD: Final = 300
"""Bytes of a record before its rest, roughly."""
_SEGMENT: Final = 8 << 20
"""Bytes after which a segment is closed."""
_SHARE: Final = 8
"""One eighth of the bound is the most that one segment, or the file of receipts, may take."""


class Spool(SpoolContent):
    """An open spool, locked against other processes."""

    def __init__(
        self,
        directory: Path,
        bounds: Bounds,
        *,
        on_evicted: Callable[[Entry, Reason], None] = lambda _entry, _reason: None,
        on_wait: Callable[[str], None] = lambda _text: None,
        wait_s: float | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Open the spool in ``directory``, making it if necessary.

        ``on_evicted`` is called for each entry that leaves the spool undelivered, ``on_wait`` once, with one line for a
        person, if another process has the lock, for which ``wait_s`` seconds (None: a minute) are waited at most.
        ``now_s`` returns seconds since the Unix epoch.

        Raises:
            SpoolError: the spool cannot be used.
        """
        self._bounds = bounds
        self._on_evicted = on_evicted
        self._now_s = now_s
        self._segment_size = min(_SEGMENT, bounds.size // _SHARE)
        self._counted: list[Entry] = []  # those of the uncounted ones that are in the account of this run
        self._lock = open_directory(directory, on_wait, wait_s)
        try:
            super().__init__(directory, since_s=bounds.since_s(now_s()))
        except SpoolError:
            os.close(self._lock)
            raise
        self._uncounted = [entry for entry in self._delivered if entry.copies]  # delivered, maybe with copies

    def store(
        self,
        payloads: Sequence[Payload],
        endpoint: str,
        *,
        lines: bool,
        sending: bool,
        copies: Mapping[str, int] | None = None,
    ) -> None:
        """Write the payloads that are not stored yet, and a record that they are being sent; durable on return.

        Without ``lines``, an archive keeps the payloads; without ``sending``, they are not being sent yet. ``copies``
        says by ident how many copies the send may make that no account speaks of, unless this run lives to count them.
        Earlier receipts of the endpoint for them are revoked: the caller wants them sent.

        Raises:
            SpoolError: not everything was written.
        """
        now_s = int(self._now_s())
        revoked = {payload.ident for payload in payloads if self._receipts.has_any(payload.ident, endpoint)}
        counts, again = copies or {}, [payload for payload in payloads if payload.ident in revoked]
        ended = [payload for payload in again if self.entry(payload.ident, endpoint) is None]
        records = [Record.of(DROPPED, payload, endpoint, now_s) for payload in ended]
        records += [
            Record.of(KEPT, payload, endpoint, now_s, payload.line)
            for payload in payloads
            if lines and not self.has_line(payload, endpoint)
        ]
        records += [
            Record.sending(payload, endpoint, now_s, counts.get(payload.ident, 0))
            for payload in payloads
            if sending and payload.ident not in revoked
        ]
        records += [Record.sending(payload, endpoint, now_s) for payload in again]
        self._append(records, durable=True)
        if again:
            self._receipts.revoke(revoked, endpoint)
            again = [payload for payload in again if payload.ident in counts]
            repeats = [Record.sending(payload, endpoint, now_s, counts[payload.ident]) for payload in again]
            self._append(repeats, durable=True)

    def acknowledge(self, payloads: Sequence[Payload], endpoint: str) -> None:
        """Write receipts: the endpoint acknowledged ``payloads``. They are durable once synced.

        Raises:
            SpoolError: the receipts could not be written.
        """
        now_s = int(self._now_s())
        self._receipts.add(Record.of(ACKNOWLEDGED, payload, endpoint, now_s) for payload in payloads)
        for payload in payloads:
            entry = self.entry(payload.ident, endpoint)
            if entry is not None and entry.copies:
                self._uncounted.append(entry)
                self._counted.append(entry)
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

    def take_in(self, records: Iterable[Record]) -> None:
        """Write receipts and records of sends that could not be written at their time; durable on return.

        Raises:
            SpoolError: not everything was written.
        """
        all_records = list(records)
        self._append([record for record in all_records if record.kind == SENDING], durable=True)
        receipts = [record for record in all_records if record.kind == ACKNOWLEDGED]
        if receipts:
            self._receipts.add(receipts)
            self._receipts.sync()
        for record in receipts:
            self._entries.remove(record.ident, record.endpoint)

    def count_copies(self, endpoint: str) -> list[Entry]:
        """Return entries delivered to ``endpoint`` of which killed runs may have made copies; the caller counts them.

        They are returned once: when the spool is closed, it says that they were counted.
        """
        entries = [entry for entry in self._uncounted if entry.endpoint == endpoint and entry not in self._counted]
        self._counted += entries
        return entries

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
        self.take_in(self._late.records)
        self._late.remove()
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
        if self._segments.size <= 2 * live + (worth if self._entries or self._uncounted else 0):
            return
        self._receipts.sync()
        old = list(self._segments.paths)
        for entry in list(self._entries):
            self._write(entry.records(None if entry.path is None else self.line(entry)), durable=False)
        if self._uncounted:
            self._segments.append([entry.sending() for entry in self._uncounted], durable=False)
        self._segments.sync()
        self._segments.close()
        self._segments.remove(old)

    def close(self) -> None:
        """Close the files, remove what was delivered, and release the lock; the caller counted every copy.

        Raises:
            SpoolError: not everything could be written or removed; the spool is closed all the same.
        """
        try:
            if self._counted:
                self._segments.append([entry.record(DROPPED) for entry in self._counted], durable=False)
                self._uncounted = [entry for entry in self._uncounted if entry not in self._counted]
            self._segments.close()
            self._compact()
        finally:
            try:
                self._receipts.close()
            finally:
                os.close(self._lock)
