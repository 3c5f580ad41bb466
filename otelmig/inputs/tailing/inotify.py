"""The kernel's notices of changed files, by way of the C library: the standard library has no door to them.

(Linux, inotify(7).)
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from enum import IntFlag
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Inotify", "Notice", "Noticed"]

_HEADER: Final = struct.Struct("iIII")
"""Watch, mask, cookie, and the bytes of the name, which is padded with NULs."""
_BUFFER: Final = 1 << 18


class Noticed(IntFlag):
    """What happened."""

    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OVERFLOW = 0x4000
    """Notices were lost."""
    IGNORED = 0x8000
    """The watch is over."""


class Notice(NamedTuple):
    """What the kernel says of one change."""

    watch: int
    what: int
    """Bits of :class:`Noticed`."""
    name: str
    """Of a file in a folder that is watched; empty for what is watched itself."""


class Inotify:
    """One queue of notices; a context, which closes it.

    Raises:
        OSError: there is none, or there are too many.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor that can be read when there is a notice."""
        return self._descriptor

    def watch(self, path: str, what: int) -> int:
        """Watch a file or a folder for the bits of ``what``; return the number of the watch."""
        return self._checked(self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), what))

    def forget(self, watch: int) -> None:
        """Watch no more; it may be over by itself."""
        with suppress(OSError):
            self._checked(self._libc.inotify_rm_watch(self._descriptor, watch))

    def read(self) -> list[Notice]:
        """Return the notices that are there."""
        notices: list[Notice] = []
        with suppress(BlockingIOError):
            while data := os.read(self._descriptor, _BUFFER):
                at = 0
                while at < len(data):
                    watch, what, _, length = _HEADER.unpack_from(data, at)
                    at += _HEADER.size
                    name = data[at : at + length].rstrip(b"\0") if length else b""
                    at += length
                    notices.append(Notice(watch, what, os.fsdecode(name)))
        return notices

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
