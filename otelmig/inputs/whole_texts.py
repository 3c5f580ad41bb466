"""Files that are no logs, many lines at once: statistics and events may be printed over several lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.inputs.files import InputFile

__all__ = ["texts_of", "whole_texts"]

_LONGEST: Final = 1 << 20
"""Bytes of a line of what is no log, about; no event and no statistics are longer."""


def texts_of(parts: Sequence[InputFile]) -> Iterator[str]:
    """Yield the text of each line, without its line feed; what is longer than any event is cut."""
    for text in whole_texts(parts):
        yield from text.split("\n")


def whole_texts(parts: Sequence[InputFile]) -> Iterator[str]:
    """Yield the text of many lines at once, without the last line feed."""
    begun: list[bytes] = []
    size = 0
    for chunk in (chunk for part in parts for chunk in part.chunks()):
        end = chunk.rfind(b"\n")
        if end >= 0:
            begun.append(chunk[:end])
            yield b"".join(begun).decode("utf-8", "backslashreplace")
            begun.clear()
            size = 0
        if size <= _LONGEST:
            begun.append(chunk[end + 1 :])
            size += len(chunk) - end - 1
    if any(begun):
        yield b"".join(begun).decode("utf-8", "backslashreplace")
