"""Whether a record is the next one of its file, by where it stood and by its number."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from otelmig.inputs.record import LogRecord

__all__ = ["Mark", "Succession", "is_earlier", "mark_of", "succession"]

_LONGEST_LINE_END: Final = 2
"""Bytes of CR and LF."""
_TRIMMED: Final = 64
"""Bytes of a line that a sender may trim: blanks at its ends."""
_LONG: Final = 1 << 16
"""Bytes of a line from which on its sender may have cut it short."""
_REPLACED: Final = "\ufffd"
_REPLACED_EXTRA: Final = 2
"""Bytes that a byte that is no text has more when it is replaced."""


class Mark(NamedTuple):
    """A place in a file: a line that is known, without its text."""

    offset: int
    end: int
    """Where its text ends, at the latest; its line end comes after it."""
    slack: int
    """By how many bytes it may end earlier: bytes that are no text grow when they are replaced."""
    number: int | None
    line: int
    """Its number in its file, counted from 1."""
    received_ns: int | None


class Succession(Enum):
    """What lies between two records of a file."""

    NEXT = auto()
    """Nothing but line ends: the second is the next line that is not empty."""
    LATER = auto()
    """Lines that are not known."""
    NONE = auto()
    """The second does not come after the first, or not in the same file."""


def mark_of(record: LogRecord, offset: int, line: int) -> Mark:
    """Return the place of ``record``, which stands at ``offset`` and is the ``line``-th of its file."""
    slack = record.text.count(_REPLACED) * _REPLACED_EXTRA
    return Mark(offset, offset + record.size, slack, record.number, line, record.received_ns)


def is_earlier(record: LogRecord, mark: Mark) -> bool:
    """Return whether ``record`` was read before what stands at ``mark``: it hardly comes after it in one file."""
    return record.received_ns is not None and mark.received_ns is not None and record.received_ns < mark.received_ns


def succession(before: Mark, record: LogRecord, line_end: int | None) -> tuple[Succession, int]:
    """Return what lies between ``before`` and ``record``, and how many lines, at least, are not known.

    ``line_end`` is how many bytes end a line of this file, if that is known; a LF alone may end some. A record that
    cannot be told from the next one of another file of that name (its number does not go on) is ``LATER``, with no line
    between.
    """
    offset = record.offset or 0
    gap = offset - before.end
    most = gap + before.slack
    # gap..most: bytes between the end of the one text and the begin of the other, a line end among them
    if offset <= before.offset or most < 1:
        return Succession.NONE, 0
    adjoins = gap <= _LONGEST_LINE_END
    step = None if record.number is None or before.number is None else record.number - before.number
    if step is None:
        return (Succession.NEXT, 0) if adjoins else (Succession.LATER, 1)
    if step == 1:
        return _of_neighbours(before, gap)
    if step < 1:
        return Succession.LATER, 0 if adjoins else 1
    if gap <= step * (line_end or 1) and step <= most:
        return Succession.NEXT, 0  # each line between is empty
    return (Succession.LATER, step - 1) if most >= step else (Succession.NONE, 0)


def _of_neighbours(before: Mark, gap: int) -> tuple[Succession, int]:
    """Return what lies between two records that were counted one after the other."""
    if gap <= _TRIMMED:
        return Succession.NEXT, 0
    return (Succession.NEXT if before.end - before.offset >= _LONG else Succession.LATER), 1
