"""Rotations of one log, given in any order: put back into the order in which they were written.

Where they are there at once, their names tell: ``ch.log``, ``ch.log.1``, ``ch.log.2.gz`` (the higher the number, the
older), ``ch.log-20261125.xz`` (the earlier the date, the older), as logrotate names them; the one without a suffix is
the newest. Where they come one after the other, so do the times in their lines, and the times at which somebody began
to read them.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from otelmig.printable import shown_name
from otelmig.units import MICROSECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelmig.inputs.files import InputFile

__all__ = [
    "Age",
    "distinct_ends",
    "distinctly_named",
    "is_packed",
    "log_of",
    "number_among",
    "rotations",
    "time_of",
    "written_order",
]

_COMPRESSED: Final = re.compile(r"\.(?:gz|xz|zst|bz2)$")
_NUMBERED: Final = re.compile(r"^(?P<base>.{1,512})\.(?P<number>\d{1,4})$")
_DATED: Final = re.compile(
    r"^(?P<base>.{1,512}?)[-.](?P<date>\d{8}(?:[-T]?\d{2,6})?|\d{4}-\d\d-\d\d(?:[-T]\d{2,6})?|\d{10})$"
)


_PathT = TypeVar("_PathT", bound=PurePath)


def _base_name(name: str) -> tuple[str, tuple[int, str]]:
    """Return the log that ``name`` is a rotation of, and its age: the smaller, the earlier it was written."""
    plain = _COMPRESSED.sub("", name)
    if (numbered := _NUMBERED.match(plain)) is not None:
        return numbered["base"], (1, f"{9999 - int(numbered['number']):04d}")
    if (dated := _DATED.match(plain)) is not None:
        return dated["base"], (0, re.sub(r"\D", "", dated["date"]))
    return plain, (2, "")


@lru_cache(maxsize=8192)
def log_of(name: str) -> str:
    """Return the name of the log that ``name`` is a rotation of, or may be: ``ch.log`` of ``ch.log.1``."""
    return _base_name(name)[0]


def written_order(name: str) -> tuple[int, str]:
    """Return what orders the rotations of one log: the smaller, the earlier it was written."""
    return _base_name(name)[1]


def is_packed(name: str) -> bool:
    """Return whether ``name`` is that of a compressed file: nothing is written to its end."""
    return _COMPRESSED.search(name) is not None


def rotations(files: Iterable[InputFile]) -> Iterable[tuple[str, Sequence[InputFile], list[str]]]:
    """Yield each log's name, its files in the order in which they were written, and notes; copies are left out."""
    groups: dict[tuple[str, str], list[tuple[tuple[int, str], InputFile]]] = defaultdict(list)
    for file in files:
        base, age = _base_name(file.name)
        groups[str(file.place.parent), base].append((age, file))
    for (_, base), group in groups.items():
        ordered = sorted(group, key=lambda item: (item[0], item[1].compression is not None, item[1].name))
        parts: list[InputFile] = []
        notes: list[str] = []
        for (age, file), (before, other) in zip(ordered, [((-1, ""), None), *ordered], strict=False):
            if other is not None and age == before and other.head == file.head:
                notes.append(f"{file.name}: the same as {other.name}, read once")
            else:
                parts.append(file)
        yield (base if len(parts) > 1 else parts[0].name), parts, notes


def distinctly_named(files: Sequence[InputFile]) -> list[InputFile]:
    """Return ``files`` with the folders in their names that tell logs of one name apart, as few as do.

    ``hostA/ch.log`` and ``hostB/ch.log``, for instance; names that are distinct stay as they are.
    """
    by_base: dict[str, list[InputFile]] = defaultdict(list)
    for file in files:
        by_base[log_of(file.name)].append(file)
    prefixes = {}
    for base, alike in by_base.items():
        folders = {_folder(file) for file in alike} if len(alike) > 1 else ()
        if len(folders) > 1:
            prefixes[base] = distinct_ends(folders)
    return [
        file if (ends := prefixes.get(log_of(file.name))) is None else _named_after(file, ends[_folder(file)])
        for file in files
    ]


