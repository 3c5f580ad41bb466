"""A recorded migration in real time on two hosts, through ``otelmig serve``: ``make demo-live``.

Two directories are the hosts, with clocks of their own; a thread of this program is their Collectors. The line below
is what ``GET /status`` says while the migration runs, and the waterfall comes from the service.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from host_clock import HostClock
from line_sender import LineSender
from replay import Playback, Player, steps_of
from trace_invariants import CORPUS

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replay import Step

_RECORDING: Final = CORPUS / "v53.0-twohosts"
_HOSTS: Final = {"source": ("alpha", "10.9.0.1"), "destination": ("beta", "10.9.0.2")}
"""The names of the two hosts, and the addresses that they had."""
_SKIPPED_NS: Final = 4_700_000_000
"""Nanoseconds until shortly before the migration; what came before is written at once."""
_AHEAD_NS: Final = 2_500_000_000
_LAST_WORDS: Final = (b"migration-finished", b"migration-receive-finished")
"""What the two sides write last of a migration."""
_POLL_S: Final = 0.2
_PATIENCE_S: Final = 20.0


def main() -> int:
    """Play the migration and show it; return an exit code."""
    with tempfile.TemporaryDirectory(prefix="otelmig-live-") as folder:
        return _demonstrate(Path(folder))


def _demonstrate(folder: Path) -> int:
    folders = {role: folder / name for role, (name, _) in _HOSTS.items()}
    for each in folders.values():
        each.mkdir()
    url = f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "otelmig", "serve", "--listen", url.removeprefix("http://"), "--no-spool"]
    command += ["--state", str(folder / "state"), "-o", str(folder / "migrations.jsonl")]
    _say(f"two hosts, {' and '.join(name for name, _ in _HOSTS.values())}, and $ {' '.join(command[2:])}")
    service = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        _await_service(service, url)
        shown = _Reader(service.stdout)
        written = _play(folders, url)
        delay_s = shown.await_end() - written
    finally:
        if service.poll() is None:
            service.send_signal(signal.SIGTERM)
        code = service.wait(_PATIENCE_S)
    sys.stdout.write(f"{shown.text}\n")
    (live,) = (json.loads(line) for line in (folder / "migrations.jsonl").read_text().splitlines())
    (afterwards,) = trace_migrations(folders.values())
    trace_id = live["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]
    _say(f"the waterfall was there {delay_s:.1f} s after the migration's last line was written")
    _say("`otelmig trace` on the finished files gives the trace " + afterwards.trace_id)
    return code or int(trace_id != afterwards.trace_id)


def _play(folders: dict[str, Path], url: str) -> float:
    """Play the recording and send its lines; return when the migration had ended, by the logs."""
    playback = Playback(
        begin_ns=time.time_ns() - _SKIPPED_NS,
        skipped_ns=_SKIPPED_NS,
        clocks={"destination": HostClock(ahead_ns=_AHEAD_NS)},
        names=dict.fromkeys(_HOSTS, "vm"),
    )
    senders = [
        LineSender(folder=folders[role], host=name, address=address, url=url)
        for role, (name, address) in _HOSTS.items()
    ]
    steps = steps_of(_RECORDING, folders, playback)
    last_word = max(index for index, step in enumerate(steps) if any(word in step.data for word in _LAST_WORDS))
    ended: list[float] = []

    def noted() -> Iterator[Step]:
        for index, step in enumerate(steps):
            yield step
            if index == last_word:
                ended.append(time.monotonic())

    began = time.monotonic()
    thread = threading.Thread(target=lambda: Player().play(noted()))
    thread.start()
    progress = _Progress(url)
    while sum(sender.poll() for sender in senders) or thread.is_alive():
        progress.show(time.monotonic() - began)
        time.sleep(_POLL_S)
    thread.join()
    progress.end()
    return ended[0]


class _Progress:
    """One line that is overwritten on a terminal, and printed where it changes elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_terminal = sys.stdout.isatty()
        self._shown = ""

    def show(self, elapsed_s: float) -> None:
        """Show how far the migration has come."""
        sides = _status(self._url)["under_way"]
        text = ", ".join(f"{side['host']}: {side['phase']}" for side in sides) or "no migration"
        if self._is_terminal:
            sys.stdout.write(f"\r\033[K{elapsed_s:5.1f} s  {text}")
        elif text != self._shown:
            sys.stdout.write(f"{elapsed_s:5.1f} s  {text}\n")
        sys.stdout.flush()
        self._shown = text

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            sys.stdout.write("\r\033[K")


class _Reader:
    """What the service prints, and when its latest line came."""

    def __init__(self, output: IO[bytes] | None) -> None:
        self._lines: list[str] = []
        self._latest = 0.0
        self._thread = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """All of it so far."""
        self._thread.join(_PATIENCE_S)
        return "".join(self._lines)

    def _read(self, output: IO[bytes] | None) -> None:
        for line in output or ():
            self._latest = time.monotonic()
            self._lines.append(line.decode())

    def await_end(self) -> float:
        """Return when the waterfall was complete: nothing more came for a second."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self._lines or time.monotonic() - self._latest < 1:
            if time.monotonic() > deadline:
                raise SystemExit("the service showed no migration")
            time.sleep(0.05)
        return self._latest


def _await_service(service: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _status(url)
        except OSError:
            if service.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the service did not start") from None
            time.sleep(0.05)
        else:
            return


def _status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/status", timeout=_PATIENCE_S) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
