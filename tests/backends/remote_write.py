"""A receiver of Prometheus's remote write: the last value of every series that somebody writes to it."""

from __future__ import annotations

import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Series", "remote_write_receiver"]

Series = dict[frozenset[tuple[str, str]], float]
"""Values by labels, the name of the metric (``__name__``) among them."""


@contextmanager
def remote_write_receiver(port: int) -> Iterator[Series]:
    """What is written while the context is open."""
    series: Series = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            series.update(_written(_uncompressed(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield series
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def _uncompressed(data: bytes) -> bytes:
    """Snappy's block format: literals, and copies of what came before."""
    size, at = _varint(data, 0)
    out = bytearray()
    while at < len(data):
        kind, high = data[at] & 3, data[at] >> 2
        at += 1
        if kind == 0:
            extra = max(0, high - 59)
            length = 1 + (int.from_bytes(data[at : at + extra], "little") if extra else high)
            at += extra
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, offset = 4 + (high & 7), (high >> 3) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, offset = 1 + high, int.from_bytes(data[at : at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message; a number as its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            begin = at
            _, at = _varint(data, at)
            yield key >> 3, data[begin:at]
            continue
        if wire == 2:
            size, at = _varint(data, at)
        else:
            size = 8 if wire == 1 else 4
        yield key >> 3, data[at : at + size]
        at += size


def _written(data: bytes) -> Series:
    """The last sample of each series of a WriteRequest: timeseries 1 of labels 1 (name 1, value 2) and samples 2."""
    series: Series = {}
    for number, content in _fields(data):
        if number != 1:
            continue
        labels: dict[str, str] = {}
        value = None
        for part, inner in _fields(content):
            if part == 1:
                pair = {key: text.decode() for key, text in _fields(inner)}
                labels[pair.get(1, "")] = pair.get(2, "")
            elif part == 2:
                sample = dict(_fields(inner))
                value = struct.unpack("<d", sample[1])[0] if 1 in sample else 0.0
        if value is not None:
            series[frozenset(labels.items())] = value
    return series
