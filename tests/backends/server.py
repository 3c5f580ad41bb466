"""A backend as a process of its own: started on free ports, waited for, stopped by its process id, its log kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Server", "free_ports"]

_PATIENCE_S: Final = 60.0
_STEP_S: Final = 0.05


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, all different."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


class Server:
    """One process that can be stopped and started again with the same command line."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        health: str,
        log: Path,
        ending: signal.Signals = signal.SIGTERM,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [str(part) for part in command]
        self._health = health
        self._log = log
        self._ending = ending
        self._environ = os.environ | dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that it has written, of every run."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it says that it is healthy."""
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self._environ
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._healthy():
            code = self._process.poll()
            assert code is None, f"{self._command[0]} ended with {code}:\n{self.log[-3000:]}"
            assert time.monotonic() < deadline, f"{self._command[0]} is not healthy:\n{self.log[-3000:]}"
            time.sleep(_STEP_S)

    def _healthy(self) -> bool:
        """Whether it says 200 at its URL; of what speaks no HTTP (``tcp://``), whether it accepts connections."""
        address = urlsplit(self._health)
        try:
            if address.scheme == "tcp":
                socket.create_connection((address.hostname, address.port), timeout=5).close()
                return True
            with urllib.request.urlopen(self._health, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, number: signal.Signals | None = None) -> None:
        """Send it a signal, by default the one it ends by, and wait for its end; killed if it does not heed it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number or self._ending)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
