"""What the user decides, assumes, or has measured about the clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.clock.placement import ClockMode
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.migration.constraint import Constraint

__all__ = ["ClockOptions"]


class ClockOptions(Struct, frozen=True, kw_only=True):
    """How the clocks of the two hosts are compared, and what is done about their offset.

    >>> from otelmig import ClockMode
    >>> options = ClockOptions(mode=ClockMode.CORRECT, drift_ppb=100_000)  # 100 ppm: neither clock is slewed
    >>> str(options.mode)
    'correct'
    """

    mode: ClockMode = ClockMode.AUTO
    """Whether the destination's times are shifted by the offset."""
    drift_ppb: int = DEFAULT_DRIFT_PPB
    """How fast the clocks may drift against each other, in parts per billion, unless the logs demand more."""
    measured: tuple[Constraint, ...] = ()
    """What was measured between the wall clocks of the two hosts."""
