"""A migration: the one side, or the two, that belong together, with what is proved of their clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.side import Role
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.clock.placement import Placement
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.side import Side
    from otelmig.pairing.agreement import PairingBasis

__all__ = ["Migration", "unpaired"]


class Migration(Struct, frozen=True, kw_only=True):
    """One attempt: a source, a destination, or both."""

    source: Side | None
    destination: Side | None
    proof: ClockProof | None
    """What is known of the offset of the destination's clock; None unless both sides are there."""
    placement: Placement | None
    """Where that puts the destination; None unless both sides are there."""
    reasons: tuple[str, ...] = ()
    """Why these two belong together, or why this one stands alone."""
    basis: PairingBasis | None = None
    """The strongest evidence for the pair; None unless both sides are there."""
    doubt: str | None = None
    """A sentence: how little names this pair, so that whatever is proved of it is proved only if it is one."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are there, source first."""
        return tuple(side for side in (self.source, self.destination) if side is not None)

    @property
    def reference(self) -> Side:
        """The side whose clock is the trace's timeline: the source, if it is there."""
        return self.sides[0]


def unpaired(side: Side, reasons: tuple[str, ...] = ()) -> Migration:
    """Return a side that stands alone, and why."""
    source, destination = (side, None) if side.role is Role.SOURCE else (None, side)
    return Migration(source=source, destination=destination, proof=None, placement=None, reasons=reasons)
