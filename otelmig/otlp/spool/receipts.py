"""Receipts: which payloads which endpoint has taken, remembered as long as the spool remembers anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.otlp.spool.segment import AppendFile, Record, read_records, spool_error, strike_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.otlp.payload import Payload

__all__ = ["Receipts"]

_ACKNOWLEDGED: Final = "A"


class Receipts:
    """The file ``receipts`` of a spool, and what it says by payload and endpoint."""

    def __init__(self, path: Path, *, since_s: int) -> None:
        """Read the receipts that are not older than ``since_s``, seconds since the Unix epoch."""
        self._path = path
        self._file: AppendFile | None = None
        self._since_s = since_s
        self.size = 0
        self._read()

    def _read(self) -> None:
        self._digests: dict[tuple[str, str], str] = {}
        self._expired: dict[tuple[str, str], set[str]] = {}
        self._offsets: dict[tuple[str, str], list[int]] = {}
        if self._path.exists():
            self.size = self._path.stat().st_size
            for record in read_records(self._path):
                key = (record.ident, record.endpoint)
                self._offsets.setdefault(key, []).append(record.line_offset)
                if record.time_s >= self._since_s:
                    self._digests[key] = record.digest
                else:
                    self._expired.setdefault(key, set()).add(record.digest)

    def digest(self, ident: str, endpoint: str) -> str | None:
        """Of what the endpoint took under that name; None if nothing."""
        return self._digests.get((ident, endpoint))

    def took(self, ident: str, endpoint: str, digest: str) -> bool:
        """Whether the endpoint took that very content, also if that is about to be forgotten."""
        return self.digest(ident, endpoint) == digest or digest in self._expired.get((ident, endpoint), ())

    def remembers(self, ident: str, endpoint: str) -> bool:
        """Whether the endpoint took anything under that name, also if that is about to be forgotten."""
        return (ident, endpoint) in self._offsets

    def take_back(self, idents: Iterable[str], endpoint: str) -> None:
        """What the endpoint took under those names is to be sent to it again; on the disk when this returns.

        Raises:
            SpoolError: it is not.
        """
        keys = [(each, endpoint) for each in idents]
        strike_out(self._path, [offset for key in keys for offset in self._offsets.get(key, ())])
        for key in keys:
            self._offsets.pop(key, None)
            self._digests.pop(key, None)
            self._expired.pop(key, None)

    def add(self, payloads: Iterable[Payload], endpoint: str, now_s: int) -> None:
        """The endpoint took these. Durable once synced: without its receipt a payload is sent again, and counted."""
        if self._file is None:
            self._file = AppendFile(self._path)
        data = b""
        for payload in payloads:
            key = (payload.ident, endpoint)
            self._digests[key] = payload.digest
            self._offsets.setdefault(key, []).append(self._file.size + len(data))
            data += Record(
                kind=_ACKNOWLEDGED,
                time_s=now_s,
                ident=payload.ident,
                digest=payload.digest,
                spans=payload.spans,
                endpoint=endpoint,
            ).encoded()
        self._file.append(data, durable=False)
        self.size = self._file.size

    def sync(self) -> None:
        """Have them on the disk."""
        if self._file is not None:
            self._file.sync()

    def overdue(self, largest: int) -> bool:
        """Whether some should be forgotten: most of the file expired, or it is too large."""
        return self.size > largest or len(self._expired) > len(self._digests)

    def tidy(self, largest: int) -> None:
        """Forget what expired, and the older half of a file that is too large.

        Raises:
            SpoolError: that could not be done.
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
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
