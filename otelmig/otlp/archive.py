"""An archive's bytes -> its JSON documents: one a line, or spread over several lines, or in one array.

A document that is spread over lines is found by its brackets, and only where a line cannot be a document by itself, so
that an archive with one request a line costs nothing. A string of JSON never goes over the end of a line: a line that
ends inside one is damaged.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CUT_OFF", "TOO_LONG", "Document", "documents"]

_LONGEST: Final = 64 << 20
"""Bytes of a document; a longer one is not sent."""
TOO_LONG: Final = "the line is too long"
CUT_OFF: Final = "the line is cut off"
_DOCUMENT_CUT_OFF: Final = "the document that begins here is cut off"
_STRING: Final = re.compile(rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*(?:(")|\\?\Z)')
"""A string, or what begins as one and has no end."""
_REQUEST: Final = re.compile(rb'\s*\{\s*"resource(?:Spans|Metrics|Logs|Profiles)"\s*:')
"""The beginning of a request, which never stands inside another one."""
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


class Document(Struct, frozen=True, kw_only=True):
    """What should be one JSON document."""

    number: int
    """The number of its first line, from 1."""
    line: bytes
    """Its bytes, on one line; empty if it is too long."""
    flaw: str = ""
    """Why it is no JSON, if it is none and this is known."""


class _Begun(Struct, kw_only=True):
    """A document that began on an earlier line and has not ended."""

    number: int
    is_array: bool
    depth: int = 0
    """How many of its brackets are open."""
    indented: bool = False
    """Whether its second line is indented."""
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, line: bytes, opened: int) -> None:
        """Take one more line of it, which opens so many brackets; what is too long is not kept."""
        self.depth += opened
        self.size += len(line)
        if len(self.lines) == 1:
            self.indented = line[:1].isspace()
        if self.size > _LONGEST:
            self.lines.clear()
        else:
            self.lines.append(line)

    def is_cut_by(self, line: bytes) -> bool:
        """Return whether ``line`` begins another document, so that this one was cut off."""
        if not self.is_array and _REQUEST.match(line):
            return True
        if line[:1] not in (b"{", b"["):
            return False
        # after the bracket of an object comes a name
        return self.indented or (bool(self.lines) and self.lines[-1].rstrip().endswith(b"{"))

    def document(self, flaw: str = "") -> Document:
        """Return it on one line: where a line ends, JSON may have a space as well."""
        if self.size > _LONGEST:
            return Document(number=self.number, line=b"", flaw=TOO_LONG)
        return Document(number=self.number, line=b" ".join(line.strip() for line in self.lines), flaw=flaw)

    def cut_off(self, flaw: str = "") -> Document:
        """Return what there is of it; ``flaw`` is that of its last line."""
        return self.document(_DOCUMENT_CUT_OFF if len(self.lines) > 1 else flaw)


def documents(chunks: Iterable[bytes]) -> Iterator[Document]:
    """Yield the documents of an archive, and what should be one and is none; empty lines are passed over."""
    begun: _Begun | None = None
    flaw = ""
    for number, (line, flaw) in enumerate(_lines(chunks), 1):
        text = line.removeprefix(BOM_UTF8) if number == 1 else line
        if begun is not None and (flaw == TOO_LONG or begun.is_cut_by(text)):
            yield begun.cut_off()
            begun = None
        if flaw == TOO_LONG:
            yield Document(number=number, line=b"", flaw=flaw)
        elif not text.strip():
            continue
        elif begun is None:
            opened = _opened(text)
            if opened:
                begun = _Begun(number=number, is_array=text.lstrip()[:1] == b"[")
                begun.add(text, opened)
            else:
                yield from _requests(Document(number=number, line=text, flaw=flaw))
        else:
            opened = _opened(text)
            begun.add(text, opened or 0)
            if opened is None:
                yield begun.cut_off()
                begun = None
            elif begun.depth <= 0:
                yield from _requests(begun.document())
                begun = None
    if begun is not None:
        yield begun.cut_off(flaw)


def _opened(line: bytes) -> int | None:
    """Return how many more brackets ``line`` opens than it closes; None if it ends inside a string."""
    text = line.strip()
    # strings may hold brackets, too, but hardly so that a part of a document looks like a whole one
    if text[:1] == b"{" and text[-1:] == b"}" and text.count(b"{") == text.count(b"}"):
        return 0
    rest = _STRING.sub(lambda string: b"" if string[1] else b'"', text)
    if b'"' in rest:
        return None
    return rest.count(b"{") + rest.count(b"[") - rest.count(b"}") - rest.count(b"]")


def _requests(document: Document) -> Iterator[Document]:
    """Yield the elements of an array, which are requests; anything else as it is."""
    try:
        elements = list(_elements(document.line.decode())) if document.line.lstrip()[:1] == b"[" else []
    except (ValueError, RecursionError):  # no JSON: whoever parses it says so
        elements = []
    if not elements:
        yield document
    for element in elements:
        yield Document(number=document.number, line=element.encode())


def _elements(text: str) -> Iterator[str]:
    """Yield the elements of the array that ``text`` is.

    Raises:
        ValueError: it is none.
    """
    place = _after_space(text, 0) + 1
    separator = ","
    while separator == ",":
        begin = _after_space(text, place)
        _, end = _DECODER.raw_decode(text, begin)
        yield text[begin:end]
        place = _after_space(text, end)
        separator = text[place : place + 1]
        place += 1
    if separator != "]" or text[place:].strip():
        raise ValueError("no array")


def _after_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return place if space is None else space.end()


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield each line without its end, and why it cannot be used, if so; a line that is too long comes empty.

    ``pieces`` is the beginning of a line whose end is not there yet, ``size`` its length, pieces that were dropped
    because the line is too long included.
    """
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for line in whole:
            yield (b"", TOO_LONG) if size + len(line) > _LONGEST else (b"".join([*pieces, line]), "")
            pieces, size = [], 0
        size += len(last)
        if size > _LONGEST:
            pieces = []
        else:
            pieces.append(last)
    if size:
        yield (b"", TOO_LONG) if size > _LONGEST else (b"".join(pieces), CUT_OFF)
