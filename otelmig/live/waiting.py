"""Sides that wait: for their last word, for lines that may be late, for their partner; and what is ready."""

from __future__ import annotations

import heapq
from dataclasses import field
from typing import TYPE_CHECKING, Final

from otelmig.dataclass import dataclass
from otelmig.live.ready import Ready, SideKey, side_key
from otelmig.migration.side import Result, Role, SideState
from otelmig.pairing.agreement import was_answered
from otelmig.pairing.migration import unpaired
from otelmig.pairing.pairing import pair_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.live.options import LiveOptions
    from otelmig.live.ready import Candidates
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Waiting"]

_MOST_COMPARED: Final = 64
"""At most so many sides are compared with one another; more have no one way to be paired."""
_REMEMBERED: Final = 4096
"""At most so many sides that were traced alone can be found by a partner that comes late."""


@dataclass(slots=True, kw_only=True)
class _Waiter:
    """A side that no trace was made of yet, or that was traced alone."""

    side: Side
    began_s: float
    changed_s: float
    """When its state changed last, or a line came that may be its last word."""
    over_s: float | None = None
    """Since when it has been over, by itself."""
    due_s: float = 0.0
    """When it is looked at next."""
    why: str = ""
    """What it waits for, for whoever asks."""
    alone: tuple[str, str] | None = None
    """The trace and the root span that were made of it, when it was traced alone."""


