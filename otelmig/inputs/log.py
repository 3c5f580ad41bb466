"""An input: one log (with its rotations) or event stream, whatever carried it."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.inputs.files import with_head
from otelmig.inputs.framing.dates import Dating
from otelmig.inputs.framing.entries import in_json, one_a_line
from otelmig.inputs.framing.journal import export_lines, is_export, is_json, json_lines
from otelmig.inputs.framing.margin import margin_of
from otelmig.inputs.framing.otlp_logs import is_otlp, otlp_lines
from otelmig.inputs.framing.prefixes import GLANCE, SAMPLE, framings_of, is_framed
from otelmig.inputs.framing.stores import entry_line, is_json_lines
from otelmig.inputs.framing.unwrapping import unwrapped
from otelmig.inputs.line import NO_STREAM, NOWHERE, Head, Line, Stream, Where
from otelmig.inputs.unpacking.read_once import TemporaryFile
from otelmig.inputs.whole_texts import texts_of, whole_texts
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    from otelmig.inputs.files import InputFile
    from otelmig.inputs.framing.prefixes import Framing
    from otelmig.inputs.line_filter import LineFilter
    from otelmig.inputs.line_places import LinePlaces

__all__ = ["InputLog"]

_BYTES: Final = re.compile(rb'"MESSAGE" ?: ?\[')
"""A message that ``journalctl -o json`` gives as byte values: no text search finds anything in it."""
_PRINTED: Final = (b"{\n", b"{\r\n")
"""How printed JSON begins: the first of many objects, each of several lines."""
_FIRST: Final = 100
"""Lines that are the beginning of a log."""


class InputLog(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that was written to one log: its files, in order."""

    name: str
    parts: Sequence[InputFile]
    margin: Framing | None = None
    """What stands before its lines and is known by these alone."""
    year: int | None = None
    zone: tzinfo | None = None
    """What the dates of a transport are known to be of, where they do not say so."""
    is_json: bool = False
    """Whether its lines are objects of a log store, of which a field is the line."""
    turned: int | None = None
    """How many lines it has, if it was given with the newest line first and is read from its end."""

    @property
    def key(self) -> str:
        """Tells the log from every other input; a path, so it never leaves the machine."""
        return str(self.parts[-1].place)

    @property
    def stem(self) -> str:
        """The key without the name's last suffix: what belongs to one process is often called alike."""
        return str(self.parts[-1].place.with_suffix(""))

    @property
    def head(self) -> bytes:
        """The beginning, as it stands in the file."""
        return self.parts[0].head

    @property
    def mtime_ns(self) -> int:
        """When it was last written (Unix epoch)."""
        return max(part.mtime_ns for part in self.parts)

    @property
    def framing(self) -> str | None:
        """What carried the lines, in words; None for a plain log."""
        part = self.parts[0]
        names = [framing.name for framing in self._framings(part)]
        outer = self._entries_of(part)
        return " in ".join([*names, *([] if outer is None else [outer])]) or None

    @cached_property
    def _dating(self) -> Dating:
        return Dating(latest_ns=self.mtime_ns, year=self.year, zone=self.zone)

    def readings(self, begins: Iterable[re.Pattern[str]]) -> Iterator[InputLog]:
        """Yield the ways in which the log can be read: as it stands, as what a store gave back, behind a margin.

        ``begins`` match where a line of each hypervisor begins that can be told by itself.
        """
        yield self
        inner = self
        if self._entries_of(self.parts[0]) is None and is_json_lines(self.head):
            inner = replace(self, is_json=True)
            yield inner
        margin = margin_of(inner.stream.head.lines, begins)
        if margin is not None:
            yield replace(inner, margin=margin)

    def forwards(self) -> InputLog:
        """Return the log with its oldest line first, as most stores can give it, but not all do unless they are told.

        Raises:
            InputError: it runs backwards and is too large to be turned.
        """
        if len(self.parts) > 1 or not self._runs_backwards:
            return self
        file, count = _turned(self.parts[0])
        return replace(self, parts=(file,), turned=count)

    @property
    def _runs_backwards(self) -> bool:
        """Whether the first lines were received one before the other."""
        part = self.parts[0]
        if is_export(part.head) or is_otlp(part.head) or (self._entries_of(part) is None and not self._framings(part)):
            return False
        times = [line.received_ns for line in islice(self._part_lines(part, None, NO_STREAM), _FIRST)]
        known = [time for time in times if time is not None]
        return len(known) >= _FEW and known[0] > known[-1] and known == sorted(known, reverse=True)

    def _entries_of(self, part: InputFile) -> str | None:
        """Return what gave the entries that ``part`` consists of; None if it consists of lines."""
        return self._entries_of_parts[id(part)]

    @cached_property
    def _entries_of_parts(self) -> dict[int, str | None]:
        lines = "JSON lines" if self.is_json else None
        return {id(part): next((what for begins, what in _ENTRIES if begins(part.head)), lines) for part in self.parts}

    @cached_property
    def stream(self) -> Stream:
        """The log as a stream that is over."""
        head = Head(name=self.name, data=self.head, lines=tuple(self._head_lines()), search=self._search)
        return Stream(key=self.key, name=self.name, stem=self.stem, head=head, mtime_ns=self.mtime_ns)

    def _search(self, wanted: LineFilter) -> Iterator[str]:
        return (line.text for line in self.lines(wanted))

    def _head_lines(self) -> Iterable[str]:
        """Return the lines of the beginning, unwrapped."""
        part = self.parts[0]
        if self._entries_of(part) is not None:
            return (line.text for line in islice(self._part_lines(part, None, NO_STREAM), _FIRST))
        framings = self._framings(part)
        texts = _first_lines(part.head, _FIRST).splitlines()[:_FIRST]
        if not framings:
            return texts
        return (unwrapped(Line(text=text, where=NOWHERE), framings).text for text in texts)

    def lines(self, wanted: LineFilter | None, stream: Stream = NO_STREAM) -> Iterator[Line]:
        """Return each line that is ``wanted`` (every line, if None), unwrapped, in order of writing.

        A line that was cut by a rotation (``copytruncate``) is put together again. The lines say that they are of
        ``stream``.
        """
        if len(self.parts) > 1:
            return self._rotated_lines(wanted, stream)
        lines, count = self._part_lines(self.parts[0], wanted, stream), self.turned
        if count is None:
            return lines
        return (replace(line, where=replace(line.where, line=count + 1 - line.where.line)) for line in lines)

    def _rotated_lines(self, wanted: LineFilter | None, stream: Stream) -> Iterator[Line]:
        begun = b""
        for part, after in zip(self.parts, (*self.parts[1:], None), strict=True):
            rest: list[bytes] | None = None if after is None or after.has_hole else []
            yield from self._part_lines(part, wanted, stream, begun, rest)
            begun = b"".join(rest or ())

    def whole_lines(self, stream: Stream = NO_STREAM) -> Iterator[Line]:
        """Yield every line, unwrapped but otherwise as it stands: for inputs that are no logs."""
        framings = self._framings(self.parts[0])
        for parts, places in self._read_together():
            lines = (
                Line(text, Where(self.name, number), "", None, None, None, (), "", stream)
                for number, text in enumerate(texts_of(parts), start=1)
            )
            for line in lines if places is None else places.placed(lines):
                yield unwrapped(line, framings, self._dating) if framings else line

    def objects(self, stream: Stream = NO_STREAM) -> Iterator[Line]:
        """Yield what :meth:`whole_lines` yields, but all lines of an object as one where the objects are printed so.

        Such a line stands where the object begins, and has line feeds in it.
        """
        if not self.head.startswith(_PRINTED) or self._framings(self.parts[0]):
            yield from self.whole_lines(stream)
            return
        for parts, places in self._read_together():
            lines = self._objects(parts, stream)
            yield from lines if places is None else places.placed(lines)

    def _objects(self, parts: Sequence[InputFile], stream: Stream) -> Iterator[Line]:
        number = 1
        for text in whole_texts(parts):
            first, *others = text.split("\n{")
            for piece in (first, *("{" + other for other in others)):
                yield Line(piece, Where(self.name, number), "", None, None, None, (), "", stream)
                number += piece.count("\n") + 1

    def _read_together(self) -> Iterator[tuple[Sequence[InputFile], LinePlaces | None]]:
        """Yield the files whose lines are counted together: all, or each that was rebuilt, with what is known of it."""
        if all(part.places is None for part in self.parts):
            yield self.parts, None
        else:
            yield from (((part,), part.places) for part in self.parts)

    def tail(self) -> Iterator[Line]:
        """Yield the last lines, the last one first, where they can be had without reading everything before them."""
        part = self.parts[-1]
        if part.compression is None and self._entries_of(part) is None:
            for line in part.tail():
                yield unwrapped(line, self._framings(part), self._dating)

    def _part_lines(
        self,
        part: InputFile,
        wanted: LineFilter | None,
        stream: Stream,
        begun: bytes = b"",
        rest: list[bytes] | None = None,
    ) -> Iterator[Line]:
        framings = self._framings(part)
        if self._entries_of(part) is not None:
            lines = self._entries(part, wanted, stream, begun, rest)
        elif framings:
            single = None if wanted is None else replace(wanted, run_pattern=None)
            lines = part.lines(single, begun=begun, rest=rest, stream=stream)
        else:
            return part.lines(wanted, begun=begun, rest=rest, stream=stream)
        return (unwrapped(line, framings, self._dating) for line in lines) if framings else lines

    def _entries(
        self,
        part: InputFile,
        wanted: LineFilter | None,
        stream: Stream,
        begun: bytes = b"",
        rest: list[bytes] | None = None,
    ) -> Iterator[Line]:
        if is_export(part.head):
            return export_lines(part.chunks(), part.name, wanted, stream)
        if is_otlp(part.head):
            return otlp_lines(part.chunks(), part.name, wanted, stream, of_files=part.names_files)
        lines = part.lines(in_json(wanted, _BYTES), begun=begun, rest=rest, stream=stream)
        return one_a_line(lines, wanted, entry_line) if self.is_json else json_lines(lines, wanted)

    def _framings(self, part: InputFile) -> tuple[Framing, ...]:
        return self._framings_of_parts[id(part)]

    @cached_property
    def _framings_of_parts(self) -> dict[int, tuple[Framing, ...]]:
        innermost = () if self.margin is None else (self.margin,)
        return {id(part): (*self._prefixes(part), *innermost) for part in self.parts}

    def _prefixes(self, part: InputFile) -> tuple[Framing, ...]:
        if self.is_json:
            return framings_of("\n".join(line.text for line in islice(self._entries(part, None, NO_STREAM), _FIRST)))
        if self._entries_of(part) is not None or not is_framed(_first_lines(part.head, GLANCE)):
            return ()  # most logs: no more of their lines is looked at
        return framings_of(_first_lines(part.head, SAMPLE))


