"""Recordings as streams of lines, to be fed to a reader in every way in which lines can come in."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace
from trace_invariants import CORPUS

from otelmig.hypervisors.cloud_hypervisor import CloudHypervisor
from otelmig.hypervisors.log_options import LogOptions
from otelmig.inputs.opening import open_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors import Reader
    from otelmig.inputs import InputLog, Line, Stream
    from otelmig.migration.side import Role, Side

__all__ = [
    "RECORDINGS",
    "Fed",
    "feed",
    "filtered",
    "finished_sides",
    "growing",
    "inputs_of",
    "new_reader",
    "unfiltered",
]

RECORDINGS = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
Fed = dict[tuple[str, "Role", int], "Side"]
"""Sides in the form in which they were emitted last, by process, role and number."""
_OPTIONS = LogOptions()


def new_reader() -> Reader:
    """Return a reader that has read nothing."""
    return CloudHypervisor().reader(_OPTIONS)


@cache
def inputs_of(recording: str) -> Sequence[InputLog]:
    """Return the logs, event streams and crash reports of a recording."""
    kinds = (".log", ".events.json", ".stderr")
    inputs, errors, _ = open_inputs(path for path in (CORPUS / recording).iterdir() if path.name.endswith(kinds))
    assert not errors
    return [log for log in inputs if CloudHypervisor().recognises(log.stream.head, _OPTIONS)]


def growing(log: InputLog) -> Stream:
    """Return the stream of a log that still grows: it cannot be searched, and was not last written at any time."""
    stream = log.stream
    return replace(stream, head=replace(stream.head, search=None), mtime_ns=None)


def filtered(log: InputLog, stream: Stream) -> list[Line]:
    """Return the lines of a log that a scan gives, with what it offers besides."""
    line_filter = CloudHypervisor().line_filter(log.stream.head, _OPTIONS)
    lines = log.objects(stream) if line_filter is None else log.lines(line_filter, stream)
    return [_kept(line) for line in lines]


def _kept(line: Line) -> Line:
    """A scan looks ahead while it stands at a line: keep what is to be read later."""
    if line.lookahead is None:
        return line
    ahead = tuple(line.lookahead())
    return replace(line, lookahead=lambda: ahead)


def unfiltered(log: InputLog, stream: Stream) -> list[Line]:
    """Return every line of a log, and nothing that a tailer does not have when it gives them out one by one."""
    whole = CloudHypervisor().line_filter(log.stream.head, _OPTIONS) is None
    lines = log.whole_lines(stream) if whole else log.lines(None, stream)
    return [replace(line, lookahead=None) for line in lines]


def finished_sides(inputs: Iterable[InputLog]) -> Fed:
    """Return the sides of finished files: what is no log first, each file from its beginning to its end."""
    reader = new_reader()
    emitted: list[Side] = []
    for log in sorted(inputs, key=lambda log: log.name.endswith(".log")):
        for line in filtered(log, log.stream):
            emitted += reader.take(line)
        emitted += reader.end(log.stream, log.tail())
    emitted += reader.finish()
    assert all(side.final for side in emitted)
    return _last_forms(emitted)


def feed(reader: Reader, lines: Iterable[Line], tails: Iterable[InputLog] = ()) -> Fed:
    """Feed lines to a reader that then has to finish; return the sides in their last form."""
    emitted: list[Side] = []
    for line in lines:
        emitted += reader.take(line)
    for log in tails:
        emitted += reader.end(log.stream, log.tail())
    emitted += reader.finish()
    return _last_forms(emitted)


def _last_forms(sides: Iterable[Side]) -> Fed:
    """A side that is never final was an event stream's, which turned out to be a log's."""
    return {(side.vmm.key, side.role, side.attempt): side for side in sides if side.final}
