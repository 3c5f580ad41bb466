"""A server made by hand, for what no library would answer: a thread for each connection."""

from __future__ import annotations

import gc
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["listening"]


_LEAVES_S: Final = 10


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port; ``serve`` gets each connection, and one that breaks is over.

    Raises:
        RuntimeError: a connection is still served long after the caller is done: its thread would run, and perhaps
            use a processor, until the last test.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve_one(near: socket.socket) -> None:
        with suppress(OSError), near:
            serve(near)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
    for each in threads:
        each.join(0.05)
        if each.is_alive():
            gc.collect()  # the HTTP library closes a connection that waits for another request when it is collected
        each.join(_LEAVES_S)
        if each.is_alive():
            raise RuntimeError("a connection is still served")
