"""A rebuilt file as bytes, so that a process that is started again goes on where the last one was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelmig.inputs.rebuilding.copied_lines import CopiedRun
from otelmig.inputs.rebuilding.held_records import host_fields, loaded_host, loaded_record, record_fields
from otelmig.inputs.rebuilding.known_lines import KnownLines, Stretch
from otelmig.inputs.rebuilding.rebuilt_file import RebuiltFile
from otelmig.inputs.rebuilding.succession import Mark
from otelmig.inputs.record import FileKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.inputs.record import LogRecord

__all__ = ["LoadedFile", "loaded", "saved"]

_FORMAT: Final = 2
"""The version of the format that is written."""
_WITH_RUNS: Final = 1
"""The version before it, in which what waited under a file's name was saved with the file; it is read, too."""


class LoadedFile(NamedTuple):
    """What was saved of a file."""

    file: RebuiltFile
    runs: list[list[LogRecord]]
    """What waits under its name, if an earlier release saved it with the file."""
    copied: list[CopiedRun]
    """Copies of its lines that may be something else."""


def saved(file: RebuiltFile, copied: Iterable[CopiedRun]) -> bytes:
    """Return a file with copies of its lines, as JSON; what waits under its name is saved apart."""
    known = file.known
    document = {
        "format": _FORMAT,
        "file": file.file,
        "generation": file.generation,
        "epoch": file.epoch,
        "host": host_fields(file.host),
        "is_filtered": file.is_filtered,
        "paths": sorted(file.paths),
        "tail": file.tail,
        "line_end": file.line_end,
        "lost": file.lost,
        "written_ns": file.written_ns,
        "read_ns": file.read_ns,
        "stretches": [(stretch.begin, stretch.number, stretch.last, stretch.lost) for stretch in known.stretches],
        "first": [(offset, *read) for offset, read in known.first.items()],
        "recent": [list(known.recent), "".join(known.recent.values())],
        "recent_from": known.recent_from,
        "copied": [([record_fields(record) for record in run.records], run.tail) for run in copied],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def loaded(document: bytes) -> LoadedFile:
    """Return what :func:`saved` wrote; it is not known until when what waits is waited for.

    Raises:
        ValueError: in one line, why it cannot be read.
    """
    try:
        fields: dict[str, Any] = json.loads(document)
        if fields["format"] not in (_WITH_RUNS, _FORMAT):
            known = f"{_WITH_RUNS} and {_FORMAT}"
            raise ValueError(f"a file saved in format {fields['format']}, of which this release knows {known} only")
        return _loaded(fields)
    except (KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError("a saved file is damaged") from error


def _loaded(fields: dict[str, Any]) -> LoadedFile:
    offsets, digests = fields["recent"]
    size = len(digests) // len(offsets) if offsets else 0
    known = KnownLines(
        stretches=[Stretch(begin, number, Mark(*last), lost) for begin, number, last, lost in fields["stretches"]],
        first={offset: (digest, read_ns) for offset, digest, read_ns in fields["first"]},
        recent={offset: digests[at * size : (at + 1) * size] for at, offset in enumerate(offsets)},
        recent_from=fields["recent_from"],
    )
    file = RebuiltFile(
        file=FileKey(*fields["file"]),
        generation=fields["generation"],
        epoch=fields["epoch"],
        host=loaded_host(fields["host"]),
        is_filtered=fields["is_filtered"],
        known=known,
        paths=set(fields["paths"]),
        tail=None if fields["tail"] is None else Mark(*fields["tail"]),
        line_end=fields["line_end"],
        lost=fields["lost"],
        written_ns=fields.get("written_ns"),
        read_ns=fields.get("read_ns"),
    )
    runs = [_loaded_records(records) for records, _ in fields.get("runs", ())]
    copied = [CopiedRun(file, _loaded_records(records), Mark(*tail)) for records, tail in fields["copied"]]
    return LoadedFile(file, runs, copied)


def _loaded_records(records: Iterable[tuple[list[Any], list[Any] | None]]) -> list[LogRecord]:
    return [loaded_record(*fields) for fields in records]
