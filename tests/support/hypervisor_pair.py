"""Two hypervisors that migrate a VM when they are asked to, as far as their API shows it, by the rules of a release.

Up to v52 ``vm.send-migration`` blocks until the end; from v53 on it answers 204 at once, and the API stays alive.
``vm.receive-migration`` always blocks, and with it the destination's API. How the migration ends is chosen. A recording
can be played beside it: its logs are written while the migration lasts.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from hypervisor_http import Answer, ApiServer, Call, VanishedError
from replay import Playback, Player, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from replay import Step

__all__ = ["RELEASES", "Ending", "HypervisorPair", "Semantics"]

_PREFIX: Final = "/api/v1/"
_KIB: Final = 1024
_ROLES: Final = ("source", "destination")


class Ending(StrEnum):
    """How a migration ends."""

    SUCCESS = "success"
    FAILS = "fails"
    """The source gives up and closes the connection."""
    ABORTED = "aborted"
    """The destination fails in a step, and the source, too, therefore."""
    SOURCE_VANISHES = "source vanishes"
    DESTINATION_VANISHES = "destination vanishes"
    HANGS = "hangs"
    """It never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """What a release's API does."""

    version: str
    send_blocks: bool
    errors_are_json: bool = True
    """A list, the outermost error first; before that, text for debugging."""
    abort_is_error: bool = False
    """For the receiver; otherwise it answers an aborted migration as a successful one."""
    invalid: int = 500
    """The status for a value that is out of range."""
    most_body: int = 50 * _KIB

    @property
    def outer_errors(self) -> dict[str, str]:
        """Return what the API calls an error of either side."""
        if self.send_blocks:
            return {"source": "Error starting migration sender", "destination": "Error starting migration receiver"}
        return {"source": "Error dispatching the migration worker", "destination": "Error receiving migration"}


RELEASES: Final = {
    each.version: each
    for each in (
        Semantics(version="v46.0", send_blocks=True, errors_are_json=False),
        Semantics(version="v52.0", send_blocks=True),
        Semantics(version="v53.0", send_blocks=False, abort_is_error=True),
        Semantics(version="head", send_blocks=False, abort_is_error=True, invalid=400, most_body=4 * _KIB * _KIB),
    )
}
"""The last release of each kind: v36.0 to v46.0, v47.0 to v52.0, v53.0, and what comes after it."""

_EOF: Final = ("Socket error", "failed to fill whole buffer")
_REFUSED: Final = ("Error connecting to TCP socket", "Connection refused (os error 111)")
_ERRORS: Final = {
    (Ending.FAILS, "source"): ("Precopy", "Timeout reached: 6s: migration didn't converge in time"),
    (Ending.FAILS, "destination"): _EOF,
    (Ending.ABORTED, "source"): ("Failed to complete migration for migratable component", "Error from destination"),
    (Ending.SOURCE_VANISHES, "destination"): _EOF,
    (Ending.DESTINATION_VANISHES, "source"): ("Error transferring memory to socket", "Connection reset by peer"),
}
"""What either side answers after an ending that is an error to it."""


