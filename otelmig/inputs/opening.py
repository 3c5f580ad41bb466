"""Paths, in any order -> the logs and event streams that can be read, each once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from otelmig.errors import InputError
from otelmig.inputs.files import STDIN, open_input
from otelmig.inputs.log import InputLog
from otelmig.inputs.rotation import rotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["open_inputs"]


def open_inputs(
    paths: Iterable[str | Path], progress: Callable[[int], None] | None = None
) -> tuple[list[InputLog], list[InputError], list[str]]:
    """Open every path; return the inputs that can be read, why the others cannot, and notes.

    Each input is there once, in an order that does not depend on the order of ``paths``. ``progress`` is told of each
    block how many bytes were read.
    """
    files, errors, notes = [], [], []
    opened: set[Path] = set()
    for path in map(Path, paths):
        try:
            file = open_input(path, progress)
        except InputError as error:
            errors.append(error)
            continue
        real = path if path == STDIN else path.resolve()
        if real in opened:
            continue
        opened.add(real)
        if file.size == 0:
            notes.append(f"{file.name}: empty")
        else:
            files.append(file)
    logs = []
    for name, parts, copies in rotations(files):
        logs.append(InputLog(name=name, parts=tuple(parts)))
        notes += copies
    return sorted(logs, key=lambda log: (log.name, log.parts[0].size, log.head)), errors, sorted(notes)
