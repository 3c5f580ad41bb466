"""The sides that wait, or were traced alone: as they stand, by their logs, and by who may be their partner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from otelmig.migration.side import Role, SideState
from otelmig.pairing.index import PairingIndex
from otelmig.pairing.migration import unpaired
from otelmig.pairing.pairing import pair_sides
from otelmig.structs import Struct
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["ALONE_S", "OVER", "SideKey", "Sides", "Waiter", "phase_of", "side_key"]

OVER: Final = "over"
"""The phase of a side that has said its last word: it is in no span any more."""
_MOST_COMPARED: Final = 64
"""At most so many sides are compared with one another; more have no one way to be paired."""
_MOST_ALONE: Final = 1024
"""At most so many sides that were traced alone can be found by a partner that comes late."""
ALONE_S: Final = 86_400.0
"""For so long they can be."""


class SideKey(NamedTuple):
    """Tells a side from all others, and stays the same while its log grows."""

    process: str
    role: Role
    attempt: int


def side_key(side: Side) -> SideKey:
    """Return the key of a side."""
    return SideKey(side.vmm.key, side.role, side.attempt)


def phase_of(side: Side) -> str:
    """Return how far a side has come: the name of the span that it is in, or ``over`` if it is in none any more."""
    if side.state is SideState.OVER:
        return OVER
    if side.role is Role.DESTINATION:
        return SpanName.RECEIVE
    sent = side.sent
    if sent.downtime is not None or sent.snapshot.sign is not None or sent.pause.sign is not None:
        return SpanName.DOWNTIME
    return SpanName.PRECOPY if sent.memory.was_sent or sent.memory.iterations else SpanName.SETUP


class Waiter(Struct, kw_only=True):
    """A side that no trace was made of yet, or that was traced alone."""

    side: Side
    began_s: float
    changed_s: float
    """When its state changed last, or a line came that may be its last word."""
    over_s: float | None = None
    """Since when it has been over, by itself."""
    due_s: float = 0.0
    """When it is looked at next."""
    is_hurried: bool = False
    """Whether it is traced as it stands: there is no room for it."""
    is_slim: bool = False
    """Whether of its side only what tells it from others is kept."""
    as_of: int | None = None
    """What had changed when the side was last asked for as it stands; None if it was not since it was taken."""
    why: str = ""
    """What it waits for, for whoever asks."""
    alone: tuple[str, str] | None = None
    """The trace and the root span that were made of it, when it was traced alone."""


@dataclass(slots=True, kw_only=True)
class Sides:
    """All sides that wait, or were traced alone."""

    hypervisors: Mapping[str, Hypervisor]
    again: Callable[[Side], Side | None]
    """Returns a side as it stands now; None if it proved to be none: another side's event stream, say."""
    change_of: Callable[[Side], int]
    """Returns a number that is another one once ``again`` may return another side."""
    index: PairingIndex = field(init=False)
    _waiters: dict[SideKey, Waiter] = field(default_factory=dict)
    _alone: dict[SideKey, float] = field(default_factory=dict)
    """Those that were traced alone, the earliest first, and when."""
    _stale: dict[SideKey, None] = field(default_factory=dict)
    """Sides that changed since the index was told of them."""
    _by_log: dict[str, set[SideKey]] = field(default_factory=dict)
    """By the key of the log that each was read from."""

    def __post_init__(self) -> None:
        self.index = PairingIndex(self.hypervisors, whole=self._whole)

    def __iter__(self) -> Iterator[Waiter]:
        """Yield those that wait."""
        return (waiter for waiter in self._waiters.values() if waiter.alone is None)

    def get(self, key: SideKey) -> Waiter | None:
        """Return a side that waits, or was traced alone."""
        return self._waiters.get(key)

    def put(self, side: Side, now_s: float) -> Waiter:
        """Take a side whose state changed; return what is known of it."""
        key = side_key(side)
        waiter = self._waiters.get(key)
        if waiter is None:
            waiter = self._waiters[key] = Waiter(side=side, began_s=now_s, changed_s=now_s)
            self._by_log.setdefault(side.vmm.inputs[0], set()).add(key)
        waiter.changed_s = now_s
        self._replace(waiter, side)
        return waiter

    def remove(self, key: SideKey) -> None:
        """Forget a side."""
        waiter = self._waiters.pop(key, None)
        self._alone.pop(key, None)
        self._stale.pop(key, None)
        if waiter is None:
            return
        self.index.remove(waiter.side)
        log = waiter.side.vmm.inputs[0]
        self._by_log[log].discard(key)
        if not self._by_log[log]:
            del self._by_log[log]

    def forget(self, side: Side) -> None:
        """Forget a side that waits; one that was traced alone stays."""
        waiter = self._waiters.get(side_key(side))
        if waiter is not None and waiter.alone is None:
            self.remove(side_key(side))

    def leave_alone(self, key: SideKey, trace: tuple[str, str], now_s: float) -> None:
        """Note the trace that was made of a side alone: a partner that comes late is linked to it."""
        waiter = self._waiters.get(key)
        if waiter is None or waiter.alone is not None:
            return
        waiter.alone, waiter.why = trace, ""
        self._alone[key] = now_s

    def put_alone(self, side: Side, trace: tuple[str, str], now_s: float) -> None:
        """Take a side that was traced alone before a restart."""
        known = self._waiters.get(side_key(side))
        if known is None or known.alone is None:
            self.put(side, now_s)
            self.leave_alone(side_key(side), trace, now_s)

    def no_longer_alone(self, now_s: float, *, spare: int = 0) -> Iterator[Side]:
        """Forget and yield sides that were traced alone: what is too old or too much, and the ``spare`` oldest."""
        while self._alone:
            key, alone_s = next(iter(self._alone.items()))
            if now_s - alone_s < ALONE_S and len(self._alone) <= _MOST_ALONE and spare <= 0:
                return
            side = self._waiters[key].side
            self.remove(key)
            spare -= 1
            yield side

    def drop_log(self, key: str, read_again: Iterable[Side] = ()) -> None:
        """Forget the sides of a log that no trace was made of: it was read again, or proved to be part of another's.

        So are those forgotten that were traced alone and are others by their place in the log now, as an earlier
        process came to be known: whoever takes what was read again takes them anew.
        """
        now = {(side.role, side.identity): side_key(side) for side in read_again}
        for waiter_key in list(self._by_log.get(key, ())):
            waiter = self._waiters[waiter_key]
            if waiter.alone is None or now.get((waiter_key.role, waiter.side.identity), waiter_key) != waiter_key:
                self.remove(waiter_key)

    def slim(self, log: str) -> None:
        """Keep of the sides of a log what tells them from others: their log is put aside."""
        self._update_index()
        for key in self._by_log.get(log, ()):
            waiter = self._waiters[key]
            if waiter.alone is not None or waiter.is_slim:
                continue  # its lines may not be in the state any more, or it is
            waiter.is_slim, waiter.as_of = True, None
            side = waiter.side
            first, last = side.observations[0], side.observations[-1]
            waiter.side = replace(side, observations=(first, last), incidents=(), record=None)
            self.index.exchange(waiter.side)

    def refresh(self, side: Side) -> bool:
        """Take a side that waits as it stands now, which is no news; False if it does not wait."""
        waiter = self._waiters.get(side_key(side))
        if waiter is not None:
            self._replace(waiter, side)
        return waiter is not None

    def current(self, side: Side) -> Side:
        """Return a side as it was taken or refreshed last."""
        waiter = self._waiters.get(side_key(side))
        return side if waiter is None else waiter.side

    def needs(self, log: str) -> bool:
        """Return whether a side of a log waits, or its partner may come late."""
        return log in self._by_log

    def refreshed(self, waiter: Waiter) -> Side | None:
        """Return the side of a waiter as it stands now; None if it proved to be none, and is forgotten."""
        if waiter.alone is not None:
            return waiter.side
        if waiter.as_of is not None and waiter.as_of == self.change_of(waiter.side):
            return waiter.side
        side = self.again(waiter.side)
        if side is None or (waiter.is_slim and side is waiter.side):
            self.remove(side_key(waiter.side))
            return None
        if side is not waiter.side:
            self._replace(waiter, side)
        waiter.as_of = self.change_of(side)
        return side

    def paired(self, side: Side, compared: Sequence[Side]) -> tuple[Migration, Waiter | None]:
        """Return the migration that a side is part of by all that is known now, and its partner there."""
        pairing = pair_sides(compared, self.hypervisors, (), clocks_hold=True)
        own = side_key(side)
        for migration in pairing.migrations:
            keys = [side_key(member) for member in migration.sides]
            if own in keys:
                other = next((key for key in keys if key != own), None)
                return migration, None if other is None else self._waiters.get(other)
        return unpaired(side), None

    def compared(self, side: Side) -> Sequence[Side]:
        """Return the side with whatever may be its partner, what may be theirs, and so on."""
        self._update_index()
        own = side_key(side)
        related: dict[SideKey, Side] = {own: side}
        queue = [side]
        # related: all that belong together so far; queue: those of them whose candidates are still to be looked up
        while queue and len(related) < _MOST_COMPARED:
            for candidate in self.index.candidates(queue.pop(0)):
                key = side_key(candidate)
                if key in related or key not in self._waiters:
                    continue
                related[key] = candidate
                queue.append(candidate)
        return list(related.values())

    def _whole(self, side: Side) -> Side | None:
        """Return a side that waits, or was traced alone, as it stands now; None if it proved to be none."""
        waiter = self._waiters.get(side_key(side))
        return side if waiter is None else self.refreshed(waiter)

    def _replace(self, waiter: Waiter, side: Side) -> None:
        waiter.side, waiter.is_slim, waiter.as_of = side, False, None
        self._stale[side_key(side)] = None

    def _update_index(self) -> None:
        """Let the sides that changed be found as they are now."""
        for key in self._stale:
            waiter = self._waiters.get(key)
            if waiter is not None:
                self.index.add(waiter.side)
        self._stale.clear()
