"""The format of a spool on the disk, version 1.

```
format              "otelmig-spool 1"; a newer otelmig writes a higher number, and its spool is left alone
lock                locked (flock) by the one process that uses the spool
segment-00000001    records, one a line, appended; every process begins a new segment
receipts            records of kind A
```

A record is ``KIND TIME IDENT DIGEST SPANS ENDPOINT CHECK REST``: seconds since the Unix epoch; trace id and span id of
the first span; the beginning of the SHA-256 of the protobuf form; the number of spans; the URL without credentials; the
CRC-32 of all that and, unless the rest is a LINE, of the rest.

- ``T ... LINE``: the OTLP/JSON line, as it was made or found, waits for the endpoint;
- ``S ... COPIES``: the payload is about to be sent (durable before the first byte leaves), or is to be sent again;
  this may make so many copies that no account speaks of (none, if the number is missing);
- ``F ... 0|1 REASON``: that send failed; 1 if the receiver may have accepted the payload, then or earlier; its run
  lived on to count the copies;
- ``A``: the endpoint accepted the payload, as its answer proves: a receipt;
- ``D``: the payload is not kept any longer (evicted, or delivered to another endpoint).

A receipt overrides whatever the segments say of its payload, even what they say later. So when a payload that has a
receipt is to be sent again (on request, or because the receipt expired), its new records are written first, after a
``D`` that ends the earlier ones. Then every ``A`` of it is struck out in place (``X``), then comes an ``S`` with the
copies that are possible, and only then is it sent. If the process is killed before the stroke, nothing has changed;
after it, the next run delivers the payload. Every version skips what is struck out.

An ``S`` without a later record means that its process died in between: the next send may make a duplicate, which is
identical to the first copy and counted. Without a ``T``, the line is in an archive. Copies of an ``S`` that no ``F``
follows are those of a process that died: the next run counts them, whether or not the payload has a receipt, and at its
end a ``D`` says that they were counted.

``late-...`` holds records ``A`` and ``S`` of a run that could not use the spool.

A line without a line feed was being written when its process died, and is not read. No process appends to the segment
of another one; among the receipts, such a line is ended first. A line that changed on the disk does not fit its
checksum. If it kept a trace, that trace is lost: it is counted, and then its line is struck out. Nothing but these
strokes is ever written over.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

if TYPE_CHECKING:
    from otelmig.otlp.payload import Payload

__all__ = [
    "ACKNOWLEDGED",
    "DROPPED",
    "FAILED",
    "HEADLINE",
    "KEPT",
    "LOST",
    "SENDING",
    "STRUCK",
    "VERSION",
    "Record",
    "copies_text",
    "parsed_record",
    "version_of",
]

VERSION: Final = 1
_TITLE: Final = "otelmig-spool "
HEADLINE: Final = f"{_TITLE}{VERSION}\n"
"""The content of the file ``format``."""
KEPT: Final = "T"
SENDING: Final = "S"
FAILED: Final = "F"
ACKNOWLEDGED: Final = "A"
DROPPED: Final = "D"
LOST: Final = "?"
"""Kind of a record that is never written: it stands for a damaged line that kept a trace."""
STRUCK: Final = b"X "
"""Bytes that replace kind and space of a line that is struck out."""
_FIELDS: Final = 8
_KEPT_MARK: Final = b'"resourceSpans"'
"""Bytes that only a line with a trace contains."""


class Record(NamedTuple):
    """One line of a segment or of the receipts."""

    kind: str
    time_s: int
    """When it was written, in seconds since the Unix epoch."""
    ident: str
    digest: str
    spans: int
    endpoint: str
    rest: bytes = b""
    offset: int = 0
    """Byte of its file at which ``rest`` begins."""
    line_offset: int = 0
    """Byte of its file at which its line begins."""

    @classmethod
    def of(cls, kind: str, payload: Payload, endpoint: str, time_s: int, rest: bytes = b"") -> Record:
        """Return a new record about ``payload``, written ``time_s`` seconds after the Unix epoch."""
        return cls(kind, time_s, payload.ident, payload.digest, payload.spans, endpoint, rest)

    @classmethod
    def sending(cls, payload: Payload, endpoint: str, time_s: int, copies: int = 0) -> Record:
        """Return the record that ``payload`` is about to be sent, which may make so many copies."""
        return cls.of(SENDING, payload, endpoint, time_s, copies_text(copies))

    @property
    def copies(self) -> int:
        """How many copies a record of kind ``S`` says that its send may make."""
        return int(self.rest) if self.rest.isdigit() else 0

    def encoded(self) -> bytes:
        """Return the line of this record, with its line feed."""
        head = f"{self.kind} {self.time_s} {self.ident} {self.digest} {self.spans} {_quoted(self.endpoint)}".encode()
        return b"%b %b %b\n" % (head, _checksum(head, self.rest), self.rest)


def parsed_record(line: bytes, offset: int) -> Record | None:
    """Return the record of a whole line, which begins at byte ``offset`` of its file.

    A damaged line that kept a trace is a record of kind ``LOST``; any other that holds no valid record is None.
    """
    fields = line[:-1].split(b" ", _FIELDS - 1)
    if len(fields) == _FIELDS and fields[-2] == _checksum(b" ".join(fields[:-2]), fields[-1]):
        kind, time_s, ident, digest, spans, endpoint = (field.decode() for field in fields[:-2])
        rest = fields[-1]
        return Record(
            kind=kind,
            time_s=int(time_s),
            ident=ident,
            digest=digest,
            spans=int(spans),
            endpoint=unquote(endpoint),
            rest=rest,
            offset=offset + len(line) - 1 - len(rest),
            line_offset=offset,
        )
    if line.startswith(STRUCK) or _KEPT_MARK not in line:
        return None
    return Record(kind=LOST, time_s=0, ident="", digest="", spans=0, endpoint="", line_offset=offset)


def copies_text(copies: int) -> bytes:
    """Return the number of copies as a record of kind ``S`` says it."""
    return str(copies).encode() if copies else b""


def version_of(headline: str) -> int | None:
    """Return the version that the content of a file ``format`` states; None if it states none."""
    number = headline.removeprefix(_TITLE).strip()
    return int(number) if headline.startswith(_TITLE) and number.isdecimal() else None


@lru_cache(maxsize=16)
def _quoted(endpoint: str) -> str:
    """Return an endpoint without spaces."""
    return quote(endpoint, safe=":/[]")


def _checksum(head: bytes, rest: bytes) -> bytes:
    """Return the CRC-32 of a record in hexadecimal; an OTLP/JSON line is left out, because the digest covers it."""
    return b"%08x" % crc32(head if head.startswith(KEPT.encode()) else head + rest)
