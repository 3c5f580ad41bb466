"""Which logs are kept, and for how long: as long as a trace needs their lines, or a partner that comes late."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.live.drawing import is_gone
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from otelmig.live.drawing import Finished
    from otelmig.live.logs.live_logs import LiveLogs
    from otelmig.live.logs.log_store import LogStore
    from otelmig.live.logs.parting import Parting
    from otelmig.live.sides import Sides
    from otelmig.live.waiting import Waiting
    from otelmig.migration.side import Side

__all__ = ["Retention"]

_AT_ONCE: Final = 100
"""So many logs or sides are given up at a time where the state is full."""


class Retention(Struct, frozen=True, kw_only=True):
    """Puts aside and forgets what nothing needs any more."""

    logs: LiveLogs
    store: LogStore
    sides: Sides
    waiting: Waiting
    read_late: Callable[[Iterable[str]], None]
    """Reads what came late of logs: it may be needed."""
    _unsafe: Counter[str] = field(default_factory=Counter)
    """Traces that are not safe yet, by the keys of the logs that they were made of."""
    _sources: dict[str, Side] = field(default_factory=dict)
    """The sources of those traces, by the traces' ids."""

    @property
    def unsafe_sources(self) -> Collection[Side]:
        """The sources of traces that are not safe yet."""
        return self._sources.values()

    def traced(self, finished: Finished) -> None:
        """Keep the lines that a trace was made of until it is :meth:`safe`."""
        self._unsafe.update(done.file for done in finished.done)
        if finished.migration.source is not None:
            self._sources[finished.trace.trace_id] = finished.migration.source

    def safe(self, finished: Finished) -> None:
        """Forget the lines that a trace was made of, if their process is gone: the trace cannot be lost any more."""
        self._sources.pop(finished.trace.trace_id, None)
        self._unsafe.subtract(done.file for done in finished.done)
        for done in finished.done:
            if not self._unsafe[done.file]:
                del self._unsafe[done.file]
        self._leave(finished.parted)

    def put_aside_idle(self, now_s: float) -> None:
        """Keep in the state only what was not used for long."""
        for key in self.store.idle(now_s):
            alike = self.logs.named_alike(key)
            self.read_late(alike)
            for log in alike:
                self.sides.slim(log)
            self.store.put_aside(key, is_needed=self._is_needed(key))

    def make_room(self, now_s: float) -> None:
        """Let the state shrink: forget what is kept for later migrations; if nothing is, give up the oldest sides."""
        self.forget_alone(now_s, spare=_AT_ONCE)
        spare = [key for key in self.store.spare() if not self._is_needed(key)]
        if not self.store.forget(spare[:_AT_ONCE]):
            self.waiting.hurry(_AT_ONCE, now_s)

    def forget_alone(self, now_s: float, *, spare: int = 0) -> None:
        """Let go of sides that were traced alone: their partners do not come any more."""
        for side in self.sides.no_longer_alone(now_s, spare=spare):
            key = side.vmm.inputs[0]
            if is_gone(side):
                for alike in self.store.those_aside(key):
                    self.store.read(alike, now_s)
                partings = {alike: self.logs.parting(alike) for alike in self.logs.named_alike(key)}
                if partings[key].processes <= {side.vmm.key}:
                    self._leave(partings)
            elif not self._is_needed(key):
                for alike in self.logs.named_alike(key):
                    self.store.release(alike)

    def _is_needed(self, key: str) -> bool:
        """Return whether lines of a log, or of what is named like it, are needed for a trace."""
        return any(self.sides.needs(alike) or self._unsafe[alike] for alike in self.logs.named_alike(key))

    def _leave(self, partings: Mapping[str, Parting]) -> None:
        """Forget the lines of logs whose process is gone, unless another side needs them."""
        self.read_late(partings)
        for key, parting in partings.items():
            if not any(map(self.sides.needs, self.logs.named_alike(key))):
                self.store.leave(key, parting)