def _folder(file: InputFile) -> Path:
    """Return the folder that the name of ``file`` is relative to."""
    place = Path(os.path.abspath(file.place))  # noqa: PTH100 - links stay as they were named
    return place.parents[file.name.count("/")]


def _named_after(file: InputFile, folder: PurePath) -> InputFile:
    return replace(file, name=f"{shown_name(folder)}/{file.name}".replace("//", "/"))


def distinct_ends(folders: Iterable[_PathT]) -> dict[_PathT, PurePath]:
    """Return of each folder the shortest end of its path that no other one ends with."""
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for folder in folders:
        for length in range(1, len(folder.parts) + 1):
            counts[folder.parts[-length:]] += 1
    return {
        folder: PurePath(
            *next(
                (end for length in range(1, len(folder.parts) + 1) if counts[end := folder.parts[-length:]] == 1),
                folder.parts,
            )
        )
        for folder in folders
    }


_DATE_AND_TIME: Final = re.compile(r"\W?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(Z|[+-]\d\d:?\d\d)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(text: str) -> int | None:
    """Return what time a line begins with (Unix epoch, ns; UTC where it names no zone); None if it begins otherwise."""
    match = _DATE_AND_TIME.match(text)
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or 'Z'}")
    except ValueError:
        return None
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * MICROSECOND_NS


class Age(NamedTuple):
    """What tells how old a file of a log is, compared with its others."""

    name: str
    """The name that it had last."""
    written_ns: int | None
    """The time in its first line that has one."""
    read_ns: int | None
    """When somebody began to read it, by the clock of its machine."""

    def is_before(self, other: Age) -> bool:
        """Return whether this file is the older one, as far as anything tells; what comes first otherwise is older."""
        if self.written_ns is not None and other.written_ns is not None and self.written_ns != other.written_ns:
            return self.written_ns < other.written_ns
        apart_ns = None if self.read_ns is None or other.read_ns is None else other.read_ns - self.read_ns
        if apart_ns is not None and abs(apart_ns) > _ONE_LOOK_NS:
            return apart_ns > 0  # the one was not there yet when the other was read, whatever it is called now
        own, others = written_order(self.name), written_order(other.name)
        return own < others if own != others else (apart_ns or 0) > 0


_ONE_LOOK_NS: Final = 60 * SECOND_NS
"""Files that are there when somebody begins to read are all begun within this time."""
_FIRST: Final = 1 << 14
_STEP: Final = 16
_LARGEST: Final = (1 << 19) - 1


def number_among(age: Age, others: Mapping[int, Age]) -> int:
    """Return a number for a file, so that the numbers of a log's files are in the order of their age.

    There is room for rotations that are missing yet. Where there is no room any more, a file counts as the newest.
    """
    older = max((number for number, other in others.items() if not age.is_before(other)), default=0)
    newer = min((number for number in others if number > older), default=0)
    if not others:
        return _FIRST
    if not newer:
        number = older + _STEP * _rotations(others[older], age)
        return number if number <= _LARGEST else older + 1
    guesses = [newer - _STEP * _rotations(age, others[newer])]
    if older:
        guesses.append(older + _STEP * _rotations(others[older], age))
    guesses.append((older + newer) // 2)
    return next((guess for guess in guesses if older < guess < newer), max(others) + _STEP)


def _rotations(older: Age, newer: Age) -> int:
    """Return how many times the older file was rotated more often, as far as their names tell; at least 1."""
    counts = []
    for age in (older, newer):
        numbered = _NUMBERED.match(_COMPRESSED.sub("", age.name))
        counts.append(int(numbered["number"]) + 1 if numbered is not None else 0)
    if any(_DATED.match(_COMPRESSED.sub("", age.name)) for age in (older, newer)):
        return 1 if _DATED.match(_COMPRESSED.sub("", newer.name)) else 1 << 6
    return max(counts[0] - counts[1], 1)
