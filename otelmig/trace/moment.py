"""Instants on the trace's own timeline: the source's clock (the destination's, if there is no source)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from otelmig.side import Role

if TYPE_CHECKING:
    from otelmig.observation import Observation

__all__ = ["Moment", "Timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant, how well it is known, and the line it rests on."""

    ns: int
    error_ns: int
    where: str
    """``FILE:LINE``."""
    text: str | None = None
    """The stamp as printed; None for an instant that was computed from a line."""

    def plus(self, ns: int, error_ns: int = 0) -> Moment:
        """The instant ``ns`` later, known ``error_ns`` less well; it rests on the same line."""
        return replace(self, ns=self.ns + ns, error_ns=self.error_ns + error_ns, text=None)

    def not_before(self, other: Moment) -> Moment:
        """The later of the two."""
        return self if self.ns >= other.ns else other

    def not_after(self, other: Moment) -> Moment:
        """The earlier of the two."""
        return self if self.ns <= other.ns else other


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Places both sides' observations on one timeline.

    The destination is moved as a whole: ``offset_ns`` (its clock minus the source's) is subtracted from all its
    stamps, so its own durations stay exact; ``error_ns`` is how far the true offset may be from that.
    """

    offset_ns: int = 0
    error_ns: int = 0

    def at(self, role: Role, seen: Observation) -> Moment:
        """When ``seen``, on the side ``role``, happened."""
        stamp = seen.stamp
        moved = role is Role.DESTINATION
        return Moment(
            ns=stamp.ns - (self.offset_ns if moved else 0),
            error_ns=stamp.error_ns + (self.error_ns if moved else 0),
            where=str(seen.where),
            text=stamp.text,
        )