class HypervisorPair:
    """Two API sockets, ``source`` and ``destination``, in a folder; a context manager."""

    def __init__(
        self,
        folder: Path,
        release: str,
        ending: Ending = Ending.SUCCESS,
        *,
        is_reachable: bool = True,
        patience_s: float = 0,
        lasts_s: float = 0.05,
        recording: Path | None = None,
        speed: float = 1.0,
    ) -> None:
        self.semantics = RELEASES[release]
        self.source = folder / "source.sock"
        self.destination = folder / "destination.sock"
        self.logs = {role: folder / role for role in _ROLES}
        self.running = "source"
        """Whose process runs the VM; empty if none does."""
        self._ending = ending
        self._is_reachable = is_reachable
        self._patience_s = patience_s
        self._lasts_s = lasts_s
        self._recording = recording
        self._speed = speed
        self._port = ""
        self._is_migrating = False
        self._listening = threading.Event()
        self._connected = threading.Event()
        self._ended = threading.Event()
        self._over = threading.Event()
        self._closed = threading.Event()
        self._worker: threading.Thread | None = None
        self._servers = ExitStack()

    def __enter__(self) -> Self:
        for role in _ROLES:
            path = self.source if role == "source" else self.destination
            self._servers.enter_context(ApiServer(path, self._answers(role), most_body=self.semantics.most_body))
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._over.set()
        self._connected.set()
        self._ended.set()
        self._servers.close()
        if self._worker is not None:
            self._worker.join()

    def listens(self, timeout_s: float = 0) -> bool:
        """Wait until the destination listens; the result says whether it does."""
        return self._listening.wait(timeout_s)

    def is_busy(self, timeout_s: float = 0) -> bool:
        """Wait until the migration is under way; the result says whether it is."""
        return self._connected.wait(timeout_s)

    def end_now(self) -> None:
        """End the migration before its time."""
        self._over.set()

    def await_last_line(self) -> None:
        """Wait until the recording is played to its end."""
        if self._worker is not None:
            self._worker.join()

    def _answers(self, role: str) -> Callable[[Call], Answer]:
        def answer(call: Call) -> Answer:
            if self._has_vanished(role):
                raise VanishedError
            return self._dispatch(role, call)

        return answer

    def _dispatch(self, role: str, call: Call) -> Answer:
        version = self.semantics.version
        match call.method, call.path.removeprefix(_PREFIX):
            case "GET", "vmm.ping":
                return Answer(200, {"build_version": version, "version": version[1:], "pid": 1, "features": []})
            case "GET", "vm.info":  # a copy from before, while the VM migrates
                return Answer(200, {"config": {}, "state": "Running", "memory_actual_size": 1 << 28})
            case "PUT", "vm.pause" | "vm.resume" | "vm.resize":
                return self._error(role, "VM is migrating") if self._is_migrating else Answer(204)
            case "PUT", "vm.send-migration":
                return self._asked(role, call.body, "destination_url", self._send)
            case "PUT", "vm.receive-migration":
                return self._asked(role, call.body, "receiver_url", self._receive)
        return Answer(404)

    def _asked(self, role: str, body: bytes, field: str, do: Callable[[str], Answer]) -> Answer:
        """Check what is asked for, and do it with the port that it names."""
        try:
            asked = json.loads(body)
            port = str(asked[field]).rpartition(":")[2]
        except (ValueError, KeyError, TypeError):
            return self._error(role, "Error deserializing JSON", status=400)
        if asked.get("downtime_ms") == 0:
            return self._error(role, "downtime_ms must not be zero", status=self.semantics.invalid)
        return do(port)

    def _send(self, port: str) -> Answer:
        self._listening.wait(self._patience_s)  # as if the network held the connection up
        if port != self._port or not self._is_reachable:
            return self._error("source", *_REFUSED) if self.semantics.send_blocks else Answer(204)
        self._is_migrating = True
        self._worker = threading.Thread(target=self._migrate, daemon=True)
        self._worker.start()
        self._connected.set()
        return self._at_the_end("source") if self.semantics.send_blocks else Answer(204)

    def _receive(self, port: str) -> Answer:
        self._port = port
        self._listening.set()
        self._connected.wait()
        return self._at_the_end("destination")

    def _at_the_end(self, role: str) -> Answer:
        """Wait for the end; the result is what the call that waited for it answers."""
        self._ended.wait()
        if self._closed.is_set() or self._has_vanished(role, still_answers=True):
            raise VanishedError
        if self._ending is Ending.ABORTED and role == "destination":
            aborted = ("Failed to complete migration for migratable component", "Migration was aborted")
            return self._error(role, *aborted) if self.semantics.abort_is_error else Answer(204)
        texts = _ERRORS.get((self._ending, role))
        return Answer(204) if texts is None else self._error(role, *texts)

    def _has_vanished(self, role: str, *, still_answers: bool = False) -> bool:
        """Whether a process is gone; after a success the source leaves once it has answered."""
        if not self._ended.is_set():
            return False
        if self._ending is Ending.SUCCESS:
            return role == "source" and not still_answers
        return self._ending.value == f"{role} vanishes"

    def _error(self, role: str, *texts: str, status: int = 500) -> Answer:
        chain = ["Error from API", self.semantics.outer_errors[role], *texts]
        return Answer(status, chain if self.semantics.errors_are_json else f"ApiError({'('.join(chain[1:])}))")

    def _migrate(self) -> None:
        """The migration itself: nothing but time, and the lines of a recording, which may go on after it."""
        if self._recording is None:
            self._over.wait(self._lasts_s)
            self._end()
            return
        skipped_ns, lasted_ns = _times_of(self._recording)
        playback = Playback(begin_ns=time.time_ns() - skipped_ns, speed=self._speed, skipped_ns=skipped_ns)
        steps = steps_of(self._recording, self.logs, playback)
        player = Player()
        player.play(self._until_closed(steps, lasted_ns / self._speed), wait=self._wait)
        player.close()

    def _until_closed(self, steps: Iterable[Step], ends_ns: float) -> Iterator[Step]:
        """Yield the steps that are due while this lasts, and note the end of the migration where it was."""
        for step in steps:
            if step.at_ns >= ends_ns and not self._ended.is_set():
                self._end()
            if self._closed.is_set():
                return
            yield step
        self._end()

    def _wait(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _end(self) -> None:
        if self._ending is Ending.HANGS:
            return
        self.running = {Ending.SUCCESS: "destination", Ending.SOURCE_VANISHES: ""}.get(self._ending, "source")
        self._is_migrating = False
        self._ended.set()


def _times_of(recording: Path) -> tuple[int, int]:
    """Return how long a recording had run when the migration was asked for, and how long it took from there, in ns."""
    truth = json.loads((recording / "truth.json").read_text())
    times = {call["what"]: call["realtime_ns"] for call in truth["orchestrator"]}
    sent_ns = times["send_call source"]
    ahead_ns = sum(truth["clock_offset_ns"]["before"]) // 2 if truth["hosts"] > 1 else 0
    received_ns = times["receive_return destination"] - ahead_ns
    return sent_ns - times["start_vm source"], received_ns - sent_ns
