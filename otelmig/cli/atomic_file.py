"""The file of OTLP/JSON lines that ``-o`` names."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

__all__ = ["STDOUT", "AtomicFile", "is_stdout"]

STDOUT = "-"


def is_stdout(target: str) -> bool:
    """Whether a name means standard output: ``-``, ``/dev/stdout``, or the file that it was redirected to."""
    with suppress(OSError):
        return target == STDOUT or os.path.samestat(os.stat(target), os.fstat(1))  # noqa: PTH116 - beside a descriptor's
    return False


class AtomicFile:
    """A file that appears under its name only once it is whole; a context, which removes what did not become whole.

    A link stays, and the file that it leads to is replaced; a pipe or a device is written to as it is.
    """

    def __init__(self, target: Path) -> None:
        """Open a file beside ``target``.

        Raises:
            OSError: the file cannot be opened.
        """
        self._whole: Path | None = None
        path = target
        if target.is_file() or not target.exists():
            self._whole = Path(os.path.realpath(target))
            path = self._whole.with_name(f"{self._whole.name}.partial")
        self._path = path
        self.file = path.open("wb")

    def finish(self) -> None:
        """Close the file and give it its name.

        Raises:
            OSError: the rest cannot be written, or the file cannot get its name.
        """
        self.file.close()
        if self._whole is not None:
            self._path.replace(self._whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the error was reported where the write failed
            self.file.close()
        if self._whole is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
