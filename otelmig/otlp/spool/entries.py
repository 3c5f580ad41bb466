"""What the records of a spool amount to: one entry for each payload and the endpoint that it is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.otlp.spool.format import DROPPED, FAILED, KEPT, LOST, SENDING, Record, copies_text
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Entries", "Entry"]


class Entry(Struct, kw_only=True):
    """What the spool knows of one payload that one endpoint has not acknowledged."""

    ident: str
    digest: str
    spans: int
    endpoint: str
    time_s: int
    """When it came into the spool, in seconds since the Unix epoch."""
    uncertain: bool = False
    """Whether it was sent, and may or may not have been accepted."""
    copies: int = 0
    """How many of its sends may have made copies and are in no account, because their runs were killed."""
    reason: str = ""
    """Why the last send failed; empty if none did."""
    path: Path | None = None
    """The segment that has its line; None if the line is in an archive."""
    offset: int = 0
    """Byte of the segment at which the line begins."""
    size: int = 0
    """Bytes of the line, without a line feed."""

    def record(self, kind: str, rest: bytes = b"") -> Record:
        """Return a new record about this entry; it keeps the time of the entry."""
        return Record(kind, self.time_s, self.ident, self.digest, self.spans, self.endpoint, rest)

    def sending(self) -> Record:
        """Return the record of a send that is about to begin, or of which nobody knows how it ended."""
        return self.record(SENDING, copies_text(self.copies))

    def records(self, line: bytes | None) -> list[Record]:
        """Return the records that state everything known of this entry; ``line`` is that of its payload, if kept."""
        records = [] if line is None else [self.record(KEPT, line)]
        if self.reason:
            records.append(self.record(FAILED, f"{int(self.uncertain)} {self.reason}".encode()))
        if self.uncertain:
            records.append(self.sending())
        return records


class Entries:
    """The entries of a spool, in the order in which they came into it."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self.lost: list[tuple[Record, Path]] = []
        """Damaged lines that kept a trace, with their segments: nobody knows which trace."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __bool__(self) -> bool:
        return bool(self._entries)

    def get(self, ident: str, endpoint: str) -> Entry | None:
        """Return the entry of a payload for ``endpoint``; None if there is none."""
        return self._entries.get((ident, endpoint))

    def remove(self, ident: str, endpoint: str) -> None:
        """Forget the entry of a payload for ``endpoint``, if there is one."""
        self._entries.pop((ident, endpoint), None)

    def learn(self, record: Record, path: Path) -> None:
        """Take in the next record; ``path`` is the segment that has it."""
        if record.kind == LOST:
            self.lost.append((record, path))
            return
        key = (record.ident, record.endpoint)
        if record.kind == DROPPED:
            self._entries.pop(key, None)
            return
        entry = self._entries.get(key)
        if entry is None or entry.digest != record.digest:
            entry = self._entries[key] = Entry(
                ident=record.ident,
                digest=record.digest,
                spans=record.spans,
                endpoint=record.endpoint,
                time_s=record.time_s,
            )
        if record.kind == KEPT:
            entry.path, entry.offset, entry.size = path, record.offset, len(record.rest)
        elif record.kind == SENDING:
            entry.uncertain, entry.copies = True, record.copies
        elif record.kind == FAILED:
            accepted, _, reason = record.rest.decode("ascii", "replace").partition(" ")
            entry.uncertain, entry.copies, entry.reason = accepted != "0", 0, reason
            if entry.path is None and not entry.uncertain:
                del self._entries[key]
