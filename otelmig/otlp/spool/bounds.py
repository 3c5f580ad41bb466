"""How much a spool may hold, and for how long."""

from __future__ import annotations

from otelmig.structs import Struct

__all__ = ["Bounds"]


class Bounds(Struct, frozen=True, kw_only=True):
    """How much a spool may hold, and for how long; the oldest entries are dropped first."""

    size: int = 1 << 30
    """Bytes on the disk."""
    age_s: int = 30 * 86_400
    """Seconds that an entry or a receipt is kept."""

    def since_s(self, now_s: float) -> int:
        """Return the time before which nothing is kept, in whole seconds since the Unix epoch, as ``now_s`` is."""
        return int(now_s) - self.age_s
