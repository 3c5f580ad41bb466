"""What sides wait for: their last word, lines that may be late, their partner; and which migrations are ready."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.live.sides import SideKey, Sides, side_key
from otelmig.migration.side import Result, Role, SideState
from otelmig.pairing.agreement import was_answered
from otelmig.pairing.migration import unpaired
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelmig.live.options import LiveOptions
    from otelmig.live.sides import Waiter
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Ready", "Waiting"]

_LONGEST_SETTLE: Final = 10
"""Times the settling time: a log that never rests holds up the trace of its last attempt no longer than this."""


class Ready(Struct, frozen=True, kw_only=True):
    """A migration that a trace is made of now."""

    migration: Migration
    other: tuple[str, str] | None = None
    """The trace of the other side, and its root span, where that was exported before this side was there."""
    open: bool = False
    """Whether a side of it is not over: nothing was heard of it for long."""


class Waiting(Struct, kw_only=True):
    """All sides that wait, and what they wait for."""

    options: LiveOptions
    sides: Sides
    touched_s: Callable[[Side], float]
    """Returns when a line of its process was read last."""
    may_come: Callable[[Side], bool]
    """Returns whether lines of it are missing that may still come."""
    reads_again_s: Callable[[Sequence[Side]], float | None]
    """Returns when what came late of the logs of sides will have been read; None if nothing did."""
    put_beside: Callable[[Side], bool]
    """Finds what else was read of the processes of its host, and returns whether there was any: it is in them now."""
    late: int = 0
    """Sides whose partner had been exported without them."""
    hurried: int = 0
    """Sides that were traced before their time, because the state was full."""
    _due: list[tuple[float, int, SideKey]] = field(default_factory=list)
    _count: int = 0

    def take(self, side: Side, now_s: float) -> None:
        """Take a side whose state changed."""
        key = side_key(side)
        known = self.sides.get(key)
        if known is not None and known.alone is not None:
            return
        waiter = self.sides.put(side, now_s)
        if side.state is SideState.OVER:
            waiter.over_s = now_s if waiter.over_s is None else waiter.over_s
        else:
            waiter.over_s = None
        timeout_s = self.options.silent_timeout_s if side.state is SideState.OPEN else self.options.settle_s
        self._look_at(key, waiter, now_s + timeout_s)

    def exported(self, migration: Migration, trace: tuple[str, str], now_s: float) -> None:
        """Note that a trace was made of a migration."""
        if len(migration.sides) > 1:
            self.forget(migration)
        else:
            self.sides.leave_alone(side_key(migration.reference), trace, now_s)

    def forget(self, migration: Migration) -> None:
        """Forget the sides of a migration that no trace can be made of: nothing can be linked to it."""
        for side in migration.sides:
            self.sides.remove(side_key(side))

    @property
    def next_due_s(self) -> float | None:
        """When something is to be looked at next; None for never."""
        return self._due[0][0] if self._due else None

    def ready(self, now_s: float) -> Iterable[Ready]:
        """Yield what is ready; whoever takes it calls :meth:`exported` before the next one."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, key = heapq.heappop(self._due)
            waiter = self.sides.get(key)
            if waiter is None or waiter.alone is not None or waiter.due_s != due_s:
                continue
            ready = self._look(key, waiter, now_s)
            if ready is not None:
                yield ready

    def hurry(self, most: int, now_s: float) -> None:
        """Trace the sides that wait longest as they stand: there is no room for them."""
        waiting = sorted(self.sides, key=lambda waiter: waiter.began_s)[:most]
        self.hurried += len(waiting)
        for waiter in waiting:
            waiter.is_hurried = True
            self._look_at(side_key(waiter.side), waiter, now_s)

    def look_again(self, migration: Migration, now_s: float) -> None:
        """Look at the sides of a migration once more: they were read again, and nothing was new."""
        for side in migration.sides:
            waiter = self.sides.get(side_key(side))
            if waiter is not None and waiter.alone is None:
                self._look_at(side_key(side), waiter, now_s)

    def reasons(self, now_s: float) -> list[tuple[Side, float, str]]:
        """Return each side that waits, since when (in seconds), and for what."""
        return [(waiter.side, now_s - waiter.began_s, waiter.why or "its last word") for waiter in self.sides]

    def _look_at(self, key: SideKey, waiter: Waiter, due_s: float) -> None:
        waiter.due_s = due_s
        self._count += 1
        heapq.heappush(self._due, (due_s, self._count, key))

    def _look(self, key: SideKey, waiter: Waiter, now_s: float) -> Ready | None:
        """Look at a side whose time has come; return what it is part of, if that is ready."""
        side = self.sides.refreshed(waiter)
        if side is None:
            return None
        silent = waiter.is_hurried or now_s - waiter.changed_s >= self.options.silent_timeout_s
        if not silent:
            later = self._unsettled(side, waiter, now_s)
            if later is not None:
                waiter.why, due_s = later
                self._look_at(key, waiter, due_s)
                return None
        compared = self.sides.compared(side)
        read_s = self.reads_again_s(compared)
        if read_s is not None:
            waiter.why = "lines that came late"
            self._look_at(key, waiter, max(read_s, now_s))
            return None
        if any(stream.vmm.is_event_stream and self.put_beside(stream) for stream in compared):
            self._look_at(key, waiter, now_s)  # if it was part of another, it is no side any more
            return None
        migration, partner = self.sides.paired(side, compared)
        if partner is None:
            return self._without_partner(key, waiter, migration, now_s, silent=silent)
        if partner.alone is not None:
            self.late += 1
            alone = unpaired(side, (f"its other side was exported before, as trace {partner.alone[0]}",))
            return Ready(migration=alone, other=partner.alone)
        return self._with_partner(key, waiter, partner, migration, now_s, silent=silent)

    def _unsettled(self, side: Side, waiter: Waiter, now_s: float) -> tuple[str, float] | None:
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
        self, key: SideKey, waiter: Waiter, migration: Migration, now_s: float, *, silent: bool
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
        if until_s <= now_s or waiter.is_hurried:
            return Ready(migration=migration)
        waiter.why = migration.reasons[0] if migration.reasons else "its partner"
        self._look_at(key, waiter, until_s)
        return None

    def _with_partner(
        self, key: SideKey, waiter: Waiter, partner: Waiter, migration: Migration, now_s: float, *, silent: bool
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
        if (quiet and silent) or waiter.is_hurried:
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
        before = self.sides.get(SideKey(side.vmm.key, side.role, side.attempt - 1))
        return before is not None and before.alone is None
