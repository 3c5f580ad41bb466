"""The announcements that wait for their migrations, or were used lately."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from otelmig import announcement as names
from otelmig.live.announced.announced import Announced, endpoint_of, vm_of
from otelmig.live.announced.window import KEPT_NS, is_in_time, likeliest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from otelmig.live.announced.announced import Place
    from otelmig.migration.side import Side
    from otelmig.otlp.intake.announcement import Announcement

__all__ = ["Announcements"]

_MOST: Final = 100_000
"""Announcements that are kept at a time; the earliest go first."""
_SAMPLED: Final = 1
_FAILED: Final = frozenset({names.ClientResult.FAILED, names.ClientResult.CANCELLED})


class Announcements:
    """The announcements that wait for their migrations, or were used lately; each is used by one attempt."""

    def __init__(self) -> None:
        self.taken = 0
        """Announcements, without copies."""
        self.unmatched = 0
        """Those that no migration was found for: it never came, or its trace had been made before."""
        self.late = 0
        """Those that came after the trace of a migration that they may have asked for."""
        self.evicted = 0
        """Those that were forgotten before their time, because there were too many."""
        self._known: OrderedDict[tuple[str, str], Announced] = OrderedDict()
        self._by_place: dict[Place, dict[tuple[str, str], None]] = {}
        self._unannounced: OrderedDict[Place, int] = OrderedDict()
        """Where attempts went that nobody had announced when their traces were made, and when that was."""

    def __iter__(self) -> Iterator[Announced]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return sum(1 for announced in self if not announced.used_by)

    def restore(self, announced: Announced) -> None:
        """Take one that was saved."""
        self._put(announced)

    def take(self, announcement: Announcement, at_ns: int) -> Announced | None:
        """Take a record; return what is known of the announcement now, or None for a copy or one without a span."""
        if not announcement.trace_id or not announcement.span_id:
            return None
        before = self._known.get((announcement.trace_id, announcement.span_id))
        if announcement.name == names.RecordName.RETURNED:
            if before is not None and before.returned_ns is not None:
                return None
            base = before or self._new(announcement, at_ns)
            known = base._replace(returned_ns=at_ns, has_failed=announcement.attributes.get(names.RESULT) in _FAILED)
        elif before is not None:
            # a copy, or the answer came first: then the earlier time holds
            known = before._replace(announced_ns=min(before.announced_ns, at_ns))
            if known == before:
                return None
        else:
            known = self._new(announcement, at_ns)
        self._put(known)
        return known

    def evict(self) -> list[Announced]:
        """Forget, and return, those beyond what is kept at a time."""
        gone = []
        while len(self._known) > _MOST:
            gone.append(self._forget(next(iter(self._known))))
        self.evicted += sum(not announced.used_by for announced in gone)
        return gone

    def fitting(self, source: Side, first_ns: int) -> Sequence[Announced]:
        """Return the announcements that may have asked for a source's attempt, whose first line came at ``first_ns``.

        That is one if it was found before, or if the others are less likely.
        """
        own = source.identity.hex()
        fitting = [
            announced
            for announced in self._of_place(source)
            if announced.used_by == own or (not announced.used_by and is_in_time(announced, source, first_ns))
        ]
        return likeliest([announced for announced in fitting if announced.used_by] or fitting, first_ns)

    def use(self, announced: Announced, source: Side, now_ns: int) -> Announced:
        """Note that an announcement was that of an attempt of which a trace is made; return it as it is now."""
        return self._put(announced._replace(used_by=source.identity.hex(), traced_ns=now_ns))

    def link(self, announced: Announced, now_ns: int) -> Announced:
        """Note that an announcement may be that of an attempt of which a trace is made; return it as it is now."""
        return self._put(announced._replace(traced_ns=now_ns))

    def note_unannounced(self, source: Side, now_ns: int) -> None:
        """Note that a trace is made of an attempt that nobody has announced: its announcement may come late."""
        for place in (endpoint_of(source), vm_of(source)):
            if place is not None:
                self._unannounced[place] = now_ns
                self._unannounced.move_to_end(place)
        while len(self._unannounced) > _MOST:
            self._unannounced.popitem(last=False)

    def expire(self, now_ns: int, under_way: Callable[[], Iterable[tuple[Side, int | None]]]) -> list[Announced]:
        """Forget, and return, those that wait no longer.

        ``under_way`` returns the sources without a trace that is safe, and when the first line of each came, if that is
        known: what asked for one of them, or may have, waits as long as it takes.
        """
        overdue = {announced.key for announced in self if announced.latest_ns < now_ns - KEPT_NS}
        for source, first_ns in under_way() if overdue else ():
            own = source.identity.hex()
            for announced in self._of_place(source):
                is_open = not announced.used_by and (first_ns is None or is_in_time(announced, source, first_ns))
                if is_open or announced.used_by == own:
                    overdue.discard(announced.key)
        gone = [self._forget(key) for key in overdue]
        self.unmatched += sum(announced.traced_ns is None for announced in gone)
        return gone

    def _of_place(self, source: Side) -> Iterator[Announced]:
        """Yield those of the same endpoint or, where it is not known on both sides, of the same VM."""
        endpoint, vm = endpoint_of(source), vm_of(source)
        if endpoint is not None:
            yield from (self._known[key] for key in self._by_place.get(endpoint, ()))
        if vm is not None:
            of_vm = (self._known[key] for key in self._by_place.get(vm, ()))
            yield from (announced for announced in of_vm if endpoint is None or announced.endpoint is None)

    def _put(self, announced: Announced) -> Announced:
        self._known[announced.key] = announced
        for place in announced.places:
            self._by_place.setdefault(place, {})[announced.key] = None
        return announced

    def _forget(self, key: tuple[str, str]) -> Announced:
        announced = self._known.pop(key)
        for place in announced.places:
            self._by_place[place].pop(key)
            if not self._by_place[place]:
                del self._by_place[place]
        return announced

    def _new(self, announcement: Announcement, at_ns: int) -> Announced:
        address, port, vm_id = (announcement.attributes.get(name) for name in (names.ADDRESS, names.PORT, names.VM_ID))
        known = Announced(
            trace_id=announcement.trace_id,
            span_id=announcement.span_id,
            is_sampled=bool(announcement.flags & _SAMPLED),
            address=str(address or ""),
            port=port if isinstance(port, int) else None,
            vm_id=str(vm_id or ""),
            announced_ns=at_ns,
        )
        traced_ns = max((self._unannounced.get(place, 0) for place in known.places), default=0)
        self.taken += 1
        if traced_ns > at_ns - KEPT_NS:
            self.late += 1
            known = known._replace(is_late=True)
        return known
