"""The picture in the README: the waterfall of the recorded migration, as a terminal shows it, in SVG.

Each line is stretched to a fixed number of columns, so that bars stand below each other in whatever font a page has.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["waterfall_svg"]

_COLUMN: Final = 8
_LINE: Final = 18
_MARGIN: Final = 16
_FONTS: Final = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
_CODE: Final = re.compile(r"\x1b\[(\d*)m")
_COLORS: Final = {
    "0": "#d4d4d4",
    "1": "#ffffff",
    "2": "#9a9a9a",
    "31": "#f48771",
    "32": "#89d185",
    "33": "#e2c08d",
    "35": "#d48fd0",
    "36": "#4ec9d4",
}
"""Colours of a dark terminal, by the number in its escape sequence."""


def waterfall_svg(text: str) -> str:
    """Return the picture of a coloured terminal text."""
    lines = text.rstrip("\n").split("\n")
    columns = max(len(_CODE.sub("", line)) for line in lines)
    width, height = columns * _COLUMN + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONTS}" font-size="13">',
        "<title>A live migration as otelmig shows it: its phases, the parts of its downtime, the blackout</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#1e1e1e"/>',
    ]
    color = "0"
    for number, line in enumerate(lines):
        y = _MARGIN + number * _LINE + 13
        for piece, start, own in _pieces(line, color):
            color = own
            if piece.strip():
                parts.append(_text(piece, start, y, own))
    return "\n".join((*parts, "</svg>", ""))


def _pieces(line: str, color: str) -> Iterator[tuple[str, int, str]]:
    """Yield each piece of one colour, in which column it begins, and its colour."""
    codes = list(_CODE.finditer(line))
    column = 0
    ends = [(0, 0), *(code.span() for code in codes), (len(line), len(line))]
    for number, ((_, begin), (end, _)) in enumerate(pairwise(ends)):
        if number:
            color = codes[number - 1][1] or "0"
        yield line[begin:end], column, color
        column += end - begin


def _text(piece: str, column: int, y: int, color: str) -> str:
    """Return one piece, without the spaces at its ends, as wide as its columns."""
    column += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    weight = ' font-weight="bold"' if color == "1" else ""
    place = f'x="{_MARGIN + column * _COLUMN}" y="{y}" textLength="{len(piece) * _COLUMN}"'
    return (
        f'<text {place} lengthAdjust="spacingAndGlyphs" xml:space="preserve" fill="{_COLORS[color]}"{weight}>'
        f"{escape(piece)}</text>"
    )
