"""What a Collector's file exporter wrote: the files of many hosts, line by line -> these files, as inputs.

Requests come in any order, and some come again; each file is rebuilt by where its lines stood in it. Memory does not
grow with the texts: they wait in a temporary file.
"""

from __future__ import annotations

import math
from array import array
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.inputs.files import with_head
from otelmig.inputs.framing.otlp_logs import is_otlp, otlp_records
from otelmig.inputs.line_places import LinePlaces
from otelmig.inputs.unpacking.read_once import TemporaryFile
from otelmig.printable import shown_name
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from otelmig.inputs.files import InputFile
    from otelmig.inputs.line import Host
    from otelmig.inputs.rebuilding import Placed
    from otelmig.inputs.record import FileKey

__all__ = ["with_collected"]

_GENERATION: Final = 48
"""Bits of an offset: no file is longer."""


class _Lines(Struct, kw_only=True):
    """The lines of all files of one name, as they were given out: where each lies in the temporary file."""

    key: FileKey
    host: Host | None = None
    order: array[int] = field(default_factory=lambda: array("q"))
    """What they are ordered by."""
    begins: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("q"))
    received_ns: array[int] = field(default_factory=lambda: array("q"))
    lost: array[int] = field(default_factory=lambda: array("q"))

    @property
    def base(self) -> str:
        """The name of the file without its folder."""
        return PurePosixPath(self.key.path).name or self.key.path

    def add(self, placed: Placed, begin: int, size: int) -> None:
        """Add a line, of which ``size`` bytes were written at ``begin``."""
        self.host = placed.record.host or self.host
        self.order.append((placed.file.generation << _GENERATION) + placed.position)
        self.begins.append(begin)
        self.sizes.append(size)
        self.numbers.append(placed.line)
        self.received_ns.append(placed.record.received_ns or 0)
        self.lost.append(placed.lost_before)


def with_collected(files: Sequence[InputFile], notes: list[str]) -> list[InputFile]:
    """Return ``files`` with those that are in copies of requests in the place of these.

    A copy stays an input where it has records that do not say in which file they stood.
    """
    copies = [file for file in files if is_otlp(file.head)]
    if not copies:
        return list(files)
    from otelmig.inputs.rebuilding import RebuiltFiles  # noqa: PLC0415 - only where there are such copies

    rebuilt = RebuiltFiles(patience_s=math.inf)
    by_file: dict[FileKey, _Lines] = {}
    rest: list[InputFile] = []
    with TemporaryFile() as texts:
        for copy in sorted(copies, key=lambda file: (file.mtime_ns, file.name)):
            others = False
            for record in otlp_records(copy.chunks()):
                others = others or record is None
                if record is not None:
                    _keep(rebuilt.take(record, 0.0), texts, by_file)
            if others:
                rest.append(replace(copy, names_files=False))
        _keep(rebuilt.overdue(math.inf), texts, by_file)
    if not by_file:
        return list(files)
    if rebuilt.conflicts:
        lines = "a line does" if rebuilt.conflicts == 1 else f"{rebuilt.conflicts} lines do"
        notes.append(f"{copies[0].name}: {lines} not fit to what was sent of the file before")
    return [*(file for file in files if not is_otlp(file.head)), *rest, *_inputs(by_file, texts, copies[0], notes)]


def _keep(lines: Iterable[Placed], texts: TemporaryFile, by_file: dict[FileKey, _Lines]) -> None:
    """Write the texts of ``lines`` down, and where they are."""
    for placed in lines:
        key = placed.file.file
        of_file = by_file.get(key)
        if of_file is None:
            of_file = by_file[key] = _Lines(key=key)
        text = placed.record.text.encode("utf-8", "surrogatepass") + b"\n"
        of_file.add(placed, texts.size, len(text))
        texts.write(text)


def _inputs(by_file: dict[FileKey, _Lines], texts: TemporaryFile, copy: InputFile, notes: list[str]) -> list[InputFile]:
    """Return each file as an input, its lines in order."""
    written: list[InputFile] = []
    hosts: dict[str, set[str]] = {}
    for key, lines in by_file.items():
        hosts.setdefault(lines.base, set()).add(key.host)
    with TemporaryFile() as whole, texts.path.open("rb") as source:
        for key in sorted(by_file):
            lines = by_file.pop(key)
            host = (None if lines.host is None else lines.host.name) or key.host
            begin, places = whole.size, LinePlaces(host=lines.host)
            _write(lines, source, whole, places)
            name = shown_name(f"{host}/{lines.base}" if len(hosts[lines.base]) > 1 else lines.base)
            missing = sum(lost for _, lost in places.lost)
            if missing:
                notes.append(f"{name}: {missing} of its lines are missing in {copy.name}")
            written.append(
                replace(
                    copy,
                    path=whole.path,
                    place=Path(f"{copy.place}:{key.host}", key.path.lstrip("/")),
                    name=name,
                    begin=begin,
                    size=whole.size - begin,
                    compression=None,
                    is_member=True,
                    mtime_ns=max(places.received_ns) or copy.mtime_ns,
                    damage=[],
                    folder=copy.folder or copy.place,
                    keeps_alive=whole,
                    progress=None,
                    places=places,
                )
            )
    return [with_head(file) for file in written]


def _write(lines: _Lines, source: BinaryIO, whole: TemporaryFile, places: LinePlaces) -> None:
    """Write ``lines`` one after the other, and what is known of each."""
    order = sorted(range(len(lines.order)), key=lines.order.__getitem__)
    latest = 0
    for at in order:
        source.seek(lines.begins[at])
        text = source.read(lines.sizes[at])
        whole.write(text)
        number = lines.numbers[at]
        # what came late is not missing any more
        lost = min(lines.lost[at], max(number - latest - 1, 0))
        latest = number
        for further in range(text.count(b"\n")):
            places.add(number + further, lines.received_ns[at] or None, lost if further == 0 else 0)
