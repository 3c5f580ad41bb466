"""Receipts: which payload which endpoint acknowledged, kept for as long as the spool keeps anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.otlp.spool.segment import AppendFile, read_records, spool_error, strike_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.otlp.spool.format import Record

__all__ = ["Receipts"]


class Receipts:
    """The file ``receipts`` of a spool, by payload and endpoint."""

    def __init__(self, path: Path, *, since_s: int) -> None:
        """Read the file; receipts older than ``since_s``, seconds since the Unix epoch, have expired.

        Raises:
            OSError: the file cannot be read.
        """
        self._path = path
        self._file: AppendFile | None = None
        self._since_s = since_s
        self.size = 0
        """Bytes of the file."""
        self._read()

    def _read(self) -> None:
        """Read the file from its beginning."""
        self._digests: dict[tuple[str, str], str] = {}  # of valid receipts
        self._expired: dict[tuple[str, str], set[str]] = {}  # digests of receipts that are about to be forgotten
        self._offsets: dict[tuple[str, str], list[int]] = {}  # of the lines of both
        if self._path.exists():
            self.size = self._path.stat().st_size
            for record in read_records(self._path):
                self._offsets.setdefault((record.ident, record.endpoint), []).append(record.line_offset)
                self.learn(record)

    def learn(self, record: Record) -> None:
        """Take in one receipt, wherever it is written."""
        key = (record.ident, record.endpoint)
        if record.time_s >= self._since_s:
            self._digests[key] = record.digest
        else:
            self._expired.setdefault(key, set()).add(record.digest)

    def digest(self, ident: str, endpoint: str) -> str | None:
        """Return the digest of the content that the endpoint acknowledged under ``ident``; None if it never did."""
        return self._digests.get((ident, endpoint))

    def acknowledged(self, ident: str, endpoint: str, digest: str) -> bool:
        """Return whether the endpoint acknowledged exactly this content, expired receipts included."""
        return self.digest(ident, endpoint) == digest or digest in self._expired.get((ident, endpoint), ())

    def has_any(self, ident: str, endpoint: str) -> bool:
        """Return whether the endpoint acknowledged any content under ``ident``, expired receipts included."""
        return (ident, endpoint) in self._offsets

    def revoke(self, idents: Iterable[str], endpoint: str) -> None:
        """Strike out the endpoint's receipts for ``idents``, so that these are sent again; durable on return.

        Raises:
            SpoolError: they could not be struck out.
        """
        keys = [(ident, endpoint) for ident in idents]
        strike_out(self._path, [offset for key in keys for offset in self._offsets.get(key, ())])
        for key in keys:
            self._offsets.pop(key, None)
            self._digests.pop(key, None)
            self._expired.pop(key, None)

    def add(self, records: Iterable[Record]) -> None:
        """Append receipts; durable once synced.

        A payload whose receipt is lost is sent again, and that is counted.

        Raises:
            SpoolError: they could not be written.
        """
        if self._file is None:
            self._file = AppendFile(self._path)
        data = b""
        offsets: list[tuple[tuple[str, str], int]] = []
        known = list(records)
        for record in known:
            offsets.append(((record.ident, record.endpoint), self._file.size + len(data)))
            data += record.encoded()
        self._file.append(data, durable=False)
        self.size = self._file.size
        for record, (key, offset) in zip(known, offsets, strict=True):
            self._offsets.setdefault(key, []).append(offset)
            self.learn(record)

    def sync(self) -> None:
        """Fsync the receipts.

        Raises:
            SpoolError: they may not be durable.
        """
        if self._file is not None:
            self._file.sync()

    def needs_tidying(self, largest: int) -> bool:
        """Return whether most receipts expired, or the file is larger than ``largest`` bytes."""
        return self.size > largest or len(self._expired) > len(self._digests)

    def tidy(self, largest: int) -> None:
        """Forget what expired and, in a file of more than ``largest`` bytes, the older half of the rest.

        Raises:
            SpoolError: the file could not be replaced.
        """
        partial = self._path.with_name(f"{self._path.name}.partial")
        try:
            records = [record for record in read_records(self._path) if record.time_s >= self._since_s]
            kept = records[len(records) // 2 :] if self.size > largest else records
            partial.unlink(missing_ok=True)
            file = AppendFile(partial)
            file.append(b"".join(record.encoded() for record in kept), durable=True)
            file.close()
            self.close()
            partial.replace(self._path)
            self._read()
        except OSError as error:
            raise spool_error(self._path.parent, error) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            SpoolError: what was written may not be durable.
        """
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
