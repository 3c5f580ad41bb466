"""A sample of the sweep (``make sweep`` tries every place): a line that is missing or damaged makes no claim false."""

from __future__ import annotations

import statistics
from itertools import chain

import pytest
from accidents import ENDING, MODES, Damage
from sweep import Story, faults, sample, tried

_RECORDINGS = ("v48.0-basic", "v51.1-noisy", "v52.0-twohosts-drift", "v53.0-conn4", "v53.0-dirty", "head-preserve")
_MADE_UP = (
    "scenario:v45.0-tcp-events",
    "scenario:v51.0-state-rejected",
    "scenario:v53.0-old-source",
    "scenario:next-tcp",
    "scenario:head-postcopy-abandoned",
    "scenario:v53.0-postcopy-drain-fails",
    "scenario:cyberus-success",
)
_EACH = 2
_MOST_GROWTH = 0.1
"""By so much of its width the offset's interval grows at most, for half of all lines that may be lost."""


@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_line_makes_nothing_false(mode: str) -> None:
    """No interval excludes the whole recording's, none is tighter, and one migration stays one."""
    accidents = chain.from_iterable(sample(name, mode, _EACH) for name in (*_RECORDINGS, *_MADE_UP))
    damaged = [tried(each) for each in accidents]
    assert {str(each.damage): each.faults for each in damaged if each.faults} == {}
    growths = [each.growth for each in damaged if each.growth is not None]
    assert growths
    if mode not in ENDING:
        assert statistics.median(growths) <= _MOST_GROWTH


@pytest.mark.parametrize(
    "damage",
    [
        Damage(recording="head-postcopy", mode="loss", at=6, share=0.2),
        Damage(recording="v48.0-local", mode="loss", at=6, share=0.2),
        Damage(recording="v51.1-basicv", mode="loss", at=3, share=0.3),
        Damage(recording="v52.0-paused", mode="loss", at=0, share=0.2),
        Damage(recording="v53.0-tls", mode="rotated", file="destination.log", at=33),
        Damage(recording="head-preserve", mode="drop", file="destination.log", at=8),
        Damage(recording="v51.1-killdst", mode="drop", file="source.log", at=92),
        Damage(recording="v52.0-oomkilled", mode="drop", file="source.log", at=96),
        Damage(recording="v53.0-localseccomp", mode="drop", file="destination.log", at=8),
        Damage(recording="v53.0-twodestinations", mode="drop", file="destination-1.log", at=16),
        Damage(recording="v48.0-local", mode="rotated", file="destination.log", at=8),
        Damage(recording="v53.0-postcopy", mode="rotated", file="destination.log", at=15),
        Damage(recording="v48.0-basicv", mode="loss", at=6, share=0.3),
        Damage(recording="v53.0-dirty", mode="loss", at=7, share=0.3),
        Damage(recording="v51.1-killdst", mode="pair", file="source.log", at=88),
        Damage(recording="v51.1-killdst", mode="pair", file="source.log", at=92),
        Damage(recording="v52.0-killdst", mode="pair", file="source.log", at=96),
        Damage(recording="v53.0-tls", mode="block", file="source.log", at=25),
        Damage(recording="scenario:v53.0-disk-full", mode="rotated", file="destination.log", at=19),
        Damage(recording="scenario:v45.0-state-rejected", mode="rotated-both", file="source.log", at=14),
        Damage(recording="scenario:cyberus-success", mode="rotated-both", file="source.log", at=12),
        Damage(recording="scenario:cyberus-success", mode="loss", at=7, share=0.3),
        Damage(recording="scenario:v53.0-postcopy-abandoned", mode="loss", at=4, share=0.3),
        Damage(recording="scenario:v49.0-tcp", mode="block", file="source.log", at=8),
        Damage(recording="scenario:v36.0-tunnel", mode="block", file="destination.log", at=10),
        Damage(recording="scenario:v53.0-old-source", mode="dup", file="source.log", at=7),
        Damage(recording="scenario:v53.0-old-source", mode="swap", file="source.log", at=6),
        Damage(recording="scenario:v53.0-old-source", mode="move", file="source.log", at=1),
        Damage(recording="scenario:v53.0-paused", mode="loss", at=0, share=0.3),
        Damage(recording="scenario:v53.0-postcopy-abandoned", mode="loss", at=3, share=0.3),
    ],
    ids=str,
)
def test_one_migration_stays_one(damage: Damage) -> None:
    """What missing lines said of the mode, of an answer, of iterations or of the state is no reason against it."""
    assert tried(damage).faults == ()