@dataclass(slots=True, kw_only=True)
class Waiting:
    """All sides that wait, and what they wait for."""

    hypervisors: Mapping[str, Hypervisor]
    options: LiveOptions
    index: Candidates
    again: Callable[[Side], Side]
    """Returns a side as it stands now."""
    touched_s: Callable[[Side], float]
    """Returns when a line of its process was read last."""
    may_come: Callable[[Side], bool]
    """Returns whether lines of it are missing that may still come."""
    late: int = 0
    """Sides whose partner had been exported without them."""
    _waiters: dict[SideKey, _Waiter] = field(default_factory=dict)
    _due: list[tuple[float, int, SideKey]] = field(default_factory=list)
    _count: int = 0
    _alone: dict[SideKey, None] = field(default_factory=dict)
    _by_log: dict[str, set[SideKey]] = field(default_factory=dict)
    """By the key of the log that each was read from."""

    def take(self, side: Side, now_s: float) -> None:
        """Take a side whose state changed."""
        key = side_key(side)
        waiter = self._waiters.get(key)
        if waiter is None:
            waiter = self._waiters[key] = _Waiter(side=side, began_s=now_s, changed_s=now_s)
        else:
            if waiter.alone is not None:
                return
            self.index.remove(waiter.side)
            waiter.side, waiter.changed_s = side, now_s
        self.index.add(side)
        self._by_log.setdefault(side.vmm.inputs[0], set()).add(key)
        if side.state is SideState.OVER:
            waiter.over_s = now_s if waiter.over_s is None else waiter.over_s
            self._look_at(key, waiter, now_s + self.options.settle_s)
        elif side.state is SideState.ASK_PARTNER:
            waiter.over_s = None
            self._look_at(key, waiter, now_s + self.options.settle_s)
        else:
            waiter.over_s = None
            self._look_at(key, waiter, now_s + self.options.silent_timeout_s)

    def drop_log(self, key: str) -> None:
        """Forget the sides of a log that no trace was made of: it is read again, or proved to be part of another's."""
        for each in list(self._by_log.get(key, ())):
            if self._waiters[each].alone is None:
                self._remove(each)

    def exported(self, migration: Migration, trace: tuple[str, str]) -> None:
        """Note that a trace was made of a migration."""
        for side in migration.sides:
            key = side_key(side)
            waiter = self._waiters.get(key)
            if waiter is None:
                continue
            if len(migration.sides) > 1:
                self._remove(key)
                continue
            waiter.alone, waiter.why = trace, ""
            self._alone[key] = None
            while len(self._alone) > _REMEMBERED:
                self._remove(next(iter(self._alone)))

    @property
    def next_due_s(self) -> float | None:
        """When something is to be looked at next; None for never."""
        return self._due[0][0] if self._due else None

    def ready(self, now_s: float) -> Iterable[Ready]:
        """Yield what is ready; whoever takes it calls :meth:`exported` before the next one."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, key = heapq.heappop(self._due)
            waiter = self._waiters.get(key)
            if waiter is None or waiter.alone is not None or waiter.due_s != due_s:
                continue
            ready = self._look(key, waiter, now_s)
            if ready is not None:
                yield ready

    def waits(self, log: str) -> bool:
        """Return whether a side of a log waits."""
        return any(self._waiters[key].alone is None for key in self._by_log.get(log, ()))

    def rest(self) -> Iterable[Side]:
        """Yield the sides that no trace was made of."""
        return (waiter.side for waiter in self._waiters.values() if waiter.alone is None)

    def reasons(self, now_s: float) -> list[tuple[Side, float, str]]:
        """Return each side that waits, since when (in seconds), and for what."""
        return [
            (waiter.side, now_s - waiter.began_s, waiter.why or "its last word")
            for waiter in self._waiters.values()
            if waiter.alone is None
        ]

    def _look_at(self, key: SideKey, waiter: _Waiter, due_s: float) -> None:
        waiter.due_s = due_s
        self._count += 1
        heapq.heappush(self._due, (due_s, self._count, key))

    def _remove(self, key: SideKey) -> None:
        waiter = self._waiters.pop(key, None)
        self._alone.pop(key, None)
        if waiter is None:
            return
        self.index.remove(waiter.side)
        log = waiter.side.vmm.inputs[0]
        self._by_log[log].discard(key)
        if not self._by_log[log]:
            del self._by_log[log]

    def _look(self, key: SideKey, waiter: _Waiter, now_s: float) -> Ready | None:
        """Look at a side whose time has come; return what it is part of, if that is ready."""
        waiter.side = self._refreshed(waiter)
        side = waiter.side
        silent = now_s - waiter.changed_s >= self.options.silent_timeout_s
        if not silent:
            later = self._unsettled(side, waiter, now_s)
            if later is not None:
                waiter.why, due_s = later
                self._look_at(key, waiter, due_s)
                return None
        migration, partner = self._paired(side)
        if partner is None:
            return self._without_partner(key, waiter, migration, now_s, silent=silent)
        if partner.alone is not None:
            self.late += 1
            alone = unpaired(side, (f"its other side was exported before, as trace {partner.alone[0]}",))
            return Ready(migration=alone, other=partner.alone)
        return self._with_partner(key, waiter, partner, migration, now_s, silent=silent)

    def _unsettled(self, side: Side, waiter: _Waiter, now_s: float) -> tuple[str, float] | None:
        """Return what a side still waits for before it is known as well as it will be, and until when."""
        settle_s = self.options.settle_s
        settled_s = max(waiter.changed_s, self.touched_s(side)) + settle_s
        if now_s < settled_s and now_s - waiter.changed_s < _LONGEST_SETTLE * settle_s:
            return "lines that may follow", settled_s
        if self.may_come(side):
            return "lines that are missing", now_s + settle_s
        if side.attempt > 1 and self._earlier(side):
            return "the attempt before it", now_s + settle_s
        return None

    def _without_partner(
        self, key: SideKey, waiter: _Waiter, migration: Migration, now_s: float, *, silent: bool
    ) -> Ready | None:
        """Return a side alone if it has no partner, or none that will come."""
        side = waiter.side
        if side.state is not SideState.OVER:
            if silent:
                return Ready(migration=migration, open=True)
            waiter.why = "its last word"
            self._look_at(key, waiter, waiter.changed_s + self.options.silent_timeout_s)
            return None
        if side.role is Role.SOURCE and not was_answered(side) and side.result is not Result.UNKNOWN:
            return Ready(migration=migration)
        until_s = (now_s if waiter.over_s is None else waiter.over_s) + self.options.partner_timeout_s
        if until_s <= now_s:
            return Ready(migration=migration)
        waiter.why = migration.reasons[0] if migration.reasons else "its partner"
        self._look_at(key, waiter, until_s)
        return None

    def _with_partner(
        self, key: SideKey, waiter: _Waiter, partner: _Waiter, migration: Migration, now_s: float, *, silent: bool
    ) -> Ready | None:
        """Return a pair if both sides of it are over, or one is and the other cannot say so by itself."""
        options = self.options
        states = {waiter.side.state, partner.side.state}
        quiet = now_s - max(waiter.changed_s, partner.changed_s) >= options.silent_timeout_s
        if states <= {SideState.OVER, SideState.ASK_PARTNER} and SideState.OVER in states:
            later = None if quiet else self._unsettled(partner.side, partner, now_s)
            if later is None:
                return Ready(migration=migration)
            waiter.why, due_s = later
            self._look_at(key, waiter, due_s)
            return None
        if quiet and silent:
            return Ready(migration=migration, open=True)
        if waiter.side.state is SideState.OVER and waiter.side.result is not Result.SUCCESS:
            # it failed, and its partner knows it by now, unless it is gone
            gone_s = max(waiter.changed_s, partner.changed_s) + options.partner_timeout_s
            if gone_s <= now_s:
                return Ready(migration=migration, open=True)
            waiter.why = "its partner's last word"
            self._look_at(key, waiter, gone_s)
            return None
        waiter.why = "its partner's last word"
        self._look_at(key, waiter, max(waiter.changed_s, partner.changed_s) + options.silent_timeout_s)
        return None

    def _earlier(self, side: Side) -> bool:
        """Return whether the attempt before this one waits, too: its trace is the one that this one's links to."""
        before = self._waiters.get(SideKey(side.vmm.key, side.role, side.attempt - 1))
        return before is not None and before.alone is None

    def _refreshed(self, waiter: _Waiter) -> Side:
        """Return the side of a waiter as it stands now."""
        side = self.again(waiter.side)
        if side is not waiter.side:
            self.index.remove(waiter.side)
            self.index.add(side)
        return side

    def _paired(self, side: Side) -> tuple[Migration, _Waiter | None]:
        """Return the migration that a side is part of by all that is known now, and its partner there."""
        compared = self._compared(side)
        pairing = pair_sides(compared, self.hypervisors, (), None)
        own = side_key(side)
        for migration in pairing.migrations:
            keys = [side_key(each) for each in migration.sides]
            if own in keys:
                other = next((key for key in keys if key != own), None)
                return migration, None if other is None else self._waiters.get(other)
        return unpaired(side), None

    def _compared(self, side: Side) -> Sequence[Side]:
        """Return the side with whatever may be its partner, what may be theirs, and so on."""
        own = side_key(side)
        found: dict[SideKey, Side] = {own: side}
        queue = [side]
        # found: all that belong together so far; queue: those of them whose candidates are still to be looked up
        while queue and len(found) < _MOST_COMPARED:
            for each in self.index.candidates(queue.pop(0)):
                key = side_key(each)
                if key in found or key not in self._waiters:
                    continue
                waiter = self._waiters[key]
                found[key] = waiter.side = self._refreshed(waiter) if waiter.alone is None else waiter.side
                queue.append(waiter.side)
        return list(found.values())


_LONGEST_SETTLE: Final = 10
"""Times the settling time: a log that never rests holds up the trace of its last attempt no longer than this."""
