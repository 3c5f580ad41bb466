"""Many migrations of equal VMs between many hosts: all are paired right where addresses are known, none wrong."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from fleet import Fleet, Move, at_once, in_turn, lasts_ns, outcome
from sample import FULL

from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.cloud_hypervisor import CloudHypervisor
from otelmig.migration.side import Role
from otelmig.pairing.index import PairingIndex
from otelmig.pairing.pairing import pair_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Side

_S = 10**9
_HOSTS = 40
_LONG, _SHORT = "v52.0-basic", "v53.0-postcopy"
"""Migrations of twenty seconds, and of one."""
_NAT = "tcp:127.0.0.1:{port}"


def _all() -> Mapping[str, Hypervisor]:
    return {each.system: each for each in hypervisors()}


def _kept(seed: int, within_ns: int) -> list[int]:
    random = Random(seed)
    return [random.randrange(-within_ns, within_ns) for _ in range(_HOSTS)]


def _one_after_the_other(recording: str, count: int = 300) -> list[Move]:
    return in_turn(_HOSTS, count, _S // 5, lasts_ns(recording), Random(7))


def _all_at_once(recording: str, count: int = 300) -> list[Move]:
    return at_once(_HOSTS, count, 15 * _S, lasts_ns(recording), Random(7))


@pytest.mark.parametrize("moves", [_one_after_the_other, _all_at_once])
@pytest.mark.parametrize("recording", [_LONG, _SHORT])
def test_addresses_tell_equal_vms_apart(recording: str, moves: Callable[[str], list[Move]]) -> None:
    """One port on each host, the next migration a fifth of a second after the last one; or all within seconds."""
    fleet = Fleet(recording=recording, ahead_ns=_kept(1, 10**7))
    assert outcome(pair_sides(fleet.sides(moves(recording)), _all(), ()).migrations) == (300, 0, 0)


@pytest.mark.parametrize("moves", [_one_after_the_other, _all_at_once])
@pytest.mark.parametrize("recording", [_LONG, _SHORT])
@pytest.mark.parametrize("within_ns", [10**7, _S // 2])
def test_nothing_is_guessed_where_no_address_is_known(
    recording: str, moves: Callable[[str, int], list[Move]], within_ns: int
) -> None:
    """Behind proxies each source connects to loopback: its partners are named, and it stands alone.

    Of 70 migrations; of 120 by `make fuzz`.
    """
    fleet = Fleet(recording=recording, ahead_ns=_kept(1, within_ns), lists_addresses=False, url=_NAT)
    pairing = pair_sides(fleet.sides(moves(recording, 120 if FULL else 70)), _all(), ())
    assert outcome(pairing.migrations)[1] == 0
    assert any("several partners are possible" in note for note in pairing.notes)


@pytest.mark.parametrize("recording", [_LONG, _SHORT])
@pytest.mark.parametrize("clocks_hold", [True, False])
def test_lost_logs_make_no_pairs(recording: str, *, clocks_hold: bool) -> None:
    """Some logs of either side are missing: who lost his partner takes nobody else's, and most keep theirs."""
    fleet = Fleet(recording=recording, ahead_ns=_kept(1, 10**7))
    lost = {f"{number}-source" for number in range(0, 300, 7)} | {
        f"{number}-destination" for number in range(3, 300, 11)
    }
    sides = [side for side in fleet.sides(_one_after_the_other(recording)) if side.vmm.key not in lost]
    right, wrong, _ = outcome(pair_sides(sides, _all(), (), clocks_hold=clocks_hold).migrations)
    assert wrong == 0
    assert right > 100


def test_an_hour_s_error_is_not_taken_for_the_next_hour_s_migration() -> None:
    """Hourly migrations, the receiving host an hour ahead: what overlaps is wrong, and the first source shows it."""
    moves = [Move(begin_ns=number * 3_600 * _S, source=0, destination=1) for number in range(10)]
    fleet = Fleet(ahead_ns=[0, 3_600 * _S], lists_addresses=False, url=_NAT)
    assert outcome(pair_sides(fleet.sides(moves), _all(), ()).migrations) == (0, 0, 20)


