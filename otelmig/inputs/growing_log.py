"""A log that grows: its lines come in one by one, and its beginning is looked at until it is known who writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.inputs.framing.dates import Dating
from otelmig.inputs.framing.margin import margin_of
from otelmig.inputs.framing.prefixes import framings_of
from otelmig.inputs.framing.unwrapping import unwrapped
from otelmig.inputs.line import NOWHERE, Head, Line, Stream
from otelmig.inputs.unpacking.holes import behind_hole
from otelmig.structs import Struct

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from otelmig.inputs.framing.prefixes import Framing
    from otelmig.inputs.line_filter import LineFilter

__all__ = ["GrowingLog", "Recognized"]

_MOST_LINES: Final = 128
"""Lines that are held while nobody knows them; later ones push out the first."""
_MOST_BYTES: Final = 1 << 16
"""Bytes of them."""
_FOLLOWING: Final = 64
"""Lines after a wanted one that a record of several lines may go on with."""
_PIECES: Final = 64
"""At most so many pieces of a line that its framing cut are put together."""
_LONGEST: Final = 1 << 20
"""Bytes of a line; what is longer is cut."""


class Recognized(Struct, frozen=True, kw_only=True):
    """Who writes a log, and which of its lines its reader must be given; None for every line."""

    system: str
    line_filter: LineFilter | None


class GrowingLog(Struct, kw_only=True):
    """One log while it grows: raw lines in, unwrapped lines that a reader must be given out.

    Lines that came before it was known who writes the log are given out as soon as that is known.
    """

    key: str
    name: str
    stem: str
    recognize: Callable[[Head], Recognized | None]
    """Looks at the beginning; it may raise an ``InputError`` if it knows the writer and not the form of its lines."""
    line_begins: Sequence[re.Pattern[str]]
    """Match where a line of each known hypervisor begins."""
    year: int | None = None
    zone: tzinfo | None = None
    stream: Stream | None = None
    """None until it is known who writes it."""
    known: Recognized | None = None
    refused: str | None = None
    """Why it cannot be read, if its writer is known and its form is not."""
    passed_over: int = 0
    """Lines that were pushed out before anybody knew them."""
    _framings: tuple[Framing, ...] = ()
    _held: list[Line] = field(default_factory=list)
    _held_bytes: int = 0
    _looked_at: int = 0
    """Lines that were held when the beginning was last looked at."""
    _following: int = 0
    _pieces: list[Line] = field(default_factory=list)
    """The pieces so far of a line that its framing cut."""

    @property
    def holds(self) -> bool:
        """Whether lines are held that have not been given out."""
        return bool(self._held or self._pieces)

    def take(self, line: Line) -> Sequence[Line]:
        """Take the next line as it stands in the file; return the lines that a reader must be given now."""
        if len(line.text) > _LONGEST:
            line = replace(line, text=line.text[:_LONGEST])
        if "\0" in line.text:
            line = replace(line, text=behind_hole(line.text))
        if self.known is not None:
            return list(self._wanted(line))
        self._hold(line)
        if not self._is_time_to_look(line.text):
            return ()
        self._looked_at = len(self._held)
        if not self._look():
            return ()
        held, self._held, self._held_bytes = self._held, [], 0
        return [wanted for raw in held for wanted in self._wanted(raw)]

    def _hold(self, line: Line) -> None:
        self._held.append(line)
        self._held_bytes += len(line.text)
        while len(self._held) > _MOST_LINES or (self._held_bytes > _MOST_BYTES and len(self._held) > 1):
            self._held_bytes -= len(self._held.pop(0).text)
            self._looked_at -= 1
            self.passed_over += 1

    def _is_time_to_look(self, text: str) -> bool:
        """Return whether the beginning may be known with this line: looking at it costs, and most files are others'."""
        if any(begin.search(text) is not None for begin in self.line_begins):
            return True
        return not self.passed_over and len(self._held) >= self._looked_at + 1 + self._looked_at // 2

    def _look(self) -> bool:
        texts = [line.text for line in self._held]
        data = "\n".join(texts)
        raw = data.encode("utf-8", "surrogateescape") + b"\n"
        framings = framings_of(data)
        if self._is_known(framings, texts, raw):
            return True
        margin = margin_of(self._unwrapped(framings, texts), self.line_begins)
        return margin is not None and self._is_known((*framings, margin), texts, raw)

    def _is_known(self, framings: tuple[Framing, ...], texts: Sequence[str], raw: bytes) -> bool:
        head = Head(name=self.name, data=raw, lines=tuple(self._unwrapped(framings, texts)))
        try:
            known = self.recognize(head)
        except InputError as error:
            self.refused = str(error)
            return False
        if known is None:
            return False
        self.known, self.refused, self._framings = known, None, framings
        self.stream = Stream(key=self.key, name=self.name, stem=self.stem, head=head, mtime_ns=None)
        return True

    @staticmethod
    def _unwrapped(framings: tuple[Framing, ...], texts: Sequence[str]) -> list[str]:
        if not framings:
            return list(texts)
        return [unwrapped(Line(text=text, where=NOWHERE), framings).text for text in texts]

    def _wanted(self, line: Line) -> Iterator[Line]:
        """Yield the line, unwrapped, if a reader must be given it."""
        known, stream = self.known, self.stream
        if known is None or stream is None:
            return
        if self._framings:
            whole = self._put_together(line)
            if whole is None:
                return
            dating = Dating(latest_ns=whole.received_ns or 0, year=self.year, zone=self.zone)
            line = unwrapped(whole, self._framings, dating)
        line = replace(line, stream=stream, lookahead=None)
        wanted = known.line_filter
        if wanted is None:
            yield line
        elif wanted.matches(line.text.encode("utf-8", "surrogateescape")):
            self._following = _FOLLOWING
            yield line
        elif self._following or line.lost_before:
            self._following = max(self._following - 1, 0)
            if any(begin.search(line.text) is not None for begin in self.line_begins):
                self._following = 0
            yield line

    def _put_together(self, line: Line) -> Line | None:
        """Return a line of which all pieces are there; None while one is to come."""
        is_partial = any(framed.partial for part in self._framings if (framed := part.unwrap(line.text)) is not None)
        if is_partial and len(self._pieces) < _PIECES:
            self._pieces.append(line)
            return None
        if not self._pieces:
            return line
        first, *rest = (*self._pieces, line)
        self._pieces = []
        texts = [part.text for part in rest]
        return replace(first, lookahead=lambda: texts)
