"""What waits, record by record, as far as it changed: a process that is started again must not find all of it anew.

However much waits, only what began to wait, or waits no more, is written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import field

from otelmig.inputs.line import Host
from otelmig.inputs.record import FileKey, LogRecord
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["HeldRecords", "HeldRow", "chains", "host_fields", "loaded_host", "loaded_record", "record_fields"]


class HeldRow(NamedTuple):
    """A record that waits, or waited."""

    ident: int
    """Tells it from all others that ever waited."""
    record: LogRecord
    saved: bytes | None
    """The record, and which one it follows; None if it waits no more."""


class HeldRecords(Struct, eq=False):
    """What began to wait, and what waits no more, since that was asked last."""

    latest: int = 0
    """The number that was given last."""
    _asked: int = 0
    """The number that was given last when it was asked last."""
    _waiting: dict[int, tuple[LogRecord, int | None]] = field(default_factory=dict)
    """The records that wait and are not written as they do: each with the number of the one that it follows."""
    _over: dict[int, LogRecord] = field(default_factory=dict)

    def begin(self, record: LogRecord, after: int | None) -> int:
        """Note that ``record`` waits, behind the one of the number ``after`` if there is one; return its number."""
        self.latest += 1
        self._waiting[self.latest] = record, after
        return self.latest

    def follow(self, ident: int, record: LogRecord, after: int) -> None:
        """Note that ``record``, which waits, follows the one of the number ``after``."""
        self._waiting[ident] = record, after

    def end(self, records: Iterable[tuple[int, LogRecord]]) -> None:
        """Note that these wait no more."""
        for ident, record in records:
            self._waiting.pop(ident, None)
            if ident <= self._asked:
                self._over[ident] = record

    def forget(self, idents: Iterable[int]) -> None:
        """Stop writing these: whoever keeps them decides what becomes of them."""
        for ident in idents:
            self._waiting.pop(ident, None)

    def know(self, idents: Iterable[int]) -> None:
        """Note that these are written as they wait, and that no other record is to have their numbers."""
        self.latest = self._asked = max(self.latest, self._asked, *idents)

    def changed(self) -> list[HeldRow]:
        """Return what changed since this was asked last."""
        rows = [HeldRow(ident, record, None) for ident, record in self._over.items()]
        rows += (
            HeldRow(ident, record, json.dumps([after, *record_fields(record)], separators=(",", ":")).encode())
            for ident, (record, after) in self._waiting.items()
        )
        self._over.clear()
        self._waiting.clear()
        self._asked = self.latest
        return rows


def chains(rows: Iterable[tuple[int, bytes]]) -> list[list[tuple[int, LogRecord]]]:
    """Return the records that were saved under these numbers, those that follow each other together and in order.

    Raises:
        ValueError: in one line, why they cannot be read.
    """
    records: dict[int, LogRecord] = {}
    following: dict[int, int] = {}
    firsts: list[int] = []
    try:
        for ident, saved in sorted(rows):
            after, *fields = json.loads(saved)
            records[ident] = loaded_record(*fields)
            if after is None:
                firsts.append(ident)
            else:
                following[after] = ident
    except (TypeError, IndexError, RecursionError) as error:
        raise ValueError("a saved record is damaged") from error
    return [[(ident, records[ident]) for ident in _after(first, following)] for first in firsts]


def _after(first: int, following: Mapping[int, int]) -> Iterable[int]:
    ident: int | None = first
    while ident is not None:
        yield ident
        ident = following.get(ident)


def record_fields(record: LogRecord) -> tuple[object, object]:
    """Return what is saved of a record."""
    return record._replace(host=None), host_fields(record.host)


def loaded_record(fields: Sequence[Any], host: Sequence[Any] | None) -> LogRecord:
    """Return the record of which :func:`record_fields` were saved."""
    return LogRecord(*fields)._replace(file=FileKey(*fields[1]), host=loaded_host(host))


def host_fields(host: Host | None) -> tuple[str | None, str | None, tuple[str, ...]] | None:
    """Return what is saved of a host."""
    return None if host is None else (host.name, host.id, host.ips)


def loaded_host(fields: Sequence[Any] | None) -> Host | None:
    """Return the host of which :func:`host_fields` were saved."""
    return None if fields is None else Host(name=fields[0], id=fields[1], ips=tuple(fields[2]))
