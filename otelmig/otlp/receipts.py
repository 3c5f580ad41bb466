"""Receipts: which parcels which endpoint has taken, remembered as long as the spool remembers anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.otlp.segment import AppendFile, Record, read_records, spool_error

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.otlp.parcel import Parcel

__all__ = ["Receipts"]

_ACKNOWLEDGED: Final = "A"


class Receipts:
    """The file ``receipts`` of a spool, and what it says by parcel and endpoint."""

    def __init__(self, path: Path, *, since_s: int) -> None:
        """Read the receipts that are not older than ``since_s``, seconds since the Unix epoch."""
        self._path = path
        self._file: AppendFile | None = None
        self._digests: dict[tuple[str, str], str] = {}
        self._since_s = since_s
        self.size = 0
        self._expired: set[tuple[str, str, str]] = set()
        if path.exists():
            self.size = path.stat().st_size
            for record in read_records(path):
                if record.time_s >= since_s:
                    self._digests[record.ident, record.endpoint] = record.digest
                else:
                    self._expired.add((record.ident, record.endpoint, record.digest))

    def digest(self, ident: str, endpoint: str) -> str | None:
        """Of what the endpoint took under that name; None if nothing."""
        return self._digests.get((ident, endpoint))

    def took(self, ident: str, endpoint: str, digest: str) -> bool:
        """Whether the endpoint took that very content, also if that is about to be forgotten."""
        return self.digest(ident, endpoint) == digest or (ident, endpoint, digest) in self._expired

    def add(self, parcels: Iterable[Parcel], endpoint: str, now_s: int) -> None:
        """The endpoint took these. Durable once synced: without its receipt a parcel is sent again, and counted."""
        data = b""
        for parcel in parcels:
            self._digests[parcel.ident, endpoint] = parcel.digest
            data += Record(
                kind=_ACKNOWLEDGED,
                time_s=now_s,
                ident=parcel.ident,
                digest=parcel.digest,
                spans=parcel.spans,
                endpoint=endpoint,
            ).encoded()
        if self._file is None:
            self._file = AppendFile(self._path)
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
        """Forget what expired, and the older half of a file that is too large."""
        records = [record for record in read_records(self._path) if record.time_s >= self._since_s]
        kept = records[len(records) // 2 :] if self.size > largest else records
        partial = self._path.with_name(f"{self._path.name}.partial")
        try:
            partial.unlink(missing_ok=True)
            file = AppendFile(partial)
            file.append(b"".join(record.encoded() for record in kept), durable=True)
            self.close()
            partial.replace(self._path)
        except OSError as error:
            raise spool_error(self._path.parent, error) from error
        file.close()
        self._digests = {(record.ident, record.endpoint): record.digest for record in kept}
        self.size, self._expired = file.size, set()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
