"""The journal's own outputs: ``journalctl -o json`` and ``journalctl -o export``.

Every entry says which process wrote it and when journald took it over. A message with control characters (a record
that ends in CR, say) is an array of byte values in JSON, and a length followed by raw bytes in the export format.
(systemd, "Journal Export Formats".)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from otelmig.inputs.framing.entries import one_a_line, windowed
from otelmig.inputs.framing.json_text import json_object
from otelmig.inputs.line import Host, Line, Where
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.inputs.line import Stream
    from otelmig.inputs.line_filter import LineFilter

__all__ = ["WRITER_FIELDS", "Cursor", "export_lines", "is_export", "is_json", "json_lines", "received_ns", "writer_of"]

_LARGEST_BYTE: Final = 255
_LENGTH: Final = 8
"""Bytes of the length before a binary value."""
_LONGEST_VALUE: Final = 1 << 24
"""Bytes of the longest value that is read over; what claims to be longer is no entry."""
_GIVEN: Final = 1 << 16
"""Bytes of a value that are kept; no record that says something of a migration is longer."""
_ENTRY_NUMBER: Final = re.compile(r"[0-9a-f]{1,15}|[0-7][0-9a-f]{15}")
"""What fits into 63 bits."""
WRITER_FIELDS: Final = ("_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "_BOOT_ID")
"""The fields that say which process wrote an entry."""
_FIELDS: Final = frozenset(name.encode() for name in ("MESSAGE", "__REALTIME_TIMESTAMP", "_MACHINE_ID", *WRITER_FIELDS))
"""The fields that are kept."""


def is_json(head: bytes) -> bool:
    """Return whether a file that begins like this was written by ``journalctl -o json``."""
    start = head.lstrip()
    return start.startswith(b"{") and b'"__REALTIME_TIMESTAMP"' in start.partition(b"\n")[0]


def is_export(head: bytes) -> bool:
    """Return whether a file that begins like this was written by ``journalctl -o export``."""
    return head.lstrip().startswith((b"__CURSOR=", b"__REALTIME_TIMESTAMP="))


def json_lines(lines: Iterable[Line], wanted: LineFilter | None) -> Iterator[Line]:
    """Yield the messages of ``-o json`` (one entry a line) in which ``wanted`` matches."""
    return one_a_line(lines, wanted, _json_message)


def _json_message(text: str, where: Where) -> Line | None:
    entry = json_object(text)
    if entry is None:
        return _message(None, where)
    return _message({name: value for name, item in entry.items() if (value := _json_value(item)) is not None}, where)


def _json_value(item: object) -> str | None:
    """Return text as it is, an array of byte values decoded, and of several values of one field the first."""
    match item:
        case str():
            return item
        case [int(), *_]:
            values = [byte for byte in item if isinstance(byte, int) and 0 <= byte <= _LARGEST_BYTE]
            return bytes(values).decode("utf-8", "backslashreplace") if len(values) == len(item) else None
        case [str(first), *_]:
            return first
        case _:
            return None


def _export_entries(chunks: Iterable[bytes]) -> Iterator[tuple[dict[str, str] | None, int]]:
    """Yield each entry's fields (None: not readable) and its first line.

    A field is a line ``FIELD=value``, or ``FIELD``, a 64-bit length and bytes; an empty line ends an entry.
    """
    data = _Bytes(source=iter(chunks))
    line = begin = 1
    fields: dict[str, str] = {}
    is_read = False
    # line: the number of the line that is read next; begin: that of the entry's first line; fields: what it has so far
    # of the fields that are kept; is_read: whether it has any field at all
    while (raw := data.line()) is not None:
        line += 1
        if not raw:
            if is_read:
                yield fields, begin
            fields, begin, is_read = {}, line, False
            continue
        name, equals, value = raw.partition(b"=")
        if not equals:
            size = int.from_bytes(data.take(_LENGTH), "little")
            if size > _LONGEST_VALUE:
                yield None, begin
                fields, is_read = {}, False
                continue
            value = data.take(size)
            data.take(len(b"\n"))
            line += value.count(b"\n") + 1
        is_read = True
        if name in _FIELDS:
            fields[_decoded(name)] = _decoded(value[:_GIVEN])
    if is_read:
        yield fields, begin


class _Bytes(Struct, kw_only=True):
    """Takes lines and counted bytes off a stream of chunks."""

    source: Iterator[bytes]
    buffer: bytes = b""
    position: int = 0

    def line(self) -> bytes | None:
        """Return the next line without its end (cut, if it is too long); None at the end of the stream."""
        while (end := self.buffer.find(b"\n", self.position)) < 0:
            if len(self.buffer) - self.position >= _LONGEST_VALUE or not self._more():
                rest = self.take(min(len(self.buffer) - self.position, _LONGEST_VALUE))
                return rest or None
        line = self.buffer[self.position : end]
        self.position = end + 1
        return line

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or what is left."""
        while len(self.buffer) - self.position < size and self._more():
            pass
        piece = self.buffer[self.position : self.position + size]
        self.position += size
        return piece

    def _more(self) -> bool:
        chunk = next(self.source, b"")
        self.buffer, self.position = self.buffer[self.position :] + chunk, 0
        return bool(chunk)


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def export_lines(chunks: Iterable[bytes], name: str, wanted: LineFilter | None, stream: Stream) -> Iterator[Line]:
    """Yield the messages of ``-o export`` in which ``wanted`` matches."""
    messages = (_message(fields, Where(file=name, line=number)) for fields, number in _export_entries(chunks))
    return windowed((replace(line, stream=stream) for line in messages if line is not None), wanted)


def _message(fields: Mapping[str, str] | None, where: Where) -> Line | None:
    """Return the entry's message as a line; None if it has none."""
    if fields is None:
        return Line(text="(no journal entry)", where=where)
    message = fields.get("MESSAGE")
    if message is None:
        return None
    return Line(
        text=message.rstrip("\r\n"),
        where=where,
        writer=writer_of(fields),
        received_ns=received_ns(fields),
        host=Host(name=fields.get("_HOSTNAME"), id=fields.get("_MACHINE_ID")),
    )


def writer_of(fields: Mapping[str, str]) -> str:
    """Return what tells the process that wrote an entry from every other one: its host, its name, its id, the boot."""
    who = fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or ""
    pid = fields.get("_PID") or fields.get("SYSLOG_PID") or ""
    return "/".join(part for part in (fields.get("_HOSTNAME"), f"{who}[{pid}]", fields.get("_BOOT_ID")) if part)


class Cursor(NamedTuple):
    """What the cursor of an entry says, as far as it has the form that is known."""

    journal: str
    number: int | None
    """Counts the entries of one journal, those of all units."""
    boot: str
    content: tuple[str, ...]
    """The same for an entry and its copy in another journal."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return what a cursor says; what it lacks is empty, or None."""
        parts = dict(part.partition("=")[::2] for part in text.split(";"))
        number = parts.get("i", "")
        return cls(
            journal=parts.get("s", ""),
            number=int(number, 16) if _ENTRY_NUMBER.fullmatch(number) else None,
            boot=parts.get("b", ""),
            content=tuple(parts.get(name, "") for name in "bmtx"),
        )


def received_ns(fields: Mapping[str, str]) -> int | None:
    """Return when journald took an entry over (Unix epoch): the end of the microsecond that it says."""
    text = fields.get("__REALTIME_TIMESTAMP", "")
    if not (text.isascii() and text.isdigit() and len(text) < len("10000000000000000")):
        return None
    return (int(text) + 1) * MICROSECOND_NS
