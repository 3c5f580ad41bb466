"""Instants on the trace's own timeline: the source's clock (the destination's, if there is no source)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from otelmig.clock.placement import Placement
    from otelmig.migration.facts import Instant

__all__ = ["GAPS_NS", "Moment", "Timeline"]

GAPS_NS: Final = 2 * MICROSECOND_NS
"""What the layout may take off a span: rounding to a microsecond, and one between neighbours."""


class Moment(Struct, frozen=True):
    """An instant, how well it is known, and the line it rests on."""

    ns: int
    error_ns: int | None
    """How far it may be off; None if that is not known."""
    role: Role
    """The side whose clock it was read from."""
    where: str
    """``FILE:LINE``."""
    text: str | None = None
    """The stamp as printed; None for an instant that was computed from a line."""

    def plus(self, ns: int, error_ns: int = 0) -> Moment:
        """Return the instant ``ns`` later, known ``error_ns`` less well; it rests on the same line."""
        error = None if self.error_ns is None else self.error_ns + error_ns
        return Moment(self.ns + ns, error, self.role, self.where)

    def moved(self, ns: int, role: Role) -> Moment:
        """Return this moment shifted by ``ns`` for drawing; a stamp of another clock than ``role``'s is dropped."""
        error = None if self.error_ns is None else self.error_ns + abs(ns)
        text = self.text if self.role is role else None
        return Moment(self.ns + ns, error, self.role, self.where, text)

    def drawn_at(self, ns: int) -> Moment:
        """Return this moment where the layout put it.

        A shift of more than the gap between tiles adds to the error and drops the stamp.
        """
        moved = abs(ns - self.ns)
        return self if moved < GAPS_NS else self.plus(ns - self.ns, moved)

    def not_before(self, other: Moment) -> Moment:
        """Return the later of the two."""
        return self if self.ns >= other.ns else other

    def not_after(self, other: Moment) -> Moment:
        """Return the earlier of the two."""
        return self if self.ns <= other.ns else other


class Timeline(Struct, frozen=True, kw_only=True):
    """Both sides' instants on one timeline.

    The destination is moved as a whole, by the estimated offset, so its own durations stay exact.
    """

    placement: Placement | None = None
    """None for one side alone."""

    def at(self, role: Role, instant: Instant) -> Moment:
        """Return when ``instant``, on the side ``role``, was; one that was computed has no stamp of its own."""
        moment = self._stamped(role, instant)
        if instant.shift_ns or instant.error_ns:
            return moment.plus(instant.shift_ns, instant.error_ns)
        return moment

    def _stamped(self, role: Role, instant: Instant) -> Moment:
        stamp, placement = instant.stamp, self.placement
        ns = stamp.ns
        error_ns: int | None = stamp.error_ns
        if placement is not None and role is Role.DESTINATION:
            ns -= placement.estimate_ns
            placed_ns = placement.error_ns(ns)
            error_ns = None if placed_ns is None else stamp.error_ns + placed_ns
        return Moment(ns, error_ns, role, str(instant.where), stamp.text)
