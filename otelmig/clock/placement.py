"""Which of the possible offsets is used to draw both sides on one timeline, and how far it may be from the truth."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.errors import UsageError
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, PPB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.clock.bounds import ClockBounds
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.side import Side

__all__ = ["ClockMode", "Placement", "place"]


class ClockMode(StrEnum):
    """What to do about the offset. Whatever is done is the same for all of the destination's stamps, and reversible."""

    AUTO = "auto"
    """Remove it, unless both clocks are wall clocks and nothing proves them wrong."""
    ANNOTATE = "annotate"
    """Leave all stamps as they are and say what is known of the offset; wall clocks only."""
    CORRECT = "correct"
    """Remove the middle of what is possible, even where the wall clocks may be right."""
    OFF = "off"
    """Leave all stamps as they are and say nothing; wall clocks only."""


_RAW: Final = (ClockMode.ANNOTATE, ClockMode.OFF)


class Placement(Struct, frozen=True, kw_only=True):
    """The offset in use (destination minus source), and the proved interval at the instant of interest."""

    status: ClockStatus
    applied_ns: int
    """What is subtracted from the destination's stamps to draw them: a whole number of microseconds."""
    estimate_ns: int
    """The best guess at the offset at ``at_ns``, in whole microseconds; differs from ``applied_ns`` where stamps are
    left as they are."""
    lo_ns: int | None
    hi_ns: int | None
    at_ns: int
    """The source time that this holds for: the end of the downtime, else of the attempt."""
    bounds: ClockBounds | None
    """Those that hold around ``at_ns``; None if none do."""

    def error_ns(self, at_ns: int) -> int | None:
        """Return how far a stamp that is drawn at ``at_ns`` may be from its true source time; None if that is open."""
        if self.bounds is None:
            return None
        lo, hi = self.bounds.lo_ns(at_ns), self.bounds.hi_ns(at_ns)
        if lo is None or hi is None:
            return None
        worst = max(hi - self.estimate_ns, self.estimate_ns - lo, 0)
        # its true source time is another one: the offset may have drifted on the way there
        return -(-worst * PPB // (PPB - self.bounds.drift_ppb))


def place(source: Side, destination: Side, proof: ClockProof, mode: ClockMode) -> Placement:
    """Return where the destination is drawn: if moved at all, by the middle of what is possible at the downtime's end.

    Two wall clocks between which 0 is possible are left alone (unless ``mode`` is CORRECT): nothing is provably wrong.

    Raises:
        UsageError: stamps are to stay as they are, but are not on wall clocks.
    """
    failure = source.sent.failure
    end = source.sent.handed_over or (source.last if failure is None else failure.at)
    at = end.ns
    wall = all(side.vmm.domain is ClockDomain.REALTIME for side in (source, destination))
    if mode in _RAW and not wall:
        sides = f"{source.name} and {destination.name}"
        raise UsageError(
            f"`ClockOptions.mode` {mode}: {sides} are not both on wall clocks: timestamps cannot stand as they are"
        )
    bounds = proof.bounds_between(at, at)
    lo, hi = (None, None) if bounds is None else (bounds.lo_ns(at), bounds.hi_ns(at))
    drawn = [proof.bounds.lo_ns(at), proof.bounds.hi_ns(at)] if bounds is None else [lo, hi]
    known = [bound for bound in drawn if bound is not None]
    if wall and mode is not ClockMode.CORRECT and (proof.is_contradicted(at) or _may_be_zero(drawn)):
        estimate = 0  # nothing is provably wrong, or nothing can be proved
    else:
        estimate = sum(known) // len(known) if known else 0
    estimate = estimate // MICROSECOND_NS * MICROSECOND_NS
    if lo is not None and estimate < lo:
        estimate += MICROSECOND_NS
    applied = 0 if mode in _RAW else estimate
    if mode is ClockMode.OFF:
        status, lo, hi, bounds = ClockStatus.UNSYNCED, None, None, None
    else:
        status = proof.status
    return Placement(
        status=status, applied_ns=applied, estimate_ns=estimate, lo_ns=lo, hi_ns=hi, at_ns=at, bounds=bounds
    )


def _may_be_zero(bounds: Sequence[int | None]) -> bool:
    """Return whether 0 lies between two bounds, of which either may be open."""
    lo, hi = bounds
    return (lo is None or lo <= 0) and (hi is None or hi >= 0)
