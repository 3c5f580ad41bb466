"""Handles of files that are followed: many at once, and none that waits for anything."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPEN", "has_writer", "opened", "prepare"]

OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How files are opened: nothing is waited for."""
_MOST: Final = 1 << 16
"""Files that may be open at once, where the system lets them."""


def prepare() -> None:
    """Let this process have many files open, and look whether they have a writer; for the main thread only."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # see `has_writer`
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _MOST) if most > 0 else _MOST, most))


@contextmanager
def opened(place: str) -> Iterator[int]:
    """Open a file for a moment.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(place, OPEN)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_writer(descriptor: int) -> bool | None:
    """Return whether any process has a file open for writing; None if that cannot be told.

    The kernel grants a read lease only on a file that nobody writes. It is given back at once; SIGIO, which comes if
    somebody opens the file in between, must be ignored. (fcntl(2), "Leases")
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
