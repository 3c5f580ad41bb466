"""What the readers say of finished inputs: each process once, with its sides, and what was said besides."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.hypervisors.finished_inputs import FinishedInputs
    from otelmig.hypervisors.hypervisor import EndedProcess
    from otelmig.migration.side import Side

__all__ = ["ProcessReading", "ReadProcess"]


class ReadProcess(Struct, frozen=True, kw_only=True):
    """A process that is over, and the sides that it was."""

    process: EndedProcess
    sides: Sequence[Side]

    @property
    def order(self) -> tuple[str, str, int]:
        """What processes are sorted by."""
        return self.process.vmm.name, self.process.began.text, self.process.evidence


class ProcessReading(Struct, kw_only=True):
    """What the readers say, sorted into processes and counts."""

    feeds: Sequence[FinishedInputs]
    notes: list[str]
    not_understood: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)
    """The name of the first process with each fingerprint."""
    copies: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The names of processes that said the same, by the name of the first."""

    def processes(self) -> Iterator[ReadProcess]:
        """Yield each process once: a log that was given twice, as a copy, tells of no second migration."""
        for feed in self.feeds:
            for sides in feed.sides():
                yield from self._told(feed, sides)
        for first, (copy, *others) in self.copies.items():
            more = f" and {len(others)} more" if others else ""
            self.notes.append(f"{copy}{more}: the same as {first}, read once")

    def _told(self, feed: FinishedInputs, sides: Iterable[Side]) -> Iterator[ReadProcess]:
        report = feed.reader.report
        self.notes += report.notes
        self.not_understood.update(report.not_understood)
        processes = list(report.processes)
        report.notes.clear()
        report.not_understood.clear()
        report.processes.clear()
        by_key: dict[str, list[Side]] = defaultdict(list)
        for side in sides:
            by_key[side.vmm.key].append(side)
        for process in processes:
            vmm = process.vmm
            if process.fingerprint in self.names:
                self.copies[self.names[process.fingerprint]].append(vmm.name)
                continue
            self.names[process.fingerprint] = vmm.name
            self.notes += vmm.notes
            yield ReadProcess(process=process, sides=by_key[vmm.key])