@pytest.mark.parametrize("ahead_s", [0, 20])
def test_one_that_is_late_does_not_spoil_the_others(ahead_s: int) -> None:
    """Ten migrations at odd times, one by a host whose clock is wrong or whose log is missing: the nine are paired."""
    moves = [Move(begin_ns=number**3 * 100 * _S, source=0, destination=1 + number // 9) for number in range(10)]
    fleet = Fleet(ahead_ns=[0, 0, ahead_s * _S], recording=_SHORT, lists_addresses=False, url=_NAT)
    sides = [side for side in fleet.sides(moves) if ahead_s or side.vmm.key != "9-destination"]
    pairing = pair_sides(sides, _all(), ())
    assert outcome(pairing.migrations) == (9, 0, 2 if ahead_s else 1)
    assert any(note.endswith("migrated at another time") for note in pairing.notes)


class _Counting(CloudHypervisor):
    """Counts how often clocks are compared: quickly, and by all constraints."""

    def __init__(self) -> None:
        self.asked = Counter[str]()

    def no_offset_fits(self, source: Side, destination: Side, drift_ppb: int) -> bool:
        self.asked["quickly"] += 1
        return super().no_offset_fits(source, destination, drift_ppb)

    def constraints(self, source: Side, destination: Side, drift_ppb: int) -> Sequence[Constraint]:
        self.asked["thoroughly"] += 1
        return super().constraints(source, destination, drift_ppb)


def _asked(sides: Sequence[Side]) -> Counter[str]:
    counting = _Counting()
    pair_sides(sides, {counting.system: counting}, ())
    return counting.asked


@pytest.mark.parametrize("url", [Fleet().url, _NAT])
def test_each_is_compared_with_one(url: str) -> None:
    """Equal migrations, one a minute: as many comparisons as migrations, however many there are."""
    fleet = Fleet(lists_addresses=url is not _NAT, url=url)
    for count in (30, 300):
        moves = [Move(begin_ns=number * 60 * _S, source=1, destination=2) for number in range(count)]
        assert _asked(fleet.sides(moves)) == {"quickly": 2 * count, "thoroughly": count}


def test_very_many_that_all_fit_are_not_all_compared() -> None:
    """Without times nothing tells them apart: a few comparisons a side show that."""
    moves = [Move(begin_ns=0, source=1, destination=2) for _ in range(400)]
    asked = _asked(Fleet(timed=False).sides(moves))
    assert asked["thoroughly"] <= 6 * 400


def test_who_took_too_long_is_not_even_looked_at() -> None:
    """Without times, destinations that took longer than any source waited are passed over, however many there are."""
    moves = [Move(begin_ns=0, source=1, destination=2) for _ in range(100)]
    short, long = (Fleet(timed=False, recording=name).sides(moves) for name in ("v53.0-basicv", "v53.0-dirtyhot"))
    sides = [side for side in short if side.role is Role.SOURCE] + [
        side for side in long if side.role is Role.DESTINATION
    ]
    asked = _asked(sides)
    assert asked["quickly"] == 0
    assert asked["thoroughly"] <= 8 * len(sides)


def test_a_service_pairs_by_the_group_of_a_side() -> None:
    """Sides come in one by one, in order of their ends: who has a partner leaves, and nobody is kept for long."""
    fleet = Fleet(recording=_SHORT, ahead_ns=_kept(1, 10**7))
    by_system = _all()
    index = PairingIndex(by_system)
    right, wrong, most = 0, 0, 0
    for number, move in enumerate(_one_after_the_other(_SHORT, 120)):
        for side in fleet.sides_of(number, move):
            index.add(side)
            most = max(most, len(index))
            for migration in pair_sides(index.group(side), by_system, (), clocks_hold=True).migrations:
                pair = outcome([migration])
                right, wrong = right + pair[0], wrong + pair[1]
                if len(migration.sides) == 2:
                    for each in migration.sides:
                        index.remove(each)
    assert (right, wrong, len(index)) == (120, 0, 0)
    assert most < 10
