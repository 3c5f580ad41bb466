"""What constraints prove of two clocks, or that they contradict each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from two_clocks import (
    World,
    exact_offset,
    worlds,
)

from otelmig.clock.drift import SLEWED_PPB
from otelmig.clock.proof import ClockStatus, prove

if TYPE_CHECKING:
    from otelmig.clock.bounds import ClockBounds

_US: Final = 10**3
_S: Final = 10**9
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 100
_checked = settings(max_examples=_EXAMPLES, deadline=None)


@_checked
@given(worlds(), st.sampled_from((0, 20_000, 100_000, 400_000)))
def test_a_refuted_drift_is_raised_and_said(world: World, asked: int) -> None:
    """Clocks that drift faster than was asked for: noticed or not, what is claimed at the raised drift is true.

    What the logs demand is never more than what the clocks did; a conflict needs clocks beyond those that NTP slews.
    """
    proof = prove(world.constraints(), drift_ppb=asked)
    event(str(proof.status) if proof.required_ppb is None else "raised")
    assert proof.required_ppb is None or asked < proof.required_ppb <= world.drift_ppb
    if proof.status is ClockStatus.CONFLICT:
        assert world.drift_ppb > SLEWED_PPB
        assert proof.required_ppb is not None
        assert proof.required_ppb > SLEWED_PPB
    elif proof.bounds.drift_ppb >= world.drift_ppb:
        _check_inside(world, proof.bounds)
    if proof.required_ppb is not None:
        assert proof.bounds.drift_ppb == SLEWED_PPB


def _check_inside(world: World, bounds: ClockBounds) -> None:
    for at in world.probes:
        lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
        assert lo is None or lo <= world.theta(at)
        assert hi is None or world.theta(at) <= hi


@pytest.mark.parametrize(
    ("ppm", "asked", "required", "assumed", "status"),
    [
        (100, 100_000, None, 100_000, "bounded"),
        (101, 100_000, 101_000, 1_000_000, "bounded"),
        (1000, 100_000, 1_000_000, 1_000_000, "bounded"),
        (1001, 100_000, 1_001_000, 1_000_000, "conflict"),
        (1001, 2_000_000, None, 2_000_000, "bounded"),
        (2001, 2_000_000, 2_001_000, 2_000_000, "conflict"),
        (181_819, 1_000_000, 181_819_000, 1_000_000, "conflict"),
        (181_820, 1_000_000, None, 1_000_000, "conflict"),
    ],
)
def test_what_is_slewing_and_what_is_a_conflict(
    ppm: int, asked: int, required: int | None, assumed: int, status: str
) -> None:
    """Up to what NTP slews the drift is raised; beyond that, and beyond what was asked for, the clocks conflict."""
    proof = prove([*exact_offset(0, 0), *exact_offset(10 * _S, ppm * 10 * _US)], drift_ppb=asked)
    assert (proof.required_ppb, proof.bounds.drift_ppb, str(proof.status)) == (required, assumed, status)
