"""One process as its log tells it, while the log is being read."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import ENDS_PROCESS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.line_order import Order
from otelmig.hypervisors.cloud_hypervisor.reading.log_observation import exact
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, RELEASES, Releases
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelmig.hypervisors.cloud_hypervisor.attempts import Attempts
    from otelmig.hypervisors.cloud_hypervisor.reading.message_index import Meaning
    from otelmig.hypervisors.cloud_hypervisor.reading.records import Record
    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord
    from otelmig.inputs import Host, Line, Stream
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation, Value
    from otelmig.migration.stamp import Stamp

__all__ = ["LogProcess", "StampedTwice"]

_RECENT: Final = 64
"""Observations among which one that changes is looked for."""
_LONGEST_WAIT_NS: Final = 20 * MILLISECOND_NS
"""The wall clock is read at most so much later than the time since start (12 ms is the most seen)."""
_FASTEST_SLEW: Final = 5
"""A clock is slewed by less than one part of so many."""
_LAST_ADAPTIVE: Final = RELEASES.index("v48.0")


class StampedTwice(Struct):
    """Whether the wall-clock times of a process's lines are its own, by its time since start on the same lines.

    A clock that is set leaves the two apart once. Whoever puts times in front of lines that were written long before,
    or come in bursts, leaves them apart throughout.
    """

    telling: int = 0
    """Lines that were written so long after the one before that both times must show it."""
    contradicted: int = 0
    """Those of which the wall-clock time does not."""
    once: int = 0
    """Lines with one time only."""
    last: Stamp | None = None
    """The last stamp with both."""
    latest_zero_ns: int | None = None
    """When the process can have started at the latest, if the wall-clock times say when its lines were received."""

    @property
    def by_another(self) -> bool:
        """Whether they are another's: whoever carried the lines put them there."""
        return self.contradicted > 1 and 2 * self.contradicted > self.telling and not self.once

    def take(self, stamp: Stamp) -> None:
        """Compare the times of the next line with those of the one before."""
        elapsed = stamp.elapsed
        if elapsed is None:
            self.once += 1
            return
        zero_ns = stamp.hi_ns - elapsed.lo_ns
        self.latest_zero_ns = zero_ns if self.latest_zero_ns is None else min(self.latest_zero_ns, zero_ns)
        last, self.last = self.last, stamp
        if last is None or last.elapsed is None:
            return
        between_ns, apart_ns = elapsed.ns - last.elapsed.ns, stamp.ns - last.ns
        blur_ns = elapsed.error_ns + last.elapsed.error_ns + stamp.error_ns + last.error_ns
        allowed_ns = _LONGEST_WAIT_NS + blur_ns + max(between_ns, 0) // _FASTEST_SLEW
        apart = abs(apart_ns - between_ns) > allowed_ns
        if apart or between_ns > allowed_ns:
            self.telling += 1
            self.contradicted += apart


def by_own_time(observation: Observation) -> Observation:
    """Return ``observation`` at the time since start that its line prints."""
    own, since = observation.stamp.elapsed, observation.since
    if own is None:
        return observation
    return replace(observation, stamp=own, since=None if since is None else since.elapsed)


class LogProcess(Struct, kw_only=True):
    """What one process wrote to a log, as it is being read."""

    key: str
    """Tells it from every other process."""
    stream: Stream
    writer: str = ""
    name: str = ""
    """What a person calls it; set when it is over."""
    order: Order = field(default_factory=Order)
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
    stamped: StampedTwice = field(default_factory=StampedTwice)
    taken_in_turns: bool = False
    """Whether its lines had to be told from those of another process by their times alone."""
    domain: ClockDomain = ClockDomain.BOOTTIME
    """The clock that the process's lines are stamped with."""

    @property
    def observations(self) -> list[Observation]:
        """What it did, in the order of the stamps, as far as lines stand out of order by little."""
        return self.order.observations

    @property
    def words(self) -> list[LastWord | None]:
        """Whose last word each of its observations is, if it is one."""
        return self.order.words

    @property
    def attempts(self) -> Attempts:
        """Its attempts, as far as they were read."""
        return self.order.attempts

    def add(self, observation: Observation, word: LastWord | None = None) -> None:
        """Add what it did next; ``word`` says whose last word that is, if it is one."""
        self.observations.append(observation)
        self.words.append(word)
        self.attempts.take(observation, word, self.releases)

    def latest(self, where: Where) -> Observation | None:
        """Return one of the last observations, by its place."""
        return next(
            (observation for observation in islice(reversed(self.observations), _RECENT) if observation.where == where),
            None,
        )

    def amend(self, observation: Observation, values: Mapping[str, Value]) -> Observation:
        """Give one of the last observations other ``values``, since its record went on; return it as it is now."""
        whole = replace(observation, values=values)
        observations = self.observations
        for at in range(len(observations) - 1, max(-1, len(observations) - 1 - _RECENT), -1):
            if observations[at] is observation:
                observations[at] = whole
                self.attempts.amend(observation, whole)
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
    def is_gone(self) -> bool:
        """Whether it was killed, or said that it ends: no line of it is to be expected any more."""
        asked = (observation for observation in reversed(self.observations) if observation.kind is Kind.API_REQUEST)
        return self.ended or any(observation.word("call") == ENDS_PROCESS for observation in asked)

    @property
    def corrected(self) -> Callable[[Observation], Observation] | None:
        """What to do to the observations once it is known who stamped them, and of which release; None for nothing."""
        if self.stamped.by_another:
            return by_own_time
        return exact if self.releases.last <= _LAST_ADAPTIVE else None

    def narrow(self, meaning: Meaning, record: Record) -> None:
        """Note that only some releases print this, unless that leaves none (a patched build)."""
        for releases in (meaning.releases, record.releases):
            known = self.releases
            if releases.first > known.first or releases.last < known.last:
                self.releases = known & releases or known
        if meaning.variant is not None:
            self.variants.add(meaning.variant)
