"""One input with all that was found in it, as the rules on what it tells and what it lacks look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.cloud_hypervisor.diagnosis.line_account import Reading
    from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
    from otelmig.inputs import InputLog
    from otelmig.migration.side import Role, Side

__all__ = ["DiagnosedLog"]

_LAST_WITHOUT_DOWNTIME: Final = RELEASES.index("v51.0")


class DiagnosedLog(Struct, frozen=True, kw_only=True):
    """One input, and what was found in it: what the rules on what it tells and lacks decide by."""

    input: InputLog
    reading: Reading
    sides: Sequence[Side]
    last_release: int
    event_stream: bool
    """Whether it is no log (an event stream, statistics, a crash report)."""
    with_stream: bool
    """Whether an event stream was given that belongs to this log."""

    @property
    def old(self) -> bool:
        """Whether the release prints no downtime of its own (until v51)."""
        return self.last_release <= _LAST_WITHOUT_DOWNTIME

    @property
    def level(self) -> int:
        """How many ``-v`` give what is there."""
        levels = self.reading.levels
        return 3 if levels["TRACE"] else 2 if levels["DEBUG"] else 1 if levels["INFO"] else 0

    @property
    def wall(self) -> bool:
        """Whether its lines carry a wall clock."""
        return self.reading.last is not None and self.reading.last.domain is ClockDomain.REALTIME

    @property
    def dated(self) -> bool:
        """Whether something besides the lines says when they were written."""
        return any(side.vmm.latest_zero_ns is not None for side in self.sides)

    def has(self, *kinds: Kind) -> bool:
        """Return whether any line was read as one of ``kinds``."""
        return any(self.reading.kinds[kind] for kind in kinds)

    def is_(self, role: Role) -> bool:
        """Return whether it tells of an attempt in ``role``."""
        return any(side.role is role for side in self.sides)
