"""One process as its log tells it, while the log is being read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempts import Attempts
from otelmig.hypervisors.cloud_hypervisor.line_order import Order
from otelmig.hypervisors.cloud_hypervisor.reading.log_observation import exact
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, RELEASES, Releases
from otelmig.migration.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record
    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord
    from otelmig.inputs import Host, Line, Stream
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation, Value
    from otelmig.migration.stamp import Stamp

__all__ = ["LogProcess"]

_RECENT: Final = 64
"""Observations among which one that changes is looked for."""
_LAST_ADAPTIVE: Final = RELEASES.index("v48.0")


@dataclass(slots=True, kw_only=True)
class LogProcess:
    """What one process wrote to a log, as it is being read."""

    key: str
    """Tells it from every other process."""
    stream: Stream
    writer: str = ""
    name: str = ""
    """What a person calls it; set when it is over."""
    observations: list[Observation] = field(default_factory=list)
    """In the order of their stamps, as far as lines stand out of order by little."""
    words: list[LastWord | None] = field(default_factory=list)
    """Whose last word each of them is, if it is one."""
    attempts: Attempts = field(default_factory=Attempts)
    assumed: tuple[str, ...] = ()
    """What its times left out and had to be assumed; set when it is over."""
    releases: Releases = ALL
    variants: set[str] = field(default_factory=set)
    version: str | None = None
    host: Host | None = None
    last_ns: int = 0
    latest_zero_ns: int | None = None
    """The latest Unix time at which the process's clock can have read zero, by its framing."""
    dates_assumed: tuple[str, ...] = ()
    """What the times of its framing left out and had to be assumed."""
    begun: bool = False
    """Whether anything but the process's own start was seen."""
    started: bool = False
    """Whether its start was seen."""
    ended: bool = False
    over: bool = False
    """Whether all of it was read."""
    incomplete: bool = False
    """Whether its earliest observations were forgotten: then nothing can be joined with it any more."""
    order: Order = field(init=False)
    taken_in_turns: bool = False
    """Whether its lines had to be told from those of another process by their times alone."""
    domain: ClockDomain = ClockDomain.BOOTTIME
    """The clock that the process's lines are stamped with."""

    def __post_init__(self) -> None:
        self.order = Order(self.observations, self.words, self.attempts)

    def add(self, seen: Observation, word: LastWord | None = None) -> None:
        """Add what it did next; ``word`` says whose last word that is, if it is one."""
        self.observations.append(seen)
        self.words.append(word)
        self.attempts.take(seen, word, self.releases)

    def latest(self, where: Where) -> Observation | None:
        """Return one of the last observations, by its place."""
        return next((seen for seen in islice(reversed(self.observations), _RECENT) if seen.where == where), None)

    def amend(self, seen: Observation, values: Mapping[str, Value]) -> Observation:
        """Give one of the last observations other ``values``, since its record went on; return it as it is now."""
        whole = seen._replace(values=values)
        observations = self.observations
        for at in range(len(observations) - 1, max(-1, len(observations) - 1 - _RECENT), -1):
            if observations[at] is seen:
                observations[at] = whole
                self.attempts.amend(seen, whole)
                break
        return whole

    def forget(self, number: int) -> None:
        """Forget the first ``number`` observations, and every attempt but the current one."""
        del self.observations[:number]
        del self.words[:number]
        del self.attempts.begun[:-1]
        self.incomplete = True

    def carried(self, line: Line, stamp: Stamp) -> None:
        """Take what a framing says besides: the host, and a time after the line was written."""
        if line.host is not None:
            self.host = line.host
        if line.received_ns is not None and stamp.domain is ClockDomain.BOOTTIME:
            latest_zero_ns = line.received_ns - stamp.lo_ns
            self.dates_assumed = line.assumed
            self.latest_zero_ns = (
                latest_zero_ns if self.latest_zero_ns is None else min(self.latest_zero_ns, latest_zero_ns)
            )

    @property
    def corrected(self) -> Callable[[Observation], Observation] | None:
        """What to do to the observations once it is known which release wrote them; None for nothing."""
        return exact if self.releases.last <= _LAST_ADAPTIVE else None

    def narrow(self, meaning: Meaning, record: Record) -> None:
        """Note that only some releases print this, unless that leaves none (a patched build)."""
        if meaning.releases is not ALL:
            self._narrow(meaning.releases)
        if record.releases is not ALL:
            self._narrow(record.releases)
        if meaning.variant is not None:
            self.variants.add(meaning.variant)

    def _narrow(self, releases: Releases) -> None:
        known = self.releases
        if releases.first > known.first or releases.last < known.last:
            self.releases = known & releases or known
