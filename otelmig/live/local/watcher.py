"""The watcher: files of this machine in, traces out; what a restart needs is in the files and in the state.

The state says how far each file was read, in one transaction with the lines that are still needed. So nothing is put
on the disk line by line: what was read since is read again.
"""

from __future__ import annotations

import os
import select
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import field

from otelmig.live.local.under_way import under_way
from otelmig.live.local.writers import writer_gone
from otelmig.otlp.intake.request import ReceivedLogs
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otelmig.inputs.tailing import FileGone, Tailed
    from otelmig.live.local.listening import Listening
    from otelmig.live.local.under_way import UnderWay
    from otelmig.live.work import Work

__all__ = ["Source", "Watcher"]

_BATCH_S: Final = 0.07
"""Seconds in which changes are gathered before they are looked at; twice as long, if they can wait."""
_SHOW_S: Final = 0.25
"""Seconds between two looks at what is under way."""
_SHOW_SHARE: Final = 20
"""At least so many times as long as a look took."""
_LONGEST_WAIT_S: Final = 1.0


class Source(Protocol):
    """Where records come from."""

    def fileno(self) -> int | None:
        """Return the descriptor that can be read when something changed; None if only time tells."""

    @property
    def next_due_s(self) -> float:
        """When :meth:`poll` is to be called at the latest (monotonic clock)."""

    def can_wait(self) -> bool:
        """Return whether nothing came but lines, which cost less to read if more of them are read at once."""

    def poll(self, now_s: float) -> Tailed:
        """Read what is there."""

    def restore(self, saved: Mapping[str, str]) -> None:
        """Take how far was read before a restart: what :meth:`changed` gave, and what other sources gave."""

    def changed(self) -> Mapping[str, str]:
        """Return how far was read, by what was read, where that changed since this was asked last."""

    def over(self) -> Sequence[str]:
        """Return of what it need not be known any more how far it was read, since this was asked last."""


class Watcher(Struct, kw_only=True):
    """Everything between the files and the receivers; one thread, and that of the outlet."""

    work: Work
    sources: Sequence[Source]
    on_gone: Callable[[FileGone], None]
    on_under_way: Callable[[Sequence[UnderWay]], None] | None
    """Told, a few times a second, which migrations are under way, as long as any is; None where nobody looks."""
    enough: Callable[[], bool]
    """Returns whether the work is done."""
    listening: Listening | None = None
    """Takes what programs that start migrations announce; None if nobody can."""
    _is_stopping: bool = False
    _wake_pipe: tuple[int, int] = field(default_factory=lambda: os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    _show_s: float = 0.0
    _was_shown: bool = False

    def __post_init__(self) -> None:
        self.work.before_flush = self._note_how_far
        if self.listening is not None:
            self.listening.requests.wake = self.wake

    def stop(self) -> None:
        """Make :meth:`run` end; may be called from a signal handler."""
        self._is_stopping = True
        if self.listening is not None:
            self.listening.requests.stop()
        self.wake()

    def wake(self) -> None:
        """Wake :meth:`run`; may be called from any thread."""
        with suppress(BlockingIOError):
            os.write(self._wake_pipe[1], b"\0")

    def restore(self) -> None:
        """Go on where the last run stopped, with all that was written since.

        Raises:
            StateError: the state cannot be read.
        """
        self.work.assembly.restore(time.monotonic())
        saved = self.work.state.tails()
        for source in self.sources:
            source.restore(saved)
        self._read()
        self.work.flush()
        if self.listening is not None:
            self.listening.start()

    def run(self, until_s: float | None = None) -> None:
        """Work until :meth:`stop` is called, it is ``enough``, or it is ``until_s`` (monotonic clock)."""
        while not self._is_stopping and not self.enough():
            if until_s is not None and time.monotonic() >= until_s:
                break
            self._look_around()
            if self._wait(until_s):
                time.sleep(_BATCH_S)
                if all(source.can_wait() for source in self.sources):
                    time.sleep(_BATCH_S)
            self._read()
            if self.listening is not None:
                self.listening.take()  # after the lines that were written before
        if self.listening is not None:
            self.listening.end()
        self._look_around()

    def _wait(self, until_s: float | None) -> bool:
        """Wait until something was written, or something is due; return whether something was written."""
        now_s = time.monotonic()
        times = [now_s + _LONGEST_WAIT_S, *(source.next_due_s for source in self.sources)]
        times += [due_s for due_s in (self.work.assembly.next_due_s, until_s) if due_s is not None]
        if self._was_shown:
            times.append(self._show_s)
        descriptors = [number for number in (source.fileno() for source in self.sources) if number is not None]
        ready, _, _ = select.select([self._wake_pipe[0], *descriptors], [], [], max(min(times) - now_s, 0.0))
        if self._wake_pipe[0] in ready:
            with suppress(BlockingIOError):
                os.read(self._wake_pipe[0], 1 << 10)
        return any(number in ready for number in descriptors)

    def _read(self) -> None:
        """Read what was written; a fault over it must not end the work."""
        assembly = self.work.assembly
        for source in self.sources:
            with self.work.guarded("what was written"):
                now_s = time.monotonic()
                tailed = source.poll(now_s)
                if tailed.records:
                    assembly.take(ReceivedLogs(tuple(tailed.records), (), Counter()), now_s, time.time_ns())
                for gone in tailed.gone:
                    writer_gone(assembly, gone.key, now_s)
                    self.on_gone(gone)

    def _look_around(self) -> None:
        """Do what is due, and show what is under way."""
        for finished in self.work.look_around():
            if self.listening is not None:
                self.listening.status.last_delay_s = time.monotonic() - finished.last_word_s
        with self.work.guarded("what is under way"):
            self._show(time.monotonic())

    def _show(self, now_s: float) -> None:
        """Tell what is under way, if it is time to; a twentieth of the time at most goes into that."""
        if self.on_under_way is None:
            return
        is_any = next(iter(self.work.assembly.sides), None) is not None
        if (is_any and now_s >= self._show_s) or (self._was_shown and not is_any):
            self.on_under_way(under_way(self.work.assembly, now_s))
            self._was_shown = is_any
            self._show_s = now_s + max(_SHOW_S, _SHOW_SHARE * (time.monotonic() - now_s))

    def _note_how_far(self) -> Sequence[int]:
        """Write, with everything else, how far each source was read."""
        changes = self.work.assembly.changes
        for source in self.sources:
            changes.gone_tails += source.over()
            changes.tails |= source.changed()
        return ()
