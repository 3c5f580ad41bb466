"""Where the lines of a rebuilt file stood, and what else is known of each besides its text."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import replace

from otelmig.inputs.line import Where
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelmig.inputs.line import Host, Line

__all__ = ["LinePlaces"]


class LinePlaces(Struct, kw_only=True):
    """What is known of the lines of a file that was rebuilt from records, in their order."""

    host: Host | None
    numbers: array[int] = field(default_factory=lambda: array("q"))
    """The number of each in its own file."""
    received_ns: array[int] = field(default_factory=lambda: array("q"))
    """When each was read there; 0 where that is not known."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Before which of them lines are missing, counted from 0, and how many."""

    def add(self, number: int, received_ns: int | None, lost_before: int) -> None:
        """Add the next line."""
        if lost_before:
            self.lost.append((len(self.numbers), lost_before))
        self.numbers.append(number)
        self.received_ns.append(received_ns or 0)

    def placed(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield some of the lines, in their order, with what is known of them."""
        losses = chain(self.lost, ((len(self.numbers), 0),))
        place, lost = next(losses)
        for line in lines:
            at = line.where.line - 1
            missing = 0
            while place <= at:
                missing += lost
                place, lost = next(losses)
            yield replace(
                line,
                where=Where(line.where.file, self.numbers[at]),
                received_ns=self.received_ns[at] or None,
                host=self.host,
                lost_before=missing,
            )
