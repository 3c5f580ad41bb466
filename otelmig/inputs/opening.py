"""Paths, in any order -> the logs and event streams that can be read, each once; of a directory, the files below it."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.inputs.collected import with_collected
from otelmig.inputs.files import STDIN, open_input
from otelmig.inputs.log import InputLog
from otelmig.inputs.rotation import distinctly_named, rotations
from otelmig.inputs.unpacking.archive import members_of
from otelmig.printable import shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otelmig.inputs.files import InputFile

__all__ = ["files_below", "open_inputs"]

_MOST_FILES: Final = 10_000
"""At most this many files of a directory are read."""


def open_inputs(
    paths: Iterable[str | Path],
    progress: Callable[[int], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> tuple[list[InputLog], list[InputError], list[str]]:
    """Open every path; return the inputs that can be read, why the others cannot, and notes.

    Each input is there once, in an order that does not depend on the order of ``paths``. ``progress`` is told of each
    block how many bytes were read, ``on_wait`` what is waited for, in one line for a person.
    """
    files: list[InputFile] = []
    errors: list[InputError] = []
    notes: list[str] = []
    opened: set[str] = set()
    real_folders: dict[Path, str] = {}  # each link on the way is followed once for a folder, not for each file
    for path, folder in _expanded((path if isinstance(path, Path) else Path(path) for path in paths), errors):
        try:
            file = open_input(path, progress, on_wait)
        except InputError as error:
            errors.append(error)
            continue
        if folder is not None:
            file = replace(file, folder=folder)
        real = str(path)
        if path != STDIN:
            target = Path(os.path.realpath(path)) if path.is_symlink() else path
            parent = target.parent
            if parent not in real_folders:
                real_folders[parent] = os.path.realpath(parent)
            real = f"{real_folders[parent]}/{target.name}"
        if real in opened:
            continue
        opened.add(real)
        try:
            members = members_of(file, notes)
        except InputError as error:
            errors.append(error)
            continue
        if members is not None and not members:
            errors.append(InputError(f"{file.name}: an archive without files (hidden files are not read)"))
        files += [file] if members is None else members
    logs = []
    files = distinctly_named(with_collected(files, notes))
    notes += [f"{file.name}: empty" for file in files if _is_blank(file) and file.folder is None]
    notes += [f"{file.name}: written at an impossible time, by its file system" for file in files if file.is_misdated]
    for name, parts, copies in rotations(file for file in files if not _is_blank(file)):
        logs.append(InputLog(name=name, parts=tuple(parts)))
        notes += copies
    return sorted(logs, key=lambda log: (log.name, log.parts[0].size, log.head)), errors, sorted(notes)


def _is_blank(file: InputFile) -> bool:
    """Return whether nothing was written to the file, or line ends alone."""
    return file.size <= len(file.head) and (not file.head or file.head.isspace()) and file.compression is None


def _expanded(paths: Iterable[Path], errors: list[InputError]) -> Iterator[tuple[Path, Path | None]]:
    """Yield every file: one that was named by itself, or one below a directory that was named, with the directory."""
    for path in paths:
        if path == STDIN or not path.is_dir():
            yield path, None
            continue
        unreadable: list[InputError] = []
        files = list(islice(files_below(path, unreadable), _MOST_FILES + 1))
        errors += unreadable
        if len(files) > _MOST_FILES:
            errors.append(InputError(f"{shown_name(path)}: more than {_MOST_FILES} files: want a directory of logs"))
        elif files:
            yield from ((file, path) for file in files)
        elif not unreadable:
            errors.append(InputError(f"{shown_name(path)}: a directory without files (links are not followed)"))


def files_below(folder: Path, errors: list[InputError] | None = None) -> Iterator[Path]:
    """Yield the regular files below ``folder`` in order of their names, those of its subdirectories included.

    Hidden files and directories, links, pipes and devices are left out: a link may lead anywhere, and a pipe blocks.
    A directory that cannot be read is left out, too, and said in ``errors``.
    """

    def report(error: OSError) -> None:
        if errors is not None:
            errors.append(InputError(f"{shown_name(error.filename)}: {os.strerror(error.errno or 0)}"))

    for place, folders, names in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path
