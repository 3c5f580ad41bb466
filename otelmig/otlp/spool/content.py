"""What a spool holds: its entries and receipts, as the files in its directory tell them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otelmig.errors import SpoolError
from otelmig.otlp.spool.directory import check_spool
from otelmig.otlp.spool.entries import Entries, Entry
from otelmig.otlp.spool.format import ACKNOWLEDGED, SENDING
from otelmig.otlp.spool.late import LateRecords
from otelmig.otlp.spool.receipts import Receipts
from otelmig.otlp.spool.segment import Segments, open_plain, spool_error

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.otlp.payload import Payload

__all__ = ["SpoolContent", "may_hold_payloads"]


class SpoolContent:
    """The content of a spool; reading it needs no lock and changes nothing."""

    def __init__(self, directory: Path, *, since_s: int) -> None:
        """Read the spool in ``directory``; receipts older than ``since_s``, seconds since the Unix epoch, have expired.

        Raises:
            SpoolError: a file cannot be read.
        """
        self.directory = directory
        self._entries = Entries()
        self._delivered: list[Entry] = []  # entries that a receipt overrides
        try:
            self._receipts = Receipts(directory / "receipts", since_s=since_s)
            self._segments = Segments(directory)
            for record, path in self._segments.records():
                self._entries.learn(record, path)
            self._late = LateRecords(directory)
            for record in self._late.records:
                if record.kind == ACKNOWLEDGED:
                    self._receipts.learn(record)
                elif record.kind == SENDING:
                    self._entries.learn(record, directory)
        except OSError as error:
            raise spool_error(directory, error) from error
        for entry in list(self._entries):
            if self._receipts.acknowledged(entry.ident, entry.endpoint, entry.digest):
                self._entries.remove(entry.ident, entry.endpoint)
                self._delivered.append(entry)

    @property
    def lost(self) -> int:
        """The number of damaged lines that kept a trace; which trace is not known."""
        return len(self._entries.lost)

    @property
    def exists(self) -> bool:
        """Whether every file with an entry is still where it was found or written."""
        return self._segments.exist

    def has_line(self, payload: Payload, endpoint: str) -> bool:
        """Return whether the line of ``payload`` is stored for ``endpoint``."""
        entry = self.entry(payload.ident, endpoint)
        return entry is not None and entry.path is not None and entry.digest == payload.digest

    def delivered(self, ident: str, endpoint: str) -> str | None:
        """Return the digest of the content that ``endpoint`` acknowledged under ``ident``; None if it never did."""
        return self._receipts.digest(ident, endpoint)

    def entry(self, ident: str, endpoint: str) -> Entry | None:
        """Return what is known of a payload that ``endpoint`` has not acknowledged; None if nothing is."""
        return self._entries.get(ident, endpoint)

    def waiting(self, endpoint: str | None = None) -> list[Entry]:
        """Return the entries whose line is in the spool, for ``endpoint`` or (None) for any; the oldest first."""
        return [entry for entry in self._entries if entry.path is not None and endpoint in (None, entry.endpoint)]

    def line(self, entry: Entry) -> bytes:
        """Return the line of a waiting entry, without a line feed.

        Raises:
            SpoolError: it cannot be read.
        """
        if entry.path is None:
            raise SpoolError(f"{self.directory}: the line of {entry.ident[:32]} is not there")
        try:
            with open_plain(entry.path, os.O_RDONLY) as file:
                file.seek(entry.offset)
                return file.read(entry.size)
        except OSError as error:
            raise spool_error(self.directory, error) from error


def may_hold_payloads(directory: Path, since_s: int) -> bool:
    """Return whether something waits in a spool, or might, because the spool cannot be read now."""
    try:
        return check_spool(directory) and bool(SpoolContent(directory, since_s=since_s).waiting())
    except SpoolError:
        return True
