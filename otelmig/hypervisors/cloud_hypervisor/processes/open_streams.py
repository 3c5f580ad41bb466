"""The streams that are being read, of every kind: logs, and what was written beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.beside.crash import CrashLines
from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import EventLines
from otelmig.hypervisors.cloud_hypervisor.beside.progress import ProgressLines
from otelmig.hypervisors.cloud_hypervisor.processes.joins import (
    BesideLogs,
    fitting_streams,
    process_of_log,
    processes_of,
)
from otelmig.inputs import common_stem
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.hypervisors.cloud_hypervisor.processes.process import Process
    from otelmig.hypervisors.cloud_hypervisor.reading.log import LogLines
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.inputs import Host, Stream

__all__ = ["NoLog", "OpenStreams"]

NoLog = EventLines | ProgressLines | CrashLines


class OpenStreams(Struct):
    """Streams that are being read, by key: all of a reader's, or those that are named alike, likely by one process."""

    logs: dict[str, LogLines] = field(default_factory=dict)
    events: dict[str, EventLines] = field(default_factory=dict)
    statistics: dict[str, ProgressLines] = field(default_factory=dict)
    crashes: dict[str, CrashLines] = field(default_factory=dict)
    ended: list[Stream] = field(default_factory=list)
    """Those that are no logs, are over, and may yet be joined with a log that is not."""

    @property
    def has_more_than_logs(self) -> bool:
        """Whether any of them is no log."""
        return bool(self.events or self.statistics or self.crashes)

    def add(self, lines: NoLog) -> None:
        """Add a stream that is no log."""
        match lines:
            case EventLines():
                self.events[lines.stream.key] = lines
            case ProgressLines():
                self.statistics[lines.stream.key] = lines
            case CrashLines():
                self.crashes[lines.stream.key] = lines

    def pop_beside(self, key: str) -> NoLog | None:
        """Take out a stream that is no log."""
        beside = self.events.pop(key, None) or self.statistics.pop(key, None)
        return beside or self.crashes.pop(key, None)

    def under_way(self, key: str) -> frozenset[str]:
        """Return the keys of the processes that the stream with this key may get more lines of.

        What an event stream beside a log may get more of, the log says.
        """
        if (log := self.logs.get(key)) is not None:
            return frozenset(process.key for process in log.under_way() if not self.whole(process).is_gone)
        events = self.events.get(key)
        return frozenset() if events is None or self.logs or events.current.is_gone else frozenset({events.current.key})

    def whole(self, process: LogProcess) -> Process:
        """Return a process of one of the logs, which are named alike, with everything that fits it."""
        if not self.has_more_than_logs:
            return process_of_log(process)
        others = (other for log in self.logs.values() for other in log.under_way() if other is not process)
        candidates = [process, *(other for other in others if other.observations)]
        joined = (
            candidate for candidate in processes_of(candidates, self.beside()) if candidate.vmm.key == process.key
        )
        return next(joined)

    def fitting(self, host: Host | None, over: Iterable[LogProcess]) -> Mapping[str, str]:
        """Return the event streams of a host that stand beside no log and fit one that has none, each with that log.

        All of them are given by their keys. Of ``over`` the logs were read before, and are not forgotten.
        """
        logs, events = _names(self.logs.values()), _names(self.events.values())
        lone = (lines for lines in self.events.values() if common_stem(lines.stream.stem) not in logs)
        streams = [
            process for lines in lone for process in lines.processes if process.host == host and process.observations
        ]
        if not streams:
            return {}
        under_way = (process for log in self.logs.values() for process in log.under_way())
        candidates = [
            process
            for process in (*over, *under_way)
            if process.host == host and process.observations and common_stem(process.stream.stem) not in events
        ]
        return dict(fitting_streams(candidates, streams))

    def beside(self) -> BesideLogs:
        """Return everything that is no log, as far as it was read."""
        return BesideLogs(
            events=[process for lines in self.events.values() for process in lines.processes],
            statistics=[progress for lines in self.statistics.values() for progress in lines.migrations],
            crashes=[lines.crash for lines in self.crashes.values() if lines.crash is not None],
        )


def _names(lines: Iterable[LogLines | EventLines]) -> set[str]:
    return {common_stem(stream_lines.stream.stem) for stream_lines in lines}
