"""What is known of the lines of a file that were given out already: little, however many they were."""

from __future__ import annotations

from enum import Enum, auto
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs.rebuilding.succession import Mark

__all__ = ["Known", "KnownLines", "Stretch", "digest_of"]

_RECENT: Final = 256
"""At most this many lines are known by their digests, besides the first ones."""
_FIRST: Final = 32
"""So many lines at the beginning of a file are known for as long as the file is."""
_STRETCHES: Final = 32
"""At most this many stretches are told apart; what is missing between the oldest ones is given up."""
_DIGEST_BYTES: Final = 6


class Known(Enum):
    """What is known of a line at one place of a file."""

    SAME = auto()
    """This very line stands there."""
    OTHER = auto()
    """Another line stands there, or none begins there."""
    PAST = auto()
    """A line was given out there; which one it was is not known any more."""
    UNKNOWN = auto()
    """Nothing is known of this place."""


class Stretch(Struct):
    """Lines one after the other, between which none is missing."""

    begin: int
    """Where its first line begins."""
    number: int | None
    """The number of its first line, as its sender counted."""
    last: Mark
    """Its last line."""
    lost: int = 0
    """How many lines were said to be missing before it and did not come since."""


class KnownLines(Struct):
    """The lines of one file that were given out: where they stood, and digests of the first and the latest ones."""

    stretches: list[Stretch] = field(default_factory=list)
    """In the order of the file."""
    first: dict[int, tuple[str, int | None]] = field(default_factory=dict)
    """The digests of the first lines, and when they were read, by their offsets."""
    recent: dict[int, str] = field(default_factory=dict)
    """The digests of the lines that were given out last, by their offsets, in the order in which they were."""
    recent_from: int = 0
    """The digest of each line that begins here or behind is known."""

    def known(self, offset: int, digest: str) -> Known:
        """Return what is known of a line with that ``digest`` at ``offset``."""
        there = self.recent.get(offset) or self.first.get(offset, ("",))[0]
        if there:
            return Known.SAME if there == digest else Known.OTHER
        stretch = self.stretch_before(offset)
        if stretch is None or offset >= stretch.last.end:
            return Known.UNKNOWN
        return Known.PAST if offset < self.recent_from else Known.OTHER

    def stretch_before(self, offset: int) -> Stretch | None:
        """Return the stretch that begins at ``offset``, or last before it."""
        return next((stretch for stretch in reversed(self.stretches) if stretch.begin <= offset), None)

    def stretch_after(self, offset: int) -> Stretch | None:
        """Return the first stretch that begins behind ``offset``."""
        return next((stretch for stretch in self.stretches if stretch.begin > offset), None)

    def add(self, mark: Mark, digest: str, lost: int, *, adjoins: bool) -> None:
        """Add a line; if it ``adjoins``, it goes on from the stretch before it."""
        offset = mark.offset
        if len(self.first) < _FIRST:
            self.first[offset] = digest, mark.received_ns
        self.recent[offset] = digest
        while len(self.recent) > _RECENT:
            evicted = next(iter(self.recent))
            del self.recent[evicted]
            self.recent_from = max(self.recent_from, evicted + 1)
        before = self.stretch_before(offset)
        if adjoins and before is not None:
            before.last = mark
            return
        at = 0 if before is None else self.stretches.index(before) + 1
        self.stretches.insert(at, Stretch(offset, mark.number, mark, lost))
        if len(self.stretches) > _STRETCHES:
            oldest, second = islice(self.stretches, 2)
            oldest.last = second.last
            del self.stretches[1]

    def close(self, stretch: Stretch) -> None:
        """Let ``stretch`` go on with the one after it: nothing is missing between the two."""
        at = self.stretches.index(stretch) + 1
        stretch.last = self.stretches[at].last
        del self.stretches[at]


def digest_of(text: str) -> str:
    """Return what tells a line from others at its place."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
