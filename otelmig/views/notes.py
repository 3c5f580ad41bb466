"""Notes as a person reads them: many that say the same of different logs or processes are one line with a count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["summarized"]

_MOST_ALIKE: Final = 3
"""At most this many notes that say the same are shown one by one."""
_WORD: Final = re.compile(r"[^\s:;,()]+")
_NAME: Final = re.compile(r"[\d.@#/\[\]]")
"""A sign that a word is a number, or the name of a log, a process or an attempt."""
_NAMES: Final = re.compile(r"\*(?:, \*)+")


def summarized(notes: Iterable[str]) -> Iterator[str]:
    """Yield ``notes``, but where many differ in names and numbers only, the first of them, and how many there are.

    >>> list(summarized([f"ch.log#{number}: no year" for number in range(2, 100)]))
    ['ch.log#2: no year (97 more notes say the same of others)']
    """
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(_without_names(note), []).append(note)
    for first, *others in alike.values():
        if len(others) < _MOST_ALIKE:
            yield first
            yield from others
        else:
            yield f"{first} ({len(others)} more notes say the same of others)"


def _without_names(note: str) -> str:
    """Return what a note says, whatever it says it of."""
    return _NAMES.sub("*", _WORD.sub(lambda word: "*" if _NAME.search(word[0]) else word[0], note))
