"""A part of a file, as a file of its own."""

from __future__ import annotations

import io
import os

__all__ = ["Section"]


class Section(io.RawIOBase):
    """So many bytes of a file from a place on; the file is closed with it."""

    def __init__(self, file: io.FileIO, begin: int, size: int) -> None:
        """Read ``size`` bytes of ``file`` from ``begin`` on."""
        super().__init__()
        self._file = file
        self._begin, self._size = begin, size
        self._at = 0

    def readable(self) -> bool:
        """Return whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Return whether it can be read from any place: yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # no other buffer is used
        """Put the next bytes into ``buffer``; return how many they were, none at the end."""
        with memoryview(buffer).cast("B") as view:
            wanted = max(min(len(view), self._size - self._at), 0)
            self._file.seek(self._begin + self._at)
            got = self._file.readinto(view[:wanted]) or 0
        self._at += got
        return got

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place; return it, counted from the beginning."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def close(self) -> None:
        """Close it and the file."""
        self._file.close()
        super().close()
