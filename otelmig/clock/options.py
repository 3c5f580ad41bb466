"""What the user decides, assumes, or has measured about the clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.clock.placement import ClockMode

if TYPE_CHECKING:
    from otelmig.migration.constraint import Constraint

__all__ = ["ClockOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOptions:
    """How two clocks are compared."""

    mode: ClockMode = ClockMode.AUTO
    drift_ppb: int = DEFAULT_DRIFT_PPB
    """How fast they may drift against each other, until the logs demand more."""
    measured: tuple[Constraint, ...] = ()
    """What was measured between the wall clocks of the two hosts."""
