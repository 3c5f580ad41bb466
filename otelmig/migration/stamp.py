"""Time as the logs give it: integer nanoseconds on one clock, known to within an interval."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS

__all__ = ["COARSE_NS", "ClockDomain", "Stamp"]


class ClockDomain(StrEnum):
    """Which clock a stamp was read from."""

    REALTIME = "realtime"
    """CLOCK_REALTIME: nanoseconds since the Unix epoch; comparable between hosts but for their skew; may step."""
    BOOTTIME = "boottime"
    """A process's own monotonic clock, zero when its logger (or event monitor) started; never steps."""


COARSE_NS: Final = 500 * MICROSECOND_NS
"""A stamp with a larger half-width has a resolution of more than a millisecond: it places no part of a downtime."""


class Stamp(Struct, frozen=True):
    """One printed time: the true local time lies in ``[lo_ns, hi_ns]``."""

    ns: int
    """The printed value in nanoseconds on its clock."""
    error_ns: int
    """Half the width of the interval: rounding of the printed form."""
    text: str
    """As printed, verbatim."""
    domain: ClockDomain
    elapsed: Stamp | None = None
    """The same instant by the process's own monotonic clock, where a line prints both."""

    @property
    def lo_ns(self) -> int:
        """Earliest local time that prints like this."""
        return self.ns - self.error_ns

    @property
    def hi_ns(self) -> int:
        """Latest local time that prints like this."""
        return self.ns + self.error_ns
