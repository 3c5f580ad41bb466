"""Sides that wait for a partner, found by what partners share: an address and a port, a VM, a time, a length.

Nobody can compare each source with each destination of a fleet. The index leaves out what :func:`exclusion` excludes
in any case, who was migrating at another time (where both say when), and who took longer than the other waited; what it
finds is still to be compared by the clocks. A side is added when it comes up or changes, and removed when it has its
partner or nobody waits for it any more, so a service can keep one index for as long as it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.clock.drift import SLEWED_PPB
from otelmig.migration.side import Role
from otelmig.migration.stamp import ClockDomain
from otelmig.pairing.agreement import same_vm, was_answered
from otelmig.pairing.candidate import exclusion
from otelmig.pairing.shelf import Entry, Shelf
from otelmig.pairing.traits.addresses import address_of, first_label, own_addresses, target_of
from otelmig.pairing.traits.presence import TOLERANCE_NS, have_wall_clocks, presence_of
from otelmig.units import PPB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.side import Side
    from otelmig.pairing.traits.addresses import Address

__all__ = ["PairingIndex"]


class PairingIndex:
    """Sides by what a partner must share with them; adding, removing and asking cost no more the more there are."""

    def __init__(
        self,
        hypervisors: Mapping[str, Hypervisor],
        *,
        drift_ppb: int = SLEWED_PPB,
        whole: Callable[[Side], Side | None] = lambda side: side,
    ) -> None:
        """Begin with no sides.

        ``whole`` returns the whole form of a side that was exchanged for a shorter one; None if it is none any more.
        """
        self._whole = whole
        self._hypervisors = hypervisors
        self._drift_ppb = max(drift_ppb, SLEWED_PPB)
        self._entries: dict[tuple[str, Role, int], Entry] = {}
        self._shelves: dict[tuple[Role, _Topic], Shelf] = {}
        self._added = 0

    def __len__(self) -> int:
        """Return how many sides there are."""
        return len(self._entries)

    def __contains__(self, side: Side) -> bool:
        """Whether ``side``, in whatever form, is there."""
        return _key(side) in self._entries

    def add(self, side: Side) -> None:
        """Let ``side`` be found; an earlier form of it (of the same process, role and attempt) is forgotten."""
        self.remove(side)
        self._added += 1
        entry = Entry(self._added, side, presence_of(side), self._length_ns(side))
        self._entries[_key(side)] = entry
        for topic in _posted(side):
            self._shelves.setdefault((side.role, topic), Shelf()).add(entry)

    def exchange(self, side: Side) -> None:
        """Keep a shorter form of a side in the place of the one that is there, which is found as before."""
        entry = self._entries.get(_key(side))
        if entry is None:
            return
        shorter = entry._replace(side=side)
        for topic in _posted(entry.side):
            shelf = self._shelves[side.role, topic]
            shelf.remove(entry)
            shelf.add(shorter)
        self._entries[_key(side)] = shorter

    def remove(self, side: Side) -> None:
        """Forget ``side``, in whatever form it was added; if it is not there, nothing happens."""
        entry = self._entries.pop(_key(side), None)
        if entry is None:
            return
        for topic in _posted(entry.side):
            shelf = self._shelves[side.role, topic]
            shelf.remove(entry)
            if not shelf:
                del self._shelves[side.role, topic]

    def candidates(self, side: Side, *, at_any_time: bool = False) -> Iterator[Side]:
        """Yield the sides that may be the partner of ``side``, which need not be there itself.

        Those at its own address come first, then those of its own VM, then the nearest in time (in length, where times
        are not known). A time that is known excludes who was migrating more than two seconds earlier or later, unless
        ``at_any_time``: clocks may be wrong by any amount. Then the nearest few hundred are looked at.
        """
        own = Entry(0, side, presence_of(side), self._length_ns(side))
        nearest: dict[int, tuple[int, int, int, Entry]] = {}
        for strength, entry in self._asked(own, at_any_time=at_any_time):
            known = nearest.get(entry.number)
            if known is None or strength < known[0]:
                nearest[entry.number] = strength, _apart_ns(own, entry), entry.number, entry
        for _, _, _, entry in sorted(nearest.values()):
            other = self._whole(entry.side)
            if other is None:
                continue
            source, destination = (side, other) if side.role is Role.SOURCE else (other, side)
            if self._clocks_exclude(source, destination):
                continue
            if exclusion(source, destination, self._hypervisors) is None:
                yield other

    def group(self, side: Side, most: int = 64) -> list[Side]:
        """Return ``side`` and whoever may be its partner, their partners and so on: at most so many that are there.

        Pairing these gives what pairing everything would give for ``side``, unless there are more.
        """
        group = {_key(side): side}
        waiting = [side]
        while waiting and len(group) < most:
            for other in self.candidates(waiting.pop(0)):
                if _key(other) not in group and len(group) < most:
                    group[_key(other)] = other
                    waiting.append(other)
        return list(group.values())

    def _asked(self, own: Entry, *, at_any_time: bool) -> Iterator[tuple[int, Entry]]:
        """Yield what stands where a partner of ``own`` would, some of it several times, each after a rank.

        The lower the rank, the more it says that both stand there.
        """
        lengths = (0, _LONGEST_NS)
        if own.length_ns is not None and own.side.role is Role.SOURCE:
            lengths = (0, own.length_ns + own.length_ns * self._drift_ppb // PPB + 1)
        elif own.length_ns is not None:
            lengths = (max((own.length_ns - 1) * PPB // (PPB + self._drift_ppb), 0), _LONGEST_NS)
        partner = Role.DESTINATION if own.side.role is Role.SOURCE else Role.SOURCE
        for topic in _asked_for(own.side):
            shelf = self._shelves.get((partner, topic))
            if shelf is None:
                continue
            rank = _RANKS.index(_ANY if topic.value is None else topic.kind)
            # clocks of one VM's sides may contradict each other, and then one of them was set
            yield from ((rank, entry) for entry in shelf.untimed(*((0, _LONGEST_NS) if topic.kind == _VM else lengths)))
            if own.presence is None:
                timed = shelf.timed()
            elif at_any_time:
                timed = shelf.nearest(own.presence, _AT_ANY_TIME)
            else:
                timed = shelf.near(own.presence, TOLERANCE_NS)
            yield from ((rank, entry) for entry in timed)

    def _clocks_exclude(self, source: Side, destination: Side) -> bool:
        """Return whether the clocks exclude a pair, and it would not be one even if a clock had been set."""
        if source.vmm.system != destination.vmm.system or same_vm(source, destination) is True:
            return False
        if have_wall_clocks(source, destination):
            return False
        return self._hypervisors[source.vmm.system].no_offset_fits(source, destination, self._drift_ppb)

    def _length_ns(self, side: Side) -> int | None:
        """Return how long ``side`` took, where that excludes a pair: clocks that may have been set do not."""
        return None if side.vmm.domain is ClockDomain.REALTIME else self._hypervisors[side.vmm.system].length_ns(side)


_LONGEST_NS: Final = 1 << 60
_AT_ANY_TIME: Final = 256
"""At most so many sides of other times are looked at in one place, the nearest ones."""


def _key(side: Side) -> tuple[str, Role, int]:
    return side.vmm.key, side.role, side.attempt


def _apart_ns(own: Entry, other: Entry) -> int:
    """Return how far two sides are apart: in time, or where that is not known, in length."""
    if own.presence is not None and other.presence is not None:
        return own.presence.apart_ns(other.presence)
    if own.length_ns is not None and other.length_ns is not None:
        return abs(own.length_ns - other.length_ns)
    return 0


class _Topic(NamedTuple):
    """What sides are posted under, so that partners find them.

    A source says where it connects to: to an address, to a name, or to nothing that tells hosts apart. A destination
    says where it can be: its addresses and its name. What says nothing, or may be anything, has the value None.
    """

    kind: str
    value: Address | str | None = None
    port: int | None = None
    """None for sides without one: they may be at any."""


_ADDRESS: Final = "address"
_NAME: Final = "name"
_VM: Final = "vm"
_ANY: Final = "any"
_EVERYBODY: Final = _Topic("everybody")
_BY_PORT: Final = "port"
_RANKS: Final = (_ADDRESS, _NAME, _VM, _ANY)
"""What says most first."""


def _posted(side: Side) -> set[_Topic]:
    """Return the topics under which partners of ``side`` find it."""
    if side.role is Role.SOURCE and not was_answered(side):
        return set()
    port = _port(side)
    topics = {_EVERYBODY, _Topic(_BY_PORT, None, port), *_vms(side)}
    if side.role is Role.DESTINATION:
        return topics | _places(side)
    target = None if port is None else target_of(side)
    if target is None:
        return topics | {_Topic(_ANY, None, port)}
    kind = _NAME if isinstance(target, str) else _ADDRESS
    return topics | {_Topic(kind, target, port), _Topic(kind, None, port)}


def _asked_for(side: Side) -> set[_Topic]:
    """Return the topics under which partners of ``side`` stand."""
    if side.role is Role.SOURCE and not was_answered(side):
        return set()
    port = _port(side)
    if port is None:
        return {_EVERYBODY, *_vms(side)}
    if side.role is Role.DESTINATION:
        return {*_vms(side), *_places(side), *(_Topic(_ANY, None, own_port) for own_port in (port, None))}
    target = target_of(side)
    if target is None:
        return {*_vms(side), *(_Topic(_BY_PORT, None, own_port) for own_port in (port, None))}
    kind = _NAME if isinstance(target, str) else _ADDRESS
    return {*_vms(side), *(_Topic(kind, value, own_port) for value in (target, None) for own_port in (port, None))}


def _places(destination: Side) -> set[_Topic]:
    """Return where a destination can be: the addresses and the name of its host, or any."""
    host, url, port = destination.vmm.host, destination.received.url, _port(destination)
    addresses: set[Address | None] = set(own_addresses(host)) if host is not None and host.ips else {None}
    listening = None if url is None or not url.host else address_of(url.host)
    if listening is not None and not (listening.is_loopback or listening.is_unspecified):
        addresses.add(listening)
    label = None if host is None else first_label(host.name or "") or None
    return {_Topic(_NAME, label, port), *(_Topic(_ADDRESS, address, port) for address in addresses)}


def _port(side: Side) -> int | None:
    url = side.sent.terms.url if side.role is Role.SOURCE else side.received.url
    return None if url is None else url.port


def _vms(side: Side) -> Iterator[_Topic]:
    """Yield what tells the VM of ``side`` from others."""
    if side.vm is not None:
        yield from (_Topic(_VM, name) for name in (side.vm.id, side.vm.identity) if name is not None)
