"""A wire between a sender and a receiver that breaks where a test wants it to."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cut", "broken_wire"]

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """After how many bytes of a connection, there or back, it is reset; None: never."""

    there: int | None = None
    back: int | None = None


def _pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    """Pass on what comes, so many bytes of it; then reset both ends."""
    left = limit
    with suppress(OSError):
        while left is None or left > 0:
            data = source.recv(1 << 16 if left is None else min(left, 1 << 16))
            if not data:
                break
            target.sendall(data)
            left = None if left is None else left - len(data)
    for end in (source, target):
        if left == 0:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def broken_wire(url: str, cuts: list[Cut]) -> Iterator[str]:
    """A URL that leads to ``url`` by connections of which the first ones break, one for each of ``cuts``."""
    parts = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    done = threading.Event()
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def connect(near: socket.socket, cut: Cut) -> None:
        with near, socket.create_connection((parts.hostname or "", parts.port or 0)) as far:
            ends.extend((near, far))
            back = threading.Thread(target=_pump, args=(far, near, cut.back))
            back.start()
            _pump(near, far, cut.there)
            back.join()

    def accept() -> None:
        while not done.is_set():
            with suppress(TimeoutError):
                near, _ = listener.accept()
                cut = cuts.pop(0) if cuts else Cut()
                threads.append(threading.Thread(target=connect, args=(near, cut), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"{parts.scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        acceptor.join()
        listener.close()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
