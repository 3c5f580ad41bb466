"""One file that is read while it grows, by a handle that is kept: its name may change or vanish meanwhile."""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import field

from otelmig.inputs.record import FileKey, LogRecord
from otelmig.inputs.unpacking.holes import HOLE, hole_at
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from otelmig.inputs.line import Host

__all__ = ["Checkpoint", "Content", "FollowedFile", "is_same", "print_of"]

_BLOCK: Final = 1 << 18
"""Bytes read at once."""
_LONGEST: Final = 1 << 20
"""Bytes of a line; what is longer is read in pieces."""
_GIVEN: Final = 1 << 16
"""Bytes of a line that are given out; no record that says something of a migration is longer."""
_HEAD: Final = 256
"""Bytes at the beginning of a file that tell it from others."""
_TAIL: Final = 128
"""The same before the place that was read last."""
_TICK_NS: Final = 20 * MILLISECOND_NS
"""A file system's clock may be behind by a tick of the kernel: a write is no later than its file's time and this."""


class Content(NamedTuple):
    """Tells a file's content up to a place from others: its first bytes, and those before that place."""

    size: int
    head: str
    tail: str


class Torn(NamedTuple):
    """The beginning of a line of which the rest may be written to a file that was emptied meanwhile."""

    begin: bytes
    end: int
    """Where its file ended."""
    record: LogRecord
    """What it is if the rest does not come."""


class Checkpoint(NamedTuple):
    """How far a file was read, and what it is recognised by."""

    path: str
    """The name by which its lines are known: that of the log, whatever a rotation made of it."""
    device: int
    inode: int
    epoch: str
    """Tells it from other files of that name."""
    offset: int
    """Where the next line begins."""
    number: int
    """Lines before that, empty ones included."""
    hole: int
    """Bytes of the holes before that, where its writer went on where it was, or its host crashed."""
    content: Content

    @property
    def key(self) -> str:
        """Tells it from all others."""
        return f"{self.path}\n{self.epoch}"

    def saved(self) -> str:
        """Return it as JSON."""
        return json.dumps(list(self))

    @classmethod
    def loaded(cls, text: str) -> Checkpoint:
        """Return what :meth:`saved` gave."""
        values: list[Any] = json.loads(text)
        return cls(*values)._replace(content=Content(*values[-1]))


