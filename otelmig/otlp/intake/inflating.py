"""Compressed bodies -> bodies, step by step, so that a small one that would become huge is stopped on the way."""

from __future__ import annotations

import sys
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from otelmig.otlp.intake.exchange import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["ENCODINGS", "inflated"]

_PIECE: Final = 1 << 16
"""Compressed bytes that are inflated at once."""
_STEP: Final = 1 << 20
"""Inflated bytes that a step gives at most."""
_MOST_MEMBERS: Final = 1_024
"""Parts of one body that were compressed one by one."""
_LARGEST_WINDOW: Final = 24
"""The logarithm of how far back zstd may refer: that much memory is taken for it. (Collectors' encoders: 23.)"""


def inflated(data: bytes, encoding: str, hold: Callable[[int], None]) -> bytes:
    """Return the body that ``data`` is by its ``Content-Encoding``; ``hold`` is told the size of each step.

    Raises:
        RefusedError: it is damaged, or the encoding is none of ``ENCODINGS``; or what ``hold`` raises.
    """
    steps = _STEPS.get(encoding)
    if steps is None:
        known = ", ".join(ENCODINGS)
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"unknown Content-Encoding: want one of {known}")
    parts = []
    try:
        for part in steps(data):
            hold(len(part))
            parts.append(part)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is no {encoding}") from error
    return b"".join(parts)


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[begin : begin + _PIECE] for begin in range(0, len(data), _PIECE))


def _identity(data: bytes) -> Iterator[bytes]:
    yield data


def _zlib(data: bytes, window_bits: int) -> Iterator[bytes]:
    decoder, members = None, 0
    for compressed in _pieces(data):
        piece = compressed
        # piece: what of the given bytes is not used yet, be it of this part or of the next
        while piece:
            if decoder is None:
                decoder, members = zlib.decompressobj(window_bits), members + 1
                _check(members)
            yield decoder.decompress(piece, _STEP)
            piece = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if decoder.eof:
                decoder = None
    if decoder is not None:
        yield decoder.flush()  # no more than the last reference backwards: all before it was given in steps
        if not decoder.eof:
            raise EOFError


def _gzip(data: bytes) -> Iterator[bytes]:
    return _zlib(data, 16 + zlib.MAX_WBITS)


def _deflate(data: bytes) -> Iterator[bytes]:
    """Inflate HTTP's deflate, which has zlib's header and trailer, although some senders leave them out."""
    has_header = data[:1] and data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
    return _zlib(data, zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


def _zstandard(data: bytes) -> Iterator[bytes]:
    decoder, members = None, 0
    for compressed in _pieces(data):
        piece = compressed
        while piece:
            if decoder is None:
                options = {int(zstd.DecompressionParameter.window_log_max): _LARGEST_WINDOW}
                decoder, members = zstd.ZstdDecompressor(options=options), members + 1
                _check(members)
            yield decoder.decompress(piece, _STEP)
            while not decoder.eof and not decoder.needs_input:
                yield decoder.decompress(b"", _STEP)
            piece = decoder.unused_data if decoder.eof else b""
            if decoder.eof:
                decoder = None
    if decoder is not None:
        raise EOFError


def _check(members: int) -> None:
    if members > _MOST_MEMBERS:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"more than {_MOST_MEMBERS} compressed parts in one body")


_STEPS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "identity": _identity,
    "gzip": _gzip,
    "deflate": _deflate,
    "zlib": _deflate,
    "zstd": _zstandard,
}
"""How each encoding is undone; ``zlib`` is what Collectors call it."""
ENCODINGS: Final = tuple(_STEPS)
"""The values of ``Content-Encoding`` that are understood."""
