"""What a live command has done, for the last line on stderr and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.cli.envelope import RunReport
from otelmig.views.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.live.work import Work

__all__ = ["LiveReport"]


class LiveReport(RunReport):
    """What became of the migrations while the command ran."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Work | None = None
        """None until there is any."""
        self.is_safe = True
        """Whether nothing was lost."""

    @property
    def complete(self) -> bool:
        """Whether everything was exported, or is kept."""
        return self.is_safe

    @property
    def nothing_found(self) -> bool:
        """A command that met no migration has done its work."""
        return False

    def account(self) -> str:
        """Return how many migrations were traced, and what became of the traces."""
        if self.work is None:
            return "nothing was traced"
        tally, outlet = self.work.assembly.tally, self.work.outlet
        parts = [f"{plural(tally.traces, 'migration')} traced ({tally.paired} with both sides)"]
        if outlet.file is not None:
            parts.append(f"{outlet.counts.written} written to {outlet.file.path.name}")
        if outlet.open_delivery is not None:
            parts.append(outlet.account.words())
        announcements = self.work.assembly.announcements
        if announcements.taken:
            parts.append(f"{plural(announcements.taken, 'migration')} announced ({len(announcements)} not traced)")
        waiting = sum(1 for _ in self.work.assembly.sides)
        if waiting:
            parts.append(f"{plural(waiting, 'side')} under way, kept in the state")
        return ", ".join(parts)

    def document(self) -> Mapping[str, object]:
        """Return nothing: each migration has had its line."""
        return {}
