"""How fast two clocks drift: what may be assumed, and the least that constraints demand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from two_clocks import (
    ANY_CONSTRAINT,
    CLOSE_CONSTRAINT,
    RATES,
    worst_excess,
)

from otelmig.clock.drift import TIERS, drift_ppb, least_drift

if TYPE_CHECKING:
    from otelmig.migration.constraint import Constraint


_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 100
_checked = settings(max_examples=_EXAMPLES, deadline=None)
_LARGEST_PPB: Final = TIERS["chrony-slew"]
_crowds = st.one_of(st.lists(ANY_CONSTRAINT, max_size=20), st.lists(CLOSE_CONSTRAINT, max_size=8))


@_checked
@given(_crowds, st.one_of(st.just(0), RATES))
def test_the_least_drift_is_the_least(constraints: list[Constraint], above: int) -> None:
    """All constraints hold at the drift that is found, and not at a ppb less; none is found only if there is none."""
    found = least_drift(constraints, above=above)
    if found is None:
        assert worst_excess(constraints, _LARGEST_PPB) > 0
        return
    event("at the floor" if found.drift_ppb == above else "above it")
    assert found.contradiction is None
    assert above <= found.drift_ppb <= _LARGEST_PPB
    assert worst_excess(constraints, found.drift_ppb) == 0
    assert found.drift_ppb == above or worst_excess(constraints, found.drift_ppb - 1) > 0


@pytest.mark.parametrize(
    ("text", "ppb"),
    [
        *TIERS.items(),
        ("0", 0),
        ("100", 100_000),
        ("100ppm", 100_000),
        ("0.5", 500),
        ("181819", 181_819_000),
        ("181820", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("Steady", None),
        ("", None),
        ("ppm", None),
    ],
)
def test_a_drift_is_a_tier_or_a_number(text: str, ppb: int | None) -> None:
    """What is neither, or is no clock's, is refused."""
    assert drift_ppb(text) == ppb
