"""Lines -> the JSON objects in them, however they are printed: one a line, over several lines, one after the other.

Whoever prints them may indent them, put them into an array, or print lines of their own between them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.inputs.framing.json_text import sound
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.inputs import Line
    from otelmig.inputs.line import Where

__all__ = ["JsonObject", "JsonObjects"]

_LONGEST: Final = 1 << 14
"""At most this many characters belong to one object."""
_DECODER: Final = json.JSONDecoder()


class JsonObject(Struct, frozen=True):
    """One object, as it is printed and where it begins."""

    value: Any
    where: Where
    text: str


class JsonObjects(Struct):
    """Finds the objects of one stream, whose lines come in one by one; holds at most one object and one line.

    All lines of an object may also come in as one, with line feeds between them.

    A writer may drop what a slow pipe does not take, so after damage reading goes on at the next object that begins a
    line.
    """

    _lines: list[str] = field(default_factory=list)
    """What may still become an object, from the line of its brace on."""
    _places: list[tuple[int, Where]] = field(default_factory=list)
    """Where each of these lines stands, after how many line feeds of the text."""
    _rows: int = 0
    """Line feeds in the text of these lines."""
    _size: int = 0
    """Characters in these lines."""
    _indentation: str = ""
    """What stands before the brace of the first of these lines, if only blanks do."""
    _skipping: bool = False
    """Whether what was damaged goes on until an object begins a line."""

    @property
    def is_inside(self) -> bool:
        """Whether an object began that is not complete yet."""
        return bool(self._lines)

    def take(self, line: Line) -> Sequence[JsonObject | Where]:
        """Return what is complete with this line: objects, and the places of what is damaged."""
        text = line.text
        begins = text.startswith("{")
        if not self._lines:
            whole = _only_object(text) if begins and len(text) <= _LONGEST else None
            if whole is not None:
                self._skipping = False
                return (JsonObject(whole[0], line.where, text[: whole[1]]),)
            if not begins and ("{" not in text or self._skipping):
                return ()
            blanks = text[: len(text) - len(text.lstrip(" \t"))]
            self._indentation = blanks if text.startswith("{", len(blanks)) else ""
            ends = "}" in text
        else:
            # an object ends with a brace below the one that began it, or where the next one begins
            ends = begins or text.startswith(self._indentation + "}")
        self._skipping = False
        self._lines.append(text)
        self._places.append((self._rows, line.where))
        self._rows += text.count("\n") + 1
        self._size += len(text) + 1
        return list(self._objects(ended=False)) if ends or self._size > _LONGEST else ()

    def finish(self) -> Sequence[JsonObject | Where]:
        """Return what is left: the stream is over."""
        return list(self._objects(ended=True))

    def _objects(self, *, ended: bool) -> Iterator[JsonObject | Where]:
        """Take all objects off the text that are complete, or known to be damaged."""
        text = "\n".join((*self._lines, ""))
        position = 0
        while (position := text.find("{", position)) >= 0:
            window = text[position : position + _LONGEST]  # an error message of the decoder counts all lines before it
            try:
                value, size = _decoded(window)
            except (ValueError, RecursionError) as error:
                # an error where the text ends says that more must come; one before that will not go away
                wanting = isinstance(error, json.JSONDecodeError) and error.pos >= len(window.rstrip())
                if wanting and not ended and len(text) - position < _LONGEST:
                    break
                yield self._place(text, position)
                following = text.find("\n{", position)
                position = following + 1
                if following < 0:
                    self._skipping = True
                    break
                continue
            yield JsonObject(value, self._place(text, position), window[:size])
            position += size
        self._keep_from(text, len(text) if position < 0 or self._skipping else position)

    def _place(self, text: str, position: int) -> Where:
        row = text.count("\n", 0, position)
        begin, where = next(place for place in reversed(self._places) if place[0] <= row)
        return where if begin == row else replace(where, line=where.line + row - begin)

    def _keep_from(self, text: str, position: int) -> None:
        """Drop the text before ``position``."""
        if position == len(text):
            self._lines, self._places, self._rows, self._size = [], [], 0, 0
            return
        dropped, place = text.count("\n", 0, position), self._place(text, position)
        self._lines = [text[position:-1]]
        self._places = [(0, place), *((row - dropped, where) for row, where in self._places if row > dropped)]
        self._rows -= dropped
        self._size = len(text) - position


def _only_object(text: str) -> tuple[Any, int] | None:
    """Return the object that begins ``text``, and its size, if it is complete and no other one follows.

    That is how most objects come in, and takes a third of the time that it takes to look for several.
    """
    if "}" not in text:
        return None
    try:
        value, size = _decoded(text)
    except (ValueError, RecursionError):
        return None
    return (value, size) if text.find("{", size) < 0 else None


def _decoded(text: str) -> tuple[Any, int]:
    """Return the value that ``text`` begins with, and its size.

    Raises:
        ValueError: it begins with none, or with what may be the beginning of one.
        RecursionError: it is nested too deeply.
    """
    value, size = _DECODER.raw_decode(text)
    return (sound(value) if "\\u" in text else value), size
