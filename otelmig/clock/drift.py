"""How fast two clocks may drift against each other: tiers to assume, and the least that the evidence demands.

A drift is the relative rate of the two clocks, about the sum of what each may be off: 1 ppm is a microsecond a second.
An assumption can be refuted by a log, never proved; so it is printed with every bound that rests on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.clock.bounds import clock_bounds
from otelmig.units import PPM_PPB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.clock.bounds import ClockBounds
    from otelmig.migration.constraint import Constraint

__all__ = ["DEFAULT_DRIFT_PPB", "SLEWED_PPB", "TIERS", "drift_ppb", "least_drift"]

TIERS: Final = {"steady": 100_000, "conservative": 400_000, "ntp-slew": 1_000_000, "chrony-slew": 181_819_000}
"""Parts per billion: 50 ppm a clock, what crystals and their temperature do; 200 ppm, TrueTime's allowance; 500 ppm,
the most that ntpd and the kernel's loop slew by; 83 333 ppm, chrony's default ``maxslewrate`` (relative to a clock
that is slewed the other way)."""
DEFAULT_DRIFT_PPB: Final = TIERS["ntp-slew"]
"""A certificate must hold for hosts whose clocks NTP is correcting; where constraints are near it costs little."""
SLEWED_PPB: Final = TIERS["ntp-slew"]
"""A drift up to this that the logs demand is a clock being slewed; more is a contradiction."""


def drift_ppb(text: str) -> int | None:
    """Return the drift in parts per billion that a tier's name or a number of ppm stands for; None if it is neither."""
    if text in TIERS:
        return TIERS[text]
    try:
        ppb = round(float(text.removesuffix("ppm")) * PPM_PPB)
    except (ValueError, OverflowError):
        return None
    return ppb if 0 <= ppb <= TIERS["chrony-slew"] else None


def least_drift(constraints: Sequence[Constraint], *, above: int = 0) -> ClockBounds | None:
    """Return the bounds at the smallest drift, from ``above`` ppb on, at which no two constraints contradict.

    None if not even clocks that chrony slews in opposite directions can have drifted so much.
    """
    bounds = clock_bounds(constraints, drift_ppb=above)
    if bounds.contradiction is None:
        return bounds
    low, high = above, TIERS["chrony-slew"]
    best = clock_bounds(constraints, drift_ppb=high)
    if best.contradiction is not None:
        return None
    constraints = (*best.lowers, *best.uppers)  # what these imply at the fastest drift they imply at any
    while high - low > 1:
        middle = (low + high) // 2
        bounds = clock_bounds(constraints, drift_ppb=middle)
        if bounds.contradiction is None:
            high, best = middle, bounds
        else:
            low = middle
    return best
