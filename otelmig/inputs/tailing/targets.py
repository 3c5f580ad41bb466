"""What is to be followed: a log with its rotations, whatever matches a pattern, or every file below a folder."""

from __future__ import annotations

import glob
import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from otelmig.errors import InputError
from otelmig.inputs.rotation import is_packed, log_of
from otelmig.printable import shown_name
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Target", "refused", "target_of"]


class Target(Struct, frozen=True, kw_only=True):
    """What one argument stands for, now and later: what is not there yet may come."""

    text: str
    is_folder: bool = False
    """Whether every file below it is followed."""

    def folders(self) -> Iterator[str]:
        """Yield the folders whose files may be meant, as far as they are there."""
        if self.is_folder:
            for place, inner, _ in os.walk(self.text):
                inner[:] = sorted(name for name in inner if not name.startswith("."))
                yield place
            return
        parent = os.path.dirname(self.text)  # noqa: PTH120 - a pattern is no path
        yield from sorted(glob.glob(parent)) if glob.has_magic(parent) else (parent,)  # noqa: PTH207 - see above

    def wants(self, name: str) -> bool:
        """Return whether a file of this name, in one of the folders, is meant: a log, or a rotation of it."""
        if is_packed(name):
            return False
        if self.is_folder:
            return not name.startswith(".")
        last = os.path.basename(self.text)  # noqa: PTH119 - a pattern is no path
        if glob.has_magic(last):
            hidden = name.startswith(".") and not last.startswith(".")
            return not hidden and (fnmatchcase(name, last) or fnmatchcase(log_of(name), last))
        return last in (name, log_of(name))


def target_of(text: str, is_folder: Callable[[Path], bool] = Path.is_dir) -> Target:
    """Return what an argument stands for.

    Raises:
        InputError: it is no file that can be followed.
    """
    path = Path(os.path.abspath(text))  # noqa: PTH100 - links stay as they were named
    if not glob.has_magic(text) or path.exists():
        if text.endswith("/") or is_folder(path):
            return Target(text=str(path), is_folder=True)
        refusal = refused(path)
        if refusal is not None:
            raise InputError(refusal)
        return Target(text=glob.escape(str(path)) if glob.has_magic(text) else str(path))
    return Target(text=str(path))


def refused(path: Path) -> str | None:
    """Return in one line why something that is no regular file is not read; None where nothing speaks against it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    name = shown_name(path)
    if stat.S_ISFIFO(mode):
        return f"{name}: a FIFO: what is read from it is lost to its other reader"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else f"{name}: no regular file"
