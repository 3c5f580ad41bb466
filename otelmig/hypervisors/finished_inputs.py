"""Finished inputs of one hypervisor, fed to its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.errors import FaultError
from otelmig.migration.side import Role
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.errors import InputError
    from otelmig.hypervisors.hypervisor import Hypervisor, Reader
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog, Line, LineFilter
    from otelmig.migration.side import Side

__all__ = ["FinishedInputs"]


class FinishedInputs(Struct, kw_only=True):
    """Finished inputs of one hypervisor, fed line by line to its reader."""

    hypervisor: Hypervisor
    logs: Sequence[InputLog]
    options: LogOptions
    errors: list[InputError]
    """Gets the inputs over which the reader failed: a fault over one of them does not take the others."""
    reader: Reader

    def sides(self) -> Iterator[Sequence[Side]]:
        """Feed every line; yield the sides that are final with it, where there are any."""
        reader = self.reader
        ended = reader.report.processes
        filters = [(log, self.hypervisor.line_filter(log.stream.head, self.options)) for log in self.logs]
        # what is no log comes first, so that no log is over before it is known what belongs to it
        filters.sort(key=lambda item: item[1] is not None)
        for log, line_filter in filters:
            try:
                for line in _lines(log, line_filter):
                    sides = reader.take(line)
                    if sides or ended:
                        yield sides
                yield reader.end(log.stream, log.tail())
            except Exception as error:  # noqa: BLE001 - the edge of one input: the fault is reported, the rest is read
                self.errors.append(FaultError.of(log.name, error))
        try:
            yield reader.finish()
        except Exception as error:  # noqa: BLE001 - the same for what all of them amount to
            self.errors.append(FaultError.of("what was read", error))

    @property
    def is_one_sided(self) -> bool:
        """Whether the inputs tell of sources only, or of destinations only: a scan up to the first line of each."""
        roles = 0
        for role in Role:
            for log in self.logs:
                line_filter = self.hypervisor.line_filter(log.stream.head, self.options, role)
                if line_filter is None:
                    return False
                if any(True for _ in log.lines(line_filter)):
                    roles += 1
                    break
        return roles < len(Role)


def _lines(log: InputLog, line_filter: LineFilter | None) -> Iterator[Line]:
    return log.objects(log.stream) if line_filter is None else log.lines(line_filter, log.stream)
