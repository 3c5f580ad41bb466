"""The file of OTLP/JSON lines that ``-o`` names."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO, Self

__all__ = ["STDOUT", "AtomicFile", "is_stdout"]

STDOUT = "-"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
"""Flags of a file that is not there yet; nothing that is there is written to, and no link is followed."""


def is_stdout(target: str) -> bool:
    """Whether a name means standard output: ``-``, ``/dev/stdout``, or the file that it was redirected to."""
    with suppress(OSError):
        return target == STDOUT or os.path.samestat(os.stat(target), os.fstat(1))  # noqa: PTH116 - beside a descriptor's
    return False


class AtomicFile:
    """A file that appears under its name only once it is whole; a context, which removes what did not become whole.

    Until then it has a random name in the same directory, so that runs with one target do not mix: the one that ends
    last leaves its file. A file that is replaced keeps its permissions. A link stays, and the file that it leads to is
    replaced; a pipe or a device is written to as it is.
    """

    def __init__(self, target: Path) -> None:
        """Open a file beside ``target``.

        Raises:
            OSError: the file cannot be opened.
        """
        self._whole: Path | None = None
        if target.is_file() or not target.exists():
            self._whole = Path(os.path.realpath(target))
            self._path, self.file = _new_file(self._whole)
        else:
            self._path, self.file = target, target.open("wb")

    def finish(self) -> None:
        """Close the file and give it its name.

        Raises:
            OSError: the rest cannot be written, or the file cannot get its name.
        """
        self.file.close()
        if self._whole is not None:
            self._path.replace(self._whole)
            self._whole = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the error was reported where the write failed
            self.file.close()
        if self._whole is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _new_file(beside: Path) -> tuple[Path, BinaryIO]:
    """Open a new file in the directory of ``beside``; with the same permissions, if that is there.

    Raises:
        OSError: the file cannot be opened.
    """
    path = beside.with_name(f".otelmig-{os.urandom(8).hex()}.partial")
    descriptor = os.open(path, _NEW, 0o666)
    with suppress(FileNotFoundError):
        os.fchmod(descriptor, stat.S_IMODE(beside.stat().st_mode))
    return path, os.fdopen(descriptor, "wb")
