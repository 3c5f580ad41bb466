"""How long a live service waits for what, and how much it holds."""

from __future__ import annotations

from msgspec import field

from otelmig.hypervisors.log_options import LogOptions
from otelmig.structs import Struct
from otelmig.trace.options import TraceOptions

__all__ = ["LiveOptions"]


class LiveOptions(Struct, frozen=True, kw_only=True):
    """How long a live service waits for what, and how much it holds; all times are in seconds.

    >>> LiveOptions().settle_s
    0.5
    """

    settle_s: float = 0.5
    """After the last line of a migration: late ones are taken until then."""
    partner_timeout_s: float = 60.0
    """Until a side that is over is traced alone, and until lines that are missing are given up."""
    silent_timeout_s: float = 900.0
    """Until a side of which no more is heard is traced as it stands."""
    parent_unsampled: bool = False
    """Whether a migration is put below the span that asked for it even if nobody exports that span."""
    state_bytes: int = 1 << 30
    """What the state may take on the disk."""
    reading: LogOptions = field(default_factory=LogOptions)
    trace: TraceOptions = field(default_factory=TraceOptions)
