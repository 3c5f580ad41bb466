"""What every input becomes: lines, each with its place, its stream, and what its framing says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.inputs.line_filter import LineFilter

__all__ = ["MOST_ADDRESSES", "NOWHERE", "NO_STREAM", "Head", "Host", "Line", "Stream", "Where", "common_stem"]


class Where(Struct, frozen=True):
    """A place in an input: its name and the line number, counted from 1 as text editors do."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


NOWHERE: Final = Where(file="", line=0)
"""The place of a text that is only tried out."""
MOST_ADDRESSES: Final = 1_024
"""At most this many addresses of a host are kept."""


class Host(Struct, frozen=True, kw_only=True):
    """The machine on which a line was written, as far as the framing names it."""

    name: str | None = None
    id: str | None = None
    """The machine id, where the framing carries it (journald, OTLP)."""
    ips: tuple[str, ...] = ()
    """Its own addresses as printed, without those of loopback; empty where nobody lists them."""


class Head(Struct, frozen=True, kw_only=True):
    """The beginning of a stream: what a hypervisor recognises its own streams by."""

    name: str
    """The name of the stream, for messages."""
    data: bytes
    """The first bytes as they stand in the file, decompressed."""
    lines: tuple[str, ...]
    """The first lines, without what their framing put around them."""
    search: Callable[[LineFilter], Iterable[str]] | None = None
    """The lines of the whole input that pass a filter; None where an input cannot be searched, because it grows."""


class Stream(Struct, frozen=True, kw_only=True):
    """One log (with its rotations) or event stream: what a line is a line of."""

    key: str
    """Tells the stream from every other of a run; may be a path, so it never leaves the machine."""
    name: str
    """The base name; with the folders that tell it from others of that name, where there are any."""
    stem: str
    """The key without the name's last suffix: what belongs to one process is often called alike."""
    head: Head
    mtime_ns: int | None
    """When a finished file was last written (Unix epoch); None for a stream that still grows."""


def common_stem(stem: str) -> str:
    """Return what streams of one process share: ``source`` is that of ``source.log`` and ``source.events.json``."""
    folder, slash, name = stem.rpartition("/")
    return folder + slash + name.partition(".")[0]


NO_STREAM = Stream(key="", name="", stem="", head=Head(name="", data=b"", lines=()), mtime_ns=None)
"""The stream of a line that nobody feeds to a reader."""


class Line(Struct, frozen=True):
    """One line of text, without its terminator and its framing; undecodable bytes are escaped in hex."""

    text: str
    where: Where
    writer: str = ""
    """Who wrote it, where the framing says so (a process id, a container); empty where all lines are of one."""
    received_ns: int | None = None
    """When whatever framed it took it over (Unix epoch): at or after the moment at which it was written.

    The end of what the printed time stands for.
    """
    host: Host | None = None
    lookahead: Callable[[], Iterable[str]] | None = None
    """The next lines of the same input, wrapped as they stand: what a record of several lines goes on with.

    None where nobody can look ahead: then the next lines of the stream are fed one by one, those that a filter would
    leave out, too.
    """
    run: Sequence[bytes] = ()
    """What is worth knowing of it and of each line of its kind that follows, where a scan takes them together."""
    last: str = ""
    """The last line of ``run``."""
    stream: Stream = NO_STREAM
    """The log or event stream that it stands in."""
    lost_before: int = 0
    """Lines of the stream that are known to be missing between the line that was fed before and this one.

    Whoever feeds says so; it is never inferred from line numbers, because a filter skips lines.
    """
    assumed: tuple[str, ...] = ()
    """What ``received_ns`` lacked and had to be assumed (a year, a zone), in words."""
