"""The spool: a directory that keeps what is to be delivered until a receiver has it. Format 1.

```
format              "otelmig-spool 1"; a higher number is a newer otelmig's, and is not touched
lock                held (flock) by the one process that uses the spool
segment-00000001    records, one a line, appended; every process begins a new segment
receipts            records A
```

A record is ``KIND TIME IDENT DIGEST SPANS ENDPOINT CHECK REST``: seconds since the Unix epoch; trace id and span id of
the first span; the beginning of the SHA-256 of the protobuf form; how many spans; the URL without credentials; the
CRC-32 of all that, and of the rest if that is no LINE.

- ``T ... LINE``: the OTLP/JSON line, as it was made or found, to be delivered to the endpoint;
- ``S``: it is about to be sent (on the disk before the first byte leaves), or was taken once and is to be sent again;
- ``F ... 0|1 REASON``: that send failed; 1 if the receiver may have taken it all the same, then or earlier;
- ``A``: the endpoint took it, as its answer proves;
- ``D``: it is not kept any longer (evicted, or delivered elsewhere by ``otelmig send``).

An ``A`` holds whatever the segments say of its payload, also later on. So where a payload that was taken is to be sent
again (on request, or its receipt expired), its new records come first (after a ``D``, so that no earlier ones count),
then every ``A`` of it is struck out in its place (``X``), then it is sent. Killed before the stroke, it is as if nobody
had asked; after it, the next run delivers. Every version passes over what is struck out.

An ``S`` that nothing follows means that its process died in between: what is then sent again may be a second copy,
identical to the first one, and is counted. Without a ``T`` the line is in an archive of the user's.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolFullError
from otelmig.otlp.account import Reason
from otelmig.otlp.spool.directory import open_directory
from otelmig.otlp.spool.receipts import Receipts
from otelmig.otlp.spool.segment import (
    DROPPED,
    FAILED,
    KEPT,
    LOST,
    SENDING,
    AppendFile,
    Entry,
    Record,
    read_records,
    spool_error,
    strike_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from otelmig.otlp.payload import Payload

__all__ = ["Bounds", "Spool"]

_HEAD: Final = 300
"""Bytes, roughly, before the rest of a record."""
_SEGMENT_NAME: Final = re.compile(r"segment-\d{8,}")
_SEGMENT: Final = 8 << 20
"""Bytes after which a segment is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a spool may hold; the oldest goes first."""

    size: int = 1 << 30
    """Bytes on disk."""
    age_s: int = 30 * 86_400


class Spool:
    """An open spool, locked against other processes."""

    def __init__(
        self,
        directory: Path,
        bounds: Bounds,
        *,
        evicted: Callable[[Entry, Reason], None] = lambda _entry, _reason: None,
        waiting: Callable[[str], None] = lambda _text: None,
        now_s: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        """Make or open the spool in ``directory``; ``evicted`` hears of what leaves it undelivered.

        ``waiting`` is told once, in one line, if another process uses it. ``read_only``: it is only looked at, whoever
        uses it; then nothing but ``entry``, ``waiting``, ``line``, ``lost`` and ``delivered`` may be asked.

        Raises:
            SpoolError: it cannot be used.
        """
        self.directory = directory
        self._bounds = bounds
        self._evicted = evicted
        self._now_s = now_s
        self._segment_size = min(_SEGMENT, bounds.size // 8)
        self._segment: AppendFile | None = None
        self._entries: dict[tuple[str, str], Entry] = {}
        self._lost: list[tuple[Record, Path]] = []
        self._done: list[Entry] = []
        self._lock = None if read_only else open_directory(directory, waiting)
        try:
            self._load()
        except OSError as error:
            if self._lock is not None:
                os.close(self._lock)
            raise spool_error(directory, error) from error

    def _load(self) -> None:
        """Learn from the records what is where."""
        since_s = int(self._now_s()) - self._bounds.age_s
        self._receipts = Receipts(self.directory / "receipts", since_s=since_s)
        self._paths = sorted(path for path in self.directory.iterdir() if _SEGMENT_NAME.fullmatch(path.name))
        for path in self._paths:
            for record in read_records(path):
                self._learn(record, path)
        for entry in list(self._entries.values()):
            if self._receipts.took(entry.ident, entry.endpoint, entry.digest):
                self._done.append(self._entries.pop((entry.ident, entry.endpoint)))
        self._sizes = {path: path.stat().st_size for path in self._paths}

    def _learn(self, record: Record, path: Path) -> None:
        if record.kind == LOST:
            self._lost.append((record, path))
            return
        key = (record.ident, record.endpoint)
        entry = self._entries.get(key)
        if record.kind == DROPPED:
            self._entries.pop(key, None)
            return
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
            entry.uncertain = True
        elif record.kind == FAILED:
            taken, _, reason = record.rest.decode("ascii", "replace").partition(" ")
            entry.uncertain, entry.reason = taken != "0", reason
            if entry.path is None and not entry.uncertain:
                del self._entries[key]

    def delivered(self, ident: str, endpoint: str) -> str | None:
        """The digest of what ``endpoint`` took under ``ident``; None if nothing."""
        return self._receipts.digest(ident, endpoint)

    def entry(self, ident: str, endpoint: str) -> Entry | None:
        """What is known of a payload that is not known to be delivered."""
        return self._entries.get((ident, endpoint))

    def waiting(self, endpoint: str | None = None) -> list[Entry]:
        """The entries with a line (for ``endpoint``, or for any), the oldest first."""
        return [
            entry for entry in self._entries.values() if entry.path is not None and endpoint in (None, entry.endpoint)
        ]

    @property
    def lost(self) -> int:
        """How many lines kept a trace once and are damaged, so that nobody knows which."""
        return len(self._lost)

    @property
    def is_there(self) -> bool:
        """Whether everything that it says it holds is still where it was written."""
        try:
            closed = all(path.exists() for path in self._paths)
        except OSError:
            return False
        return closed and (self._segment is None or self._segment.is_there)

    def line(self, entry: Entry) -> bytes:
        """The line of an entry that is waiting.

        Raises:
            SpoolError: it cannot be read.
        """
        if entry.path is None:
            raise SpoolError(f"{self.directory}: the line of {entry.ident[:32]} is not there")
        try:
            with entry.path.open("rb") as file:
                file.seek(entry.offset)
                return file.read(entry.size)
        except OSError as error:
            raise spool_error(self.directory, error) from error

    def store(self, payloads: Sequence[Payload], endpoint: str, *, lines: bool, sending: bool) -> None:
        """Have the ``lines`` of these, unless they are there, and that they are being sent, on the disk.

        What the endpoint took by the same name counts no longer: whoever stores these wants them sent.

        Raises:
            SpoolError: they are not.
        """
        now_s = int(self._now_s())
        again = {each.ident for each in payloads if self._receipts.remembers(each.ident, endpoint)}
        over = [each for each in payloads if each.ident in again and self.entry(each.ident, endpoint) is None]
        fresh = [each for each in payloads if lines and not self._has_line(each, endpoint)]
        records = [_record(DROPPED, each, endpoint, now_s) for each in over]
        records += [_record(KEPT, each, endpoint, now_s, each.line) for each in fresh]
        records += [_record(SENDING, each, endpoint, now_s) for each in payloads if sending or each.ident in again]
        self._append(records, durable=True)
        if again:
            self._receipts.take_back(again, endpoint)

    def _has_line(self, payload: Payload, endpoint: str) -> bool:
        entry = self._entries.get((payload.ident, endpoint))
        return entry is not None and entry.path is not None and entry.digest == payload.digest

    def acknowledge(self, payloads: Sequence[Payload], endpoint: str) -> None:
        """The endpoint took these."""
        self._receipts.add(payloads, endpoint, int(self._now_s()))
        for payload in payloads:
            self._entries.pop((payload.ident, endpoint), None)

    def sync_receipts(self) -> None:
        """Have on the disk what was acknowledged: else a power failure would have it sent again.

        Raises:
            SpoolError: that could not be done.
        """
        self._receipts.sync()

    def fail(self, payloads: Sequence[Payload], endpoint: str, reason: Reason, *, uncertain: Iterable[bool]) -> None:
        """The endpoint did not take these, or (``uncertain``) it is not known."""
        now_s = int(self._now_s())
        rests = [f"{int(each)} {reason}".encode() for each in uncertain]
        records = [_record(FAILED, each, endpoint, now_s, rest) for each, rest in zip(payloads, rests, strict=True)]
        self._append(records, durable=False)

    def drop(self, entries: Iterable[Entry]) -> None:
        """These are not kept any longer."""
        self._append([_about(DROPPED, each) for each in entries], durable=True)

    def _append(self, records: Sequence[Record], *, durable: bool) -> None:
        if not records:
            return
        self._make_room(sum(len(record.rest) for record in records) + _HEAD * len(records))
        try:
            self._write(records, durable=durable)
        except SpoolFullError:
            self._close_segment()
            self._compact(least=0)
            self._write(records, durable=durable)
        if self._segment is not None and self._segment.size > self._segment_size:
            self._close_segment()
            self._compact()

    def _write(self, records: Sequence[Record], *, durable: bool) -> None:
        segment = self._open_segment()
        lines = [record.encoded() for record in records]
        offset = segment.size
        segment.append(b"".join(lines), durable=durable)
        self._sizes[segment.path] = segment.size
        for record, line in zip(records, lines, strict=True):
            offset += len(line)
            self._learn(record._replace(offset=offset - 1 - len(record.rest)), segment.path)

    def _open_segment(self) -> AppendFile:
        if self._segment is None:
            number = int(self._paths[-1].name.rpartition("-")[2]) + 1 if self._paths else 1
            self._segment = AppendFile(self.directory / f"segment-{number:08d}")
            self._paths.append(self._segment.path)
            self._sizes[self._segment.path] = 0
        return self._segment

    def tidy(self) -> None:
        """Let go of what is lost or too old, and of the space that nothing needs any more."""
        for record, path in self._lost:
            strike_out(path, [record.line_offset])
            self._evicted(Entry(ident="", digest="", spans=0, endpoint="", time_s=0), Reason.BROKEN_LINE)
        self._lost = []
        since_s = int(self._now_s()) - self._bounds.age_s
        old = [entry for entry in self._entries.values() if entry.time_s < since_s]
        if old:
            self.drop(old)
            self._evict(old, Reason.EVICTED_AGE)
        if self._receipts.overdue(self._bounds.size // 8):
            self.drop(self._done)  # once its receipt is forgotten, nothing else says that it need not be sent
            self._receipts.tidy(self._bounds.size // 8)
        self._close_segment()
        self._compact()

    def _evict(self, entries: Iterable[Entry], reason: Reason) -> None:
        for entry in entries:
            self._entries.pop((entry.ident, entry.endpoint), None)
            if entry.path is not None:
                self._evicted(entry, reason)

    def _make_room(self, size: int) -> None:
        """Evict the oldest segments until so many bytes more are within the bound."""
        if self._used + size <= self._bounds.size:
            return
        self._close_segment()
        self._compact()
        while self._paths and self._used + size > self._bounds.size:
            oldest = self._paths[0]
            self._evict([entry for entry in self._entries.values() if entry.path == oldest], Reason.EVICTED_SIZE)
            self._remove([oldest])
        if self._used + size > self._bounds.size:
            raise SpoolFullError(f"the spool {self.directory} may not grow beyond {self._bounds.size} bytes")

    @property
    def _used(self) -> int:
        return sum(self._sizes.values()) + self._receipts.size

    def _compact(self, least: int | None = None) -> None:
        """Where most of the closed segments is about what was delivered: write the rest again, and remove them.

        Not for less than so many bytes (default: a segment), unless the rest is nothing.
        """
        live = sum(entry.size for entry in self._entries.values())
        worth = self._segment_size if least is None else least
        if sum(self._sizes.values()) <= 2 * live + (worth if self._entries else 0):
            return
        self._receipts.sync()
        old = list(self._paths)
        for entry in list(self._entries.values()):
            self._write(list(self._retold(entry)), durable=False)
        if self._segment is not None:
            self._segment.sync()
            self._close_segment()
        self._remove(old)

    def _retold(self, entry: Entry) -> Iterator[Record]:
        """The records that say what is known of ``entry``."""
        if entry.path is not None:
            yield _about(KEPT, entry, self.line(entry))
        if entry.uncertain:
            yield _about(SENDING, entry)
        if entry.reason:
            yield _about(FAILED, entry, f"{int(entry.uncertain)} {entry.reason}".encode())

    def _remove(self, paths: Iterable[Path]) -> None:
        """The oldest first: what a later one says of an earlier one's entries is needed until that is gone."""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise spool_error(self.directory, error) from error
            del self._sizes[path]
            self._paths.remove(path)

    def _close_segment(self) -> None:
        if self._segment is not None:
            segment, self._segment = self._segment, None
            segment.close()

    def close(self) -> None:
        """Close the files and let others have the spool; what was delivered is not left behind.

        Raises:
            SpoolError: that could not be done; it is closed all the same.
        """
        try:
            self._close_segment()
            self._compact()
        finally:
            try:
                self._receipts.close()
            finally:
                if self._lock is not None:
                    os.close(self._lock)


def _record(kind: str, payload: Payload, endpoint: str, now_s: int, rest: bytes = b"") -> Record:
    return Record(
        kind=kind,
        time_s=now_s,
        ident=payload.ident,
        digest=payload.digest,
        spans=payload.spans,
        endpoint=endpoint,
        rest=rest,
    )


def _about(kind: str, entry: Entry, rest: bytes = b"") -> Record:
    return Record(
        kind=kind,
        time_s=entry.time_s,
        ident=entry.ident,
        digest=entry.digest,
        spans=entry.spans,
        endpoint=entry.endpoint,
        rest=rest,
    )
