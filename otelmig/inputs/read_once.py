"""What can be read only once (pipes, devices, standard input) -> a temporary file, within limits."""

from __future__ import annotations

import os
import select
import stat
import tempfile
from typing import TYPE_CHECKING, Final

from otelmig.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO, Protocol

    class TemporaryCopy(Protocol):
        """A file that is gone when it is closed."""

        name: str

        def fileno(self) -> int:
            """Return its descriptor."""


__all__ = ["open_stream", "temporary_copy"]

_BLOCK: Final = 1 << 19
"""Bytes read at once."""
_MOST: Final = 1 << 26
"""Bytes of a device that are read, and bytes of anything within which its first line must end."""
_PATIENCE_MS: Final = 1000
"""Milliseconds of silence after which it is said what is waited for."""


def open_stream(path: Path) -> BinaryIO:
    """Open a pipe or a device; a pipe is open at once, although nobody may write to it yet.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")


def temporary_copy(
    stream: BinaryIO, name: str, progress: Callable[[int], None] | None, on_wait: Callable[[str], None] | None
) -> TemporaryCopy:
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
    spool = tempfile.NamedTemporaryFile(prefix="otelmig-")  # noqa: SIM115 - lives as long as its reader does
    size, has_line = 0, False
    while block := stream.read(_BLOCK):
        spool.write(block)
        size += len(block)
        has_line = has_line or b"\n" in block
        if progress is not None:
            progress(len(block))
        if size >= _MOST and (is_device or not has_line):
            spool.close()
            what = "a device with more than" if is_device else "no line ends within its first"
            raise InputError(f"{name}: {what} {_MOST >> 20} MiB: this is no log")
    spool.flush()
    return spool


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
