"""The index finds every side that may be a partner, and forgets what it is told to forget."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from random import Random

import pytest
from fleet import Fleet, Move, at_once
from msgspec.structs import replace
from trace_invariants import CORPUS, RECORDINGS

from otelmig.clock.options import ClockOptions
from otelmig.hypervisors import hypervisors
from otelmig.inputs.line import Host
from otelmig.migration.facts import VmConfig
from otelmig.migration.side import Role, Side
from otelmig.migration.url import MigrationUrl
from otelmig.pairing.candidate import Candidate, compare
from otelmig.pairing.index import PairingIndex
from otelmig.pairing.matching import unique_matching
from otelmig.pairing.naming import domain_of
from otelmig.pairing.traits.presence import TOLERANCE_NS, presence_of
from otelmig.pipeline import read_findings

_S = 10**9
_BY_SYSTEM = {each.system: each for each in hypervisors()}
_URLS = (
    "tcp:10.0.0.1:4444",
    "tcp:10.0.0.2:4444",
    "tcp:10.0.0.2:4445",
    "tcp:host1:4444",
    "tcp:host2.example.org:4444",
    "tcp:127.0.0.1:4444",
    "tcp:10.0.0.1",
    "unix:/run/x",
    None,
)
_LISTENING = ("tcp:0.0.0.0:4444", "tcp:10.0.0.2:4444", "tcp:0.0.0.0:4445", "unix:/run/x", None)
_MACHINES = (
    None,
    Host(name="host1"),
    Host(name="host2.example.org", ips=("10.0.0.2",)),
    Host(id="0", ips=("10.0.0.1", "10.0.0.3")),
    Host(name="10.0.0.2"),
)


@cache
def _bag() -> tuple[Side, ...]:
    """Sides of one shape whose hosts, URLs, VMs and times differ in every way, and those of all recordings."""
    random = Random(3)
    moves = [Move(begin_ns=random.randrange(60 * _S), source=0, destination=1) for _ in range(60)]
    sides: list[Side] = []
    for side in Fleet(recording="v53.0-postcopy").sides(moves):
        vmm = replace(side.vmm, host=random.choice(_MACHINES))
        if random.random() < 0.3:
            vmm = replace(vmm, latest_zero_ns=None)
        changed = replace(side, vmm=vmm)
        if random.random() < 0.3:
            changed = replace(changed, vm=VmConfig(id=f"vm{random.randrange(5)}"))
        url = MigrationUrl.of(text) if (text := random.choice(_URLS)) else None
        listening = MigrationUrl.of(text) if (text := random.choice(_LISTENING)) else None
        if side.role is Role.SOURCE:
            changed = replace(changed, sent=replace(side.sent, terms=replace(side.sent.terms, url=url)))
        else:
            changed = replace(changed, received=replace(side.received, url=listening))
        sides.append(changed)
    for name in RECORDINGS:
        paths = [path for path in sorted((CORPUS / name).iterdir()) if path.name.endswith((".log", ".events.json"))]
        sides += [side for migration in read_findings(paths).migrations for side in migration.sides]
    return tuple(sides)


def _met(one: Side, other: Side) -> bool:
    here, there = presence_of(one), presence_of(other)
    return here is None or there is None or here.meets(there, within_ns=TOLERANCE_NS)


def test_no_partner_is_missed() -> None:
    """Whoever fits at the same time is found, from either side; at any time, whoever fits at all."""
    index = PairingIndex(_BY_SYSTEM)
    for side in _bag():
        index.add(side)
    assert len(index) == len(_bag())
    clock = ClockOptions()
    found = {id(side): {id(other) for other in index.candidates(side)} for side in _bag()}
    ever = {id(side): {id(other) for other in index.candidates(side, at_any_time=True)} for side in _bag()}
    fit = looked_at = 0
    for source in (side for side in _bag() if side.role is Role.SOURCE):
        looked_at += len(found[id(source)])
        for destination in (side for side in _bag() if side.role is Role.DESTINATION):
            if not isinstance(compare(source, destination, _BY_SYSTEM, clock), Candidate):
                continue
            fit += 1
            for one, other in ((source, destination), (destination, source)):
                assert id(other) in ever[id(one)], (one.name, other.name)
                assert id(other) in found[id(one)] or not _met(one, other), (one.name, other.name)
    assert fit > 500
    assert looked_at < fit


def test_what_is_removed_is_not_found() -> None:
    """Removed and added again, in any order, it is as if it had never been there."""
    moves = at_once(5, 60, 15 * _S, 2 * _S, Random(1))
    sides = Fleet(recording="v53.0-postcopy").sides(moves)
    index = PairingIndex(_BY_SYSTEM)
    for side in sides:
        index.add(side)
    before = [[other.name for other in index.candidates(side)] for side in sides]
    assert all(before)
    for side in sides[::2]:
        index.remove(side)
        index.remove(side)
        assert side not in index
    assert not any(list(index.candidates(side)) for side in sides[1::2])
    for side in sides[::2]:
        index.add(side)
        index.add(side)
    assert len(index) == len(sides)
    assert [sorted(other.name for other in index.candidates(side)) for side in sides] == [
        sorted(each) for each in before
    ]


def test_a_later_form_replaces_an_earlier_one() -> None:
    """The side of a migration under way is added again with every change."""
    source, destination = Fleet().sides([Move(begin_ns=0, source=1, destination=2)])
    index = PairingIndex(_BY_SYSTEM)
    early = replace(destination, vmm=replace(destination.vmm, host=None))
    index.add(early)
    index.add(destination)
    assert [each is destination for each in index.candidates(source)] == [True]
    index.remove(early)
    assert not list(index.candidates(source))
    assert len(index) == 0


def test_the_nearest_come_first() -> None:
    """The host that was connected to, then the same VM, then the nearest in time."""
    fleet = Fleet(lists_addresses=False, recording="v53.0-postcopy")
    moves = [Move(begin_ns=tenths * _S // 10, source=1, destination=2) for tenths in (0, 1, 2, 15)]
    source, *others = fleet.sides(moves)
    destinations = [side for side in others if side.role is Role.DESTINATION]
    source = replace(source, vm=VmConfig(id="a"))
    destinations[1] = replace(destinations[1], vm=VmConfig(id="a"))
    host = Host(name="b", ips=("10.0.0.2",))
    destinations[2] = replace(destinations[2], vmm=replace(destinations[2].vmm, host=host))
    index = PairingIndex(_BY_SYSTEM)
    for side in destinations:
        index.add(side)
    found = [side.name for side in index.candidates(source)]
    assert found == ["2-destination.log", "1-destination.log", "0-destination.log", "3-destination.log"]


def test_a_group_is_all_that_hangs_together() -> None:
    """A chain of migrations on one port hangs together, those before and after a pause do not."""
    fleet = Fleet(recording="v53.0-postcopy")
    begins = [number * 6 * _S // 5 + (number // 4) * 60 * _S for number in range(8)]
    sides = fleet.sides([Move(begin_ns=begin, source=1, destination=2) for begin in begins])
    index = PairingIndex(_BY_SYSTEM)
    for side in sides:
        index.add(side)
    assert {side.name for side in index.group(sides[0])} == {side.name for side in sides[:8]}
    assert len(index.group(sides[0], 3)) == 3
    assert all(one is not other for one, other in pairwise(index.group(sides[9])))


@pytest.mark.parametrize(
    ("name", "inputs", "domain"),
    [
        ("web-1.log", ("/mnt/hostA/var/log/libvirt/ch/web-1.log",), "web-1"),
        ("x.jsonl[a//var/log/libvirt/qemu/web-1.log]", ("/x.jsonl",), "web-1"),
        ("web-1.log", ("/var/log/ch/web-1.log",), None),
    ],
)
def test_libvirt_names_logs_after_domains(name: str, inputs: tuple[str, ...], domain: str | None) -> None:
    """Elsewhere a file may be called anything."""
    source, _ = Fleet().sides([Move(begin_ns=0, source=1, destination=2)])
    assert domain_of(replace(source.vmm, name=name, inputs=inputs)) == domain


def test_who_was_not_compared_with_all_is_not_unique() -> None:
    """More edges than are given: a preference that leaves out some of them is complete, everything is not."""
    edges = {(0, 0), (0, 1), (1, 1)}
    assert unique_matching(edges, ()) == ({0: 0, 1: 1}, set())
    assert unique_matching(edges, (), frozenset({0})) == ({}, edges)
    assert unique_matching(edges, ({(0, 0), (1, 1)},), frozenset({0})) == ({0: 0, 1: 1}, set())