@pytest.mark.parametrize(
    "damage",
    [
        Damage(recording="scenario:next-tcp", mode="drop", file="destination.log", at=6),
        Damage(recording="scenario:next-tcp", mode="pair", file="source.log", at=9),
        Damage(recording="scenario:cyberus-success", mode="drop", file="source.log", at=15),
        Damage(recording="scenario:v53.0-postcopy-drain-fails", mode="drop", file="source.log", at=22),
        Damage(recording="scenario:v53.0-postcopy-abandoned", mode="drop", file="source.log", at=24),
        Damage(recording="scenario:head-postcopy-abandoned", mode="drop", file="source.log", at=21),
        Damage(recording="scenario:v53.0-guest-crashes-later", mode="drop", file="destination.log", at=21),
        Damage(recording="scenario:v53.0-guest-crashes-later", mode="drop", file="destination.log", at=22),
        Damage(recording="scenario:v53.0-old-source", mode="swap", file="source.log", at=12),
        Damage(recording="v52.0-paused", mode="rotated-both", file="source.log", at=112),
        Damage(recording="scenario:head-postcopy-abandoned", mode="loss", at=4, share=0.1),
        Damage(recording="scenario:v53.0-postcopy-abandoned", mode="rotated", file="source.log", at=25),
        Damage(recording="scenario:v53.0-paused-fails", mode="rotated", file="source.log", at=9),
        Damage(recording="scenario:v53.0-paused-fails", mode="drop", file="source.log", at=9),
        Damage(recording="scenario:v45.0-destination-killed-late", mode="two", file="source.log", at=35),
        Damage(recording="scenario:next-tcp", mode="loss", at=7, share=0.3),
    ],
    ids=str,
)
def test_a_lost_line_makes_no_claim_of_another(damage: Damage) -> None:
    """What one line told of the guest, of the end or of an event's meaning is not taken from the lines around it."""
    assert tried(damage).faults == ()


def _story(
    *, offset: tuple[float, float], blackout: tuple[float, float], status: str, result: str = "success"
) -> Story:
    root = {
        "vm.migration.result": result,
        "vm.migration.guest.location": "destination",
        "vm.migration.blackout.min": blackout[0],
        "vm.migration.blackout.max": blackout[1],
    }
    receive = {
        "otelmig.clock.status": status,
        "otelmig.clock.offset.min": offset[0],
        "otelmig.clock.offset.max": offset[1],
    }
    return Story(root, receive, (("migration", 1),))


_WHOLE = _story(offset=(1.0, 1.1), blackout=(0.2, 0.3), status="bounded")


@pytest.mark.parametrize(
    ("damaged", "found"),
    [
        (_story(offset=(0.9, 1.2), blackout=(0.1, 0.4), status="bounded"), []),
        (_story(offset=(1.05, 1.2), blackout=(0.1, 0.4), status="bounded"), []),
        (_story(offset=(1.2, 1.3), blackout=(0.1, 0.4), status="bounded"), ["offset disjoint"]),
        (_story(offset=(0.9, 1.2), blackout=(0.21, 0.4), status="bounded"), ["blackout tighter"]),
        (_story(offset=(0.9, 1.2), blackout=(0.1, 0.29), status="bounded"), ["blackout tighter"]),
        (_story(offset=(0.9, 1.2), blackout=(0.1, 0.4), status="conflict"), ["false conflict"]),
        (_story(offset=(0.9, 1.2), blackout=(0.1, 0.4), status="bounded", result="unknown"), []),
        (
            _story(offset=(0.9, 1.2), blackout=(0.1, 0.4), status="bounded", result="failure"),
            ["result success -> failure"],
        ),
    ],
)
def test_what_the_sweep_calls_false(damaged: Story, found: list[str]) -> None:
    """Less may be claimed, and wider, but nothing else."""
    assert list(faults(damaged, _WHOLE, "drop")) == found
