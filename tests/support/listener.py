"""A server made by hand, for what no library would answer: a thread for each connection."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["listening"]


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port; ``serve`` gets each connection, and one that breaks is over."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one(near: socket.socket) -> None:
        with suppress(OSError), near:
            serve(near)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
