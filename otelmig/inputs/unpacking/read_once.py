"""What can be read only once (pipes, devices, standard input) -> a temporary file, within limits."""

from __future__ import annotations

import os
import select
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, Self

__all__ = ["TemporaryFile", "open_stream", "temporary_copy"]

_BLOCK: Final = 1 << 19
"""Bytes read at once."""
_MOST: Final = 1 << 26
"""Bytes of a device that are read, and bytes of anything within which its first line must end."""
_PATIENCE_MS: Final = 1000
"""Milliseconds of silence after which it is said what is waited for."""


class TemporaryFile:
    """A file to write to once; it lives as long as this object does."""

    def __init__(self) -> None:
        """Create it, empty."""
        import tempfile

        handle, name = tempfile.mkstemp(prefix="otelmig-")
        self._file = os.fdopen(handle, "wb")
        self.path, self.size = Path(name), 0
        weakref.finalize(self, self.path.unlink, missing_ok=True)

    def __enter__(self) -> Self:
        """Write to it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End writing; from now on it can be read."""
        self._file.close()

    def write(self, block: bytes) -> None:
        """Add ``block``."""
        self.size += len(block)
        self._file.write(block)


def open_stream(path: Path) -> BinaryIO:
    """Open a pipe or a device; a pipe is open at once, although nobody may write to it yet.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")


def temporary_copy(
    stream: BinaryIO, name: str, progress: Callable[[int], None] | None, on_wait: Callable[[str], None] | None
) -> TemporaryFile:
    """Return a temporary file with everything in ``stream``, which is called ``name``.

    ``progress`` is told of each block how many bytes it has; ``on_wait`` is called, once, with one line for a person if
    nothing comes.

    Raises:
        InputError: it does not end, or is no text.
        OSError: it cannot be read or copied.
    """
    _await(stream, name, on_wait)
    mode = os.fstat(stream.fileno()).st_mode
    is_device = (stat.S_ISCHR(mode) and not stream.isatty()) or stat.S_ISBLK(mode)
    has_line = False
    with TemporaryFile() as copy:
        while block := stream.read(_BLOCK):
            copy.write(block)
            has_line = has_line or b"\n" in block
            if progress is not None:
                progress(len(block))
            if copy.size >= _MOST and (is_device or not has_line):
                what = "a device with more than" if is_device else "no line ends within its first"
                raise InputError(f"{name}: {what} {_MOST >> 20} MiB: this is no log")
    return copy


def _await(stream: BinaryIO, name: str, on_wait: Callable[[str], None] | None) -> None:
    """Return once there is something to read, or nobody left who would write it."""
    descriptor = stream.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_PATIENCE_MS):
        if on_wait is not None:
            on_wait(f"waiting for {name}")
        poll.poll()
    os.set_blocking(descriptor, True)
