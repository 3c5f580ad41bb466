"""What every live command does between what comes in and what goes out: what is due, and what the state keeps.

Whoever has lines gives them to the assembly, and has this do what is due; all of it is done by one thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otelmig.errors import FaultError, StateError
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from otelmig.live.assembly import Assembly
    from otelmig.live.drawing import Finished
    from otelmig.live.outlet import Outlet
    from otelmig.live.past import LateFate
    from otelmig.live.state.database import State

__all__ = ["Work"]

_MEASURE_S: Final = 1.0
"""Seconds between two looks at what the state takes."""
_FULL: Final = 0.8
"""From this share of what the state may take on, room is made."""


class Work(Struct, kw_only=True):
    """Assembly, outlet and state, and what goes from one to the other."""

    state: State
    assembly: Assembly
    outlet: Outlet
    say: Callable[[str], None]
    on_fate: Callable[[LateFate], None]
    flush_s: float
    """At most so many seconds pass until what changed is written to the state."""
    flushes_first: bool
    """Whether what a trace is made of is written before the trace goes out: a request would have kept it."""
    before_flush: Callable[[], Sequence[int]] = lambda: ()
    """Called before the state is written; returns the requests that are worked off."""
    faults: int = 0
    """How often otelmig itself failed over something."""
    state_bytes: int = 0
    """What the state takes on the disk."""
    _flushed_s: float = 0.0
    _measured_s: float = 0.0
    _reported: str = ""

    def look_around(self) -> Sequence[Finished]:
        """Do what is due; return the traces that were made. A fault over one thing must not end the work."""
        made: list[Finished] = []
        with self.guarded("what is due"):
            self._do_what_is_due(made)
        return made

    def _do_what_is_due(self, made: list[Finished]) -> None:
        now_s = time.monotonic()
        safe = self._forget_what_is_safe()
        self.assembly.tick(now_s)
        made += self.assembly.finished(now_s, time.time_ns())
        if now_s - self._flushed_s >= self.flush_s or (self.flushes_first and (made or safe)):
            self.flush()
        for finished in made:
            self.outlet.put(finished)
        for error in self.assembly.errors:
            self.say(str(error))
        self.assembly.errors.clear()
        for refusal in self.assembly.logs.refusals:
            self.say(refusal)
        self.assembly.logs.refusals.clear()
        for fate in self.assembly.fates:
            self.on_fate(fate)
        self.assembly.fates.clear()
        if now_s - self._measured_s >= _MEASURE_S:
            self._measured_s = now_s
            self.state_bytes = self.state.bytes_used
            if self.state_bytes > _FULL * self.state.most_bytes:
                self.assembly.retention.make_room(now_s)

    def flush(self) -> bool:
        """Write to the state what changed; what could not be written is tried again. Return whether it was."""
        self._flushed_s = time.monotonic()
        with self.guarded("the state"):
            self.assembly.flush(self.before_flush(), time.time_ns())
            return True
        return False

    def finish(self, timeout_s: float) -> bool:
        """Deliver what is ready, and write everything to the state; return whether nothing is lost."""
        is_safe = self.outlet.stop(timeout_s)
        self._forget_what_is_safe()
        self.flush()
        return is_safe or not self.outlet.counts.unsafe

    def guarded(self, name: str) -> AbstractContextManager[None, bool]:
        """Return the context of one request, batch or step: the work goes on after an error in it."""
        return _Guard(self, name)

    def failed(self, name: str, error: Exception) -> None:
        """Say an error, once, and count it if it is a fault of otelmig itself."""
        if isinstance(error, StateError):
            self._report(str(error))
        else:
            self.faults += 1
            self._report(str(FaultError.of(name, error)))

    def _forget_what_is_safe(self) -> bool:
        safe = self.outlet.safe()
        for finished in safe:
            self.assembly.safe(finished)
        return bool(safe)

    def _report(self, text: str) -> None:
        """Say a failure once, until another one comes."""
        if text != self._reported:
            self._reported = text
            self.say(text)


class _Guard(Struct, frozen=True):
    """A context that no error leaves."""

    work: Work
    name: str

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Return whether the work goes on."""
        if isinstance(error, Exception):
            self.work.failed(self.name, error)
        return error is None or isinstance(error, Exception)
