"""Compressed inputs, told by their first bytes: gzip, xz, Zstandard, bzip2."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["DecompressionError", "compression_of", "decompressed"]


class DecompressionError(Exception):
    """The compressed data is damaged or cut off; what was read before it stands."""


class _Reader(Protocol):
    def read1(self, size: int = -1, /) -> bytes: ...


_Opened = tuple[_Reader, tuple[type[Exception], ...]]
"""A decompressing reader, and what it raises on damaged data besides OSError and EOFError."""


# Each library is loaded only where a file is compressed with it.


def _gzip(file: BinaryIO) -> _Opened:
    import gzip
    import zlib

    return gzip.GzipFile(fileobj=file), (zlib.error,)


def _xz(file: BinaryIO) -> _Opened:
    import lzma

    return lzma.LZMAFile(file), (lzma.LZMAError,)


def _bzip2(file: BinaryIO) -> _Opened:
    import bz2

    return bz2.BZ2File(file), ()


def _zstandard(file: BinaryIO) -> _Opened:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(file), (zstd.ZstdError,)


_KINDS: Final[tuple[tuple[bytes, str, Callable[[BinaryIO], _Opened]], ...]] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"(\xb5/\xfd", "zstd", _zstandard),
    (b"BZh", "bzip2", _bzip2),
)


def compression_of(head: bytes) -> str | None:
    """Return the name of the compression of data that begins like this, or None if it is plain."""
    return next((name for magic, name, _ in _KINDS if head.startswith(magic)), None)


def decompressed(file: BinaryIO, compression: str) -> Callable[[int], bytes]:
    """Return a function that reads the next (up to) so many decompressed bytes of ``file``; empty at the end.

    It raises :class:`DecompressionError` where the data is damaged or ends too early.
    """
    reader, errors = next(opener for _, name, opener in _KINDS if name == compression)(file)

    damage: tuple[type[Exception], ...] = (OSError, EOFError, *errors)

    def read(size: int) -> bytes:
        try:
            return reader.read1(size)
        except damage as error:
            raise DecompressionError(str(error) or type(error).__name__) from error

    return read