_ENTRIES: Final = ((is_json, "journalctl -o json"), (is_export, "journalctl -o export"), (is_otlp, "OTLP logs"))
"""What gave the entries of a file that begins so."""
_FEW: Final = 3
"""Lines that must run backwards, or none do."""
_LARGEST_TURNED: Final = 1 << 27
"""Bytes of a file that are turned: its last line becomes the first."""


def _first_lines(head: bytes, count: int) -> str:
    """Return the text of at least ``count`` lines at the beginning, if there are so many; not that of all of it."""
    return b"\n".join(head.split(b"\n", count + 1)[: count + 1]).decode("utf-8", "backslashreplace")


def _turned(file: InputFile) -> tuple[InputFile, int]:
    """Return a copy of ``file`` with the last line first, and the number of its lines."""
    chunks, size = [], 0
    for chunk in file.chunks():
        size += len(chunk)
        if size > _LARGEST_TURNED:
            why = "its newest line comes first, and it is too large to be turned: want the oldest line first"
            raise InputError(f"{file.name}: {why} (logcli query --forward, journalctl without -r, tac)")
        chunks.append(chunk)
    lines = b"".join(chunks).removesuffix(b"\n").split(b"\n")
    with TemporaryFile() as copy:
        for line in reversed(lines):
            copy.write(line + b"\n")
    alone = replace(file, path=copy.path, begin=0, size=copy.size, compression=None, is_member=False, keeps_alive=copy)
    return with_head(alone), len(lines)
