"""Migrations of a fleet of equal VMs: both sides of a recording, again and again, on hosts with clocks of their own.

Nothing is read more than once: a side is the recorded one with another process, host, port and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from trace_invariants import CORPUS

from otelmig.inputs.line import Host
from otelmig.migration.side import Role
from otelmig.migration.url import MigrationUrl
from otelmig.pairing.traits.presence import presence_of
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["Fleet", "Move", "at_once", "in_turn", "lasts_ns", "outcome"]

_S: Final = 10**9
_BEGAN_NS: Final = 1_780_000_000 * _S


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One migration, in true time."""

    begin_ns: int
    source: int
    """The number of its host."""
    destination: int
    port: int = 4444


@cache
def _recorded(name: str) -> tuple[Side, Side, int]:
    """Both sides of a recording whose clocks count from the start of its processes, and how they differ."""
    (migration,) = read_findings([CORPUS / name / f"{role}.log" for role in Role]).migrations
    assert migration.source is not None
    assert migration.destination is not None
    assert migration.placement is not None
    return migration.source, migration.destination, migration.placement.estimate_ns


def _lasted(side: Side) -> tuple[int, int]:
    """When a side began and ended, by the clock of its process."""
    presence = presence_of(replace(side, vmm=replace(side.vmm, latest_zero_ns=0, assumed=())))
    assert presence is not None
    return presence


def lasts_ns(name: str) -> int:
    """How long the migration of a recording takes."""
    begin_ns, end_ns = _lasted(_recorded(name)[0])
    return end_ns - begin_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How its hosts are seen."""

    recording: str = "v52.0-basic"
    ahead_ns: Sequence[int] = ()
    """By how much the clock of each host is ahead; right where nothing is said."""
    lists_addresses: bool = True
    """Whether the hosts' own addresses are known."""
    url: str = "tcp:10.0.{high}.{low}:{port}"
    """What a source is told to connect to."""
    timed: bool = True
    """Whether something tells absolute time."""

    def sides(self, moves: Iterable[Move]) -> list[Side]:
        """Both sides of each migration, which are called by its number."""
        sides: list[Side] = []
        for number, move in enumerate(moves):
            sides += self.sides_of(number, move)
        return sides

    def sides_of(self, number: int, move: Move) -> tuple[Side, Side]:
        """The source and the destination of one migration."""
        source, destination, offset_ns = _recorded(self.recording)
        text = self.url.format(high=move.destination >> 8, low=move.destination & 255, port=move.port)
        terms = replace(source.sent.terms, url=MigrationUrl.of(text))
        sent = replace(source, sent=replace(source.sent, terms=terms))
        url = MigrationUrl.of(f"tcp:0.0.0.0:{move.port}")
        received = replace(destination, received=replace(destination.received, url=url))
        zero_ns = move.begin_ns - _lasted(source)[0]
        return (
            self._on_host(sent, number, move.source, zero_ns),
            self._on_host(received, number, move.destination, zero_ns - offset_ns),
        )

    def _on_host(self, side: Side, number: int, host: int, zero_ns: int) -> Side:
        ahead_ns = self.ahead_ns[host] if self.ahead_ns else 0
        ips = (f"10.0.{host >> 8}.{host & 255}", f"2001:db8::{host:x}") if self.lists_addresses else ()
        vmm = replace(
            side.vmm,
            key=f"{number}-{side.role}",
            name=f"{number}-{side.role}.log",
            inputs=(f"/logs/{number}-{side.role}.log",),
            latest_zero_ns=_BEGAN_NS + zero_ns + ahead_ns if self.timed else None,
            host=Host(name=f"host{host}", ips=ips),
        )
        return replace(side, vmm=vmm)


def in_turn(hosts: int, count: int, apart_ns: int, lasts: int, random: Random) -> list[Move]:
    """So many migrations on one port, one after the other on each receiving host."""
    free = [random.randrange(lasts) for _ in range(hosts)]
    moves = []
    for number in range(count):
        destination = number % hosts
        source = (destination + random.randrange(1, hosts)) % hosts
        moves.append(Move(begin_ns=free[destination], source=source, destination=destination))
        free[destination] += lasts + apart_ns
    return moves


def at_once(hosts: int, count: int, span_ns: int, lasts: int, random: Random) -> list[Move]:
    """So many migrations that begin within a time, on eight ports of each host; a port takes one at a time."""
    taken: dict[tuple[int, int], list[int]] = {}
    moves: list[Move] = []
    while len(moves) < count:
        begin_ns, destination, port = random.randrange(span_ns), random.randrange(hosts), 4444 + random.randrange(8)
        begun = taken.setdefault((destination, port), [])
        if any(abs(begin_ns - other) < lasts + _S // 5 for other in begun):
            continue
        begun.append(begin_ns)
        source = (destination + random.randrange(1, hosts)) % hosts
        moves.append(Move(begin_ns=begin_ns, source=source, destination=destination, port=port))
    return moves


def outcome(migrations: Iterable[Migration]) -> tuple[int, int, int]:
    """How many migrations are paired right, paired wrong, and how many sides stand alone."""
    right, wrong, alone = 0, 0, 0
    for migration in migrations:
        if migration.source is None or migration.destination is None:
            alone += 1
        elif migration.source.vmm.key.partition("-")[0] == migration.destination.vmm.key.partition("-")[0]:
            right += 1
        else:
            wrong += 1
    return right, wrong, alone
