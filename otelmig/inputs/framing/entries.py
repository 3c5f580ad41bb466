"""Entries that have a field for the line: which of them are wanted, and what their record goes on with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otelmig.inputs.line import Line, Where
    from otelmig.inputs.line_filter import LineFilter

__all__ = ["in_json", "one_a_line", "windowed"]

_WINDOW: Final = 64
"""At most this many entries are looked ahead for what a record goes on with."""


def in_json(wanted: LineFilter | None, *also: re.Pattern[bytes]) -> LineFilter | None:
    r"""Return a filter for JSON in which lines that are ``wanted`` may be, or what ``also`` matches.

    Escaped characters may hide what is looked for, but for ``<``, ``>`` and ``&``, which some always escape.
    """
    if wanted is None:
        return None
    either = b"|".join((*(pattern.pattern for pattern in also), wanted.pattern.pattern, rb"\\u(?!003[ceCE]|0026)"))
    return replace(wanted, pattern=re.compile(either), run_pattern=None)


def one_a_line(
    lines: Iterable[Line], wanted: LineFilter | None, read: Callable[[str, Where], Line | None]
) -> Iterator[Line]:
    """Yield the lines that ``read`` finds in entries of one line each, those that are ``wanted``."""
    for line in lines:
        entry = read(line.text, line.where) if line.text else None
        if entry is not None and _matches(entry, wanted):
            yield replace(entry, lookahead=_following(line, entry.writer, read), stream=line.stream)


def _following(line: Line, writer: str, read: Callable[[str, Where], Line | None]) -> Callable[[], Iterable[str]]:
    """Yield the rest of what was split at a line feed: the next entries of the same writer."""

    def lookahead() -> Iterator[str]:
        for raw in line.lookahead() if line.lookahead is not None else ():
            after = read(raw, line.where)
            if after is not None and after.writer == writer:
                yield after.text

    return lookahead


def windowed(entries: Iterable[Line], wanted: LineFilter | None) -> Iterator[Line]:
    """Yield those of ``entries`` that are ``wanted``, each with those after it to look ahead to."""
    window: list[Line] = []
    for line in entries:
        window.append(line)
        if len(window) > _WINDOW:
            yield from _given(window, wanted)
            window.pop(0)
    while window:
        yield from _given(window, wanted)
        window.pop(0)


def _given(window: list[Line], wanted: LineFilter | None) -> Iterator[Line]:
    first = window[0]
    if _matches(first, wanted):
        rest = tuple(line.text for line in window[1:] if line.writer == first.writer)
        yield replace(first, lookahead=lambda: rest)


def _matches(line: Line, wanted: LineFilter | None) -> bool:
    return wanted is None or wanted.matches(line.text.encode("utf-8", "surrogatepass"))
