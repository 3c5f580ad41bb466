"""What stands before the lines of a log that somebody pasted, quoted, or had stamped by a tool that nobody knows.

Where a hypervisor's line begins, the hypervisor says; what is before it is constant (an indentation, a quotation mark)
or varies in its digits and a few words (a stamp, the name of a job). It is looked for at the beginning of a file, once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.prefixes import RFC3339, Framed, Framing, rfc3339_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["margin_of"]

_WIDEST: Final = 512
"""Columns in which a line of the hypervisor may begin."""
_SHAPES: Final = 8
"""At most this many kinds of margin are told apart: more are no margins."""
_STAMP: Final = re.compile(RFC3339)
_WORD: Final = re.compile(r"[A-Za-z_][\w.@/-]*")
_OF_TIME: Final = re.compile(
    r"(?i:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun|am|pm|utc|gmt|t|z)\Z"
)
"""Words of a date: they do not say who wrote a line."""
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\nrt])')
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def margin_of(texts: Sequence[str], begins: Iterable[re.Pattern[str]]) -> Framing | None:
    """Return what stands before the hypervisors' lines in ``texts``, the first lines of a file; None for nothing.

    ``begins`` match where a line of theirs begins.
    """
    begin = next((pattern for pattern in begins if any(pattern.search(text, 0, _WIDEST) for text in texts)), None)
    if begin is None:
        return None
    margins = [text[: match.start()] for text in texts if (match := begin.search(text, 0, _WIDEST)) is not None]
    if not any(margins):
        return None
    shapes = {re.sub(r"\d+", "0", margin): margin for margin in margins}
    bare = _bare(shapes) if len(shapes) <= _SHAPES else None
    named = 1 < len({_words(margin) for margin in margins}) <= _SHAPES

    def unwrap(text: str) -> Framed | None:
        match = begin.search(text, 0, _WIDEST)
        if match is None:
            end = bare.match(text) if bare is not None else None
            return None if end is None or not end.end() else Framed(text=text[end.end() :])
        margin, inner = text[: match.start()], text[match.start() :]
        if not margin:
            return None
        if margin.endswith('="'):  # a value of a logger that quotes
            quoted = _QUOTED.match(text, match.start() - 1)
            inner = (
                inner if quoted is None else _ESCAPED.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted[1])
            )
        stamp = _STAMP.search(margin)
        return Framed(
            text=inner,
            writer=_words(margin) if named else "",
            received_ns=None if stamp is None else rfc3339_ns(stamp[0]),
        )

    return Framing(name="a margin", unwrap=unwrap, innermost=True)


def _bare(shapes: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for the margin of a line that goes on with what the line before it said."""
    kinds = sorted(shapes, key=len, reverse=True)
    return re.compile("|".join(re.escape(kind).replace("0", r"\d+") for kind in kinds))


def _words(margin: str) -> str:
    """Return the words of a margin that are none of a time: what may say who wrote the line."""
    without = _STAMP.sub(" ", margin)
    return "/".join(word for word in _WORD.findall(without) if not _OF_TIME.match(word))