class FollowedFile(Struct, kw_only=True, eq=False):
    """A file by the handle that it is read by."""

    descriptor: int
    key: FileKey
    """Its path is that of the log, whatever a rotation made of it."""
    host: Host
    device: int
    inode: int
    epoch: str
    place: str = ""
    """Where it is now; empty if it has no name that is known."""
    offset: int = 0
    number: int = 0
    hole: int = 0
    is_changed: bool = True
    """Whether it was read since it was last saved."""
    is_gone: bool = False
    """Whether its writer is known to be gone."""
    went_on: bool = False
    """Whether it grew after nobody had it open: who writes it closes it in between, which says nothing of its end."""
    nameless_s: float | None = None
    """Since when it has no name any more, and did not grow."""
    watch: int | None = None
    """Of the file itself, where no folder tells of it."""
    unfinished: bytes = b""
    """What was seen of a line that has no end."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """The holes inside it that were found, for whoever tells of them and clears this: line number, and bytes."""
    torn: Torn | None = None
    """The beginning of the first line, where a rotation emptied the file in the middle of one."""
    _content: Content = field(default_factory=lambda: Content(0, "", ""))
    _received_ns: int = 0
    _seen: tuple[int, int] = (-1, -1)
    """Its size and its time when it was read last."""

    def close(self) -> None:
        """Give up the handle."""
        os.close(self.descriptor)

    def checkpoint(self) -> Checkpoint:
        """Return how far it was read."""
        return Checkpoint(
            self.key.path, self.device, self.inode, self.epoch, self.offset, self.number, self.hole, self._content
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where it was read to before."""
        self.epoch = checkpoint.epoch
        self.offset, self.number, self.hole = checkpoint.offset, checkpoint.number, checkpoint.hole
        self._content = checkpoint.content

    def begin(self, epoch: str) -> None:
        """Read it from its beginning: it was emptied, perhaps in the middle of a line."""
        begun, self.unfinished = self.unfinished, b""
        self.torn = Torn(begun, self.offset + len(begun), self._record(begun, 0)) if begun else None
        self.epoch, self.offset, self.number, self.hole = epoch, 0, 0, 0
        self._content, self._seen = Content(0, "", ""), (-1, -1)
        self.is_changed, self.is_gone, self.went_on = True, False, False

    @property
    def content(self) -> Content:
        """What it is recognised by."""
        return self._content

    def is_intact(self) -> bool:
        """Return whether what was read is still there: it was not emptied, or written anew."""
        return is_same(self.descriptor, self._content)

    def has_grown(self) -> bool:
        """Return whether it changed since it was read last."""
        status = os.fstat(self.descriptor)
        return (status.st_size, status.st_mtime_ns) != self._seen

    def read(self, now_ns: int, *, until_end: bool = False) -> list[LogRecord]:
        """Return the lines that are there and were not read yet; one without an end only ``until_end``.

        Raises:
            OSError: it cannot be read.
        """
        status = os.fstat(self.descriptor)
        self._seen = (status.st_size, status.st_mtime_ns)
        self._received_ns = min(now_ns, max(status.st_mtime_ns, 0) + _TICK_NS)
        records: list[LogRecord] = []
        if not self.offset and not self._skip_hole(status.st_size, records):
            return []
        begin = self.offset
        self._read_lines(self.descriptor, records, until_end=until_end)
        if self.offset > begin:
            self._content = print_of(self.descriptor, self.offset, self._content)
            self.is_changed = True
            if self.is_gone:
                self.is_gone, self.went_on = False, True
        return records

    def read_other(self, descriptor: int, now_ns: int) -> list[LogRecord]:
        """Return the lines that were not read yet from a copy of the file."""
        self._received_ns = min(now_ns, max(os.fstat(descriptor).st_mtime_ns, 0) + _TICK_NS)
        records: list[LogRecord] = []
        self._read_lines(descriptor, records)
        return records

    def _read_lines(self, descriptor: int, records: list[LogRecord], *, until_end: bool = False) -> None:
        self.unfinished = b""
        while block := os.pread(descriptor, _BLOCK, self.offset):
            begin = 0 if block[0] == 0 else block.find(HOLE)
            if begin >= 0 and not block.rfind(b"\n", 0, begin) + 1:
                if not self._skip_inner_hole(descriptor, begin):
                    self.unfinished = block[:begin]
                    return
                continue
            block = block if begin < 0 else block[: block.rfind(b"\n", 0, begin) + 1]
            while b"\n" not in block and len(block) < _LONGEST:
                more = os.pread(descriptor, _BLOCK, self.offset + len(block))
                if not more:
                    break
                block += more
            end = block.rfind(b"\n") + 1
            if not end:
                if len(block) < _LONGEST and not until_end:
                    self.unfinished = block
                    return
                end = len(block)
            self._take(block[:end], records)
            if end == len(block) < _BLOCK and begin < 0:
                return  # it was read to its end, and not to that of a block

    def _skip_hole(self, size: int, records: list[LogRecord]) -> bool:
        """Go behind the NULs that a file begins with; return whether anything is there."""
        hole = hole_at(self.descriptor, 0)
        if hole >= size:
            return False
        self.hole = self.offset = hole
        if self.torn is not None and self.torn.end != hole:  # whoever writes now did not write the beginning
            records.append(self.torn.record._replace(received_ns=self._received_ns))
            self.torn = None
        return True

    def _skip_inner_hole(self, descriptor: int, begun: int) -> bool:
        """Go behind a hole, and the ``begun`` bytes of a line before it; return whether anything is there."""
        hole = hole_at(descriptor, self.offset + begun)
        if self.offset + begun + hole >= os.fstat(descriptor).st_size:
            return False
        if begun or hole >= len(HOLE):
            self.holes.append((self.number + 1, hole))
        self.offset += begun + hole
        self.hole += begun + hole
        return True

    def _take(self, block: bytes, records: list[LogRecord]) -> None:
        """Add what is no empty line of ``block``, which begins where the file was read to."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            self.number += 1
            begun, self.torn = self.torn, None
            record = self._record(line if begun is None else begun.begin + line, self.number, is_sequel=bool(records))
            if record.text:
                records.append(record._replace(size=len(line) - line.endswith(b"\r")))
            self.offset += len(line) + 1
        if not block.endswith(b"\n"):
            self.offset -= 1

    def _record(self, line: bytes, number: int, *, is_sequel: bool = False) -> LogRecord:
        raw = line.removesuffix(b"\r").lstrip(b"\0")
        return LogRecord(
            text=raw[:_GIVEN].decode("utf-8", "backslashreplace"),
            file=self.key,
            host=self.host,
            offset=self.offset - self.hole,
            number=number or self.number + 1,
            size=len(raw),
            received_ns=self._received_ns,
            is_sequel=is_sequel,
            epoch=self.epoch,
        )


def print_of(descriptor: int, size: int, before: Content | None = None) -> Content:
    """Return what tells the first ``size`` bytes of a file from others; ``before`` is the same of fewer, if known."""
    if before is not None and before.size >= _HEAD:
        head = before.head
    else:
        head = _digest(os.pread(descriptor, min(_HEAD, size), 0))
    begin = max(size - _TAIL, 0)
    tail = os.pread(descriptor, size - begin, begin)
    return Content(size, head, _digest(tail))


def is_same(descriptor: int, content: Content) -> bool:
    """Return whether a file begins with ``content``."""
    if not content.size:
        return True
    return os.fstat(descriptor).st_size >= content.size and print_of(descriptor, content.size) == content


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
