"""What every input becomes: lines, each with its place, and what the transport says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Host", "Line", "Where"]


class Where(NamedTuple):
    """A place in an input: base name and line number, counted from 1 as text editors do."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine on which a line was written, as far as the transport names it."""

    name: str | None = None
    id: str | None = None
    """The machine id, where the transport carries it (journald)."""


class Line(NamedTuple):
    """One line of text, without its terminator and its transport's wrapping; undecodable bytes are escaped in hex.

    (A tuple, because there may be millions of them and a frozen dataclass takes three times as long to make.)
    """

    text: str
    where: Where
    writer: str = ""
    """Who wrote it, where the transport says so (a process id, a container); empty where all lines are of one."""
    received_ns: int | None = None
    """When its transport took it over (Unix epoch): at or after the moment at which it was written.

    The end of what the printed time stands for.
    """
    host: Host | None = None
    lookahead: Callable[[], Iterable[str]] | None = None
    """The next lines of the same input, wrapped as they stand: what a record of several lines goes on with."""
    run: Sequence[bytes] = ()
    """What is worth knowing of it and of each line of its kind that follows, where a scan takes them together."""
    last: str = ""
    """The last line of ``run``."""
