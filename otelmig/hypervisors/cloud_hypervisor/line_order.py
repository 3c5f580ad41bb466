"""Lines that stand out of order, put where their own stamps place them.

Threads race for the lock of the log with their stamps already taken, and what ships a log may reorder lines. A line is
taken at once, wherever it belongs: what it changes of the lines before it is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import ANY_BEGIN, OF_MIGRATIONS
from otelmig.hypervisors.cloud_hypervisor.attempts import Attempts
from otelmig.hypervisors.cloud_hypervisor.events import FIRST_AFTER_HEAD
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.dirty_table import table_of
from otelmig.migration.stamp import ClockDomain
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases
    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import Stamp

__all__ = ["Order"]

_WINDOW_NS: Final = 50 * MILLISECOND_NS
"""A line stands out of order by at most this (12 ms is the most seen), or by few lines."""
_MOST_PASSED: Final = 4
"""A line that stands at most so many lines too late may be stamped longer before them."""
_LONGEST_NS: Final = 120 * SECOND_NS
"""At most this long before them: two processes that write to one log usually started longer apart."""
_MOST_IN_WINDOW: Final = 1 << 10
"""At most this many lines are passed in the window."""
_ONE_STAMP_NS: Final = MILLISECOND_NS
"""What ships a log gives lines this close one stamp, and may give them in any order."""
_MOST_REPEATED: Final = 1 << 16
"""At most this many lines, and four for each line of the process, are taken again."""
_MOST_EQUAL: Final = 16
"""At most this many lines with its stamp a line is tried before."""
_ANNOUNCED: Final = frozenset({Kind.SEND_ANNOUNCED, Kind.ACCEPTED})


class Order(Struct):
    """The order of one process's lines."""

    observations: list[Observation] = field(default_factory=list)
    """In the order of their stamps, as far as lines stand out of order by little."""
    words: list[LastWord | None] = field(default_factory=list)
    """Whose last word each observation is, if it is one."""
    attempts: Attempts = field(default_factory=Attempts)
    moved: int = 0
    """How many lines stood after later lines of their own thread, or by more than threads race for."""
    most_late: tuple[int, Observation | None] = (0, None)
    """The latest of them, after the time by which it stood too late."""
    _moved: Observation | None = None
    """The line that was put back since the last one that stood in order."""
    _ahead: Observation | None = None
    """The line that the last lines had to pass."""
    _behind: list[Observation] = field(default_factory=list)
    """Those lines."""
    _set_back: bool = False
    """Whether the lines since then stay back, by a wall clock: it was set."""
    _repeated: int = 0
    """How many lines were taken again."""

    def in_order(self) -> None:
        """Note that a line is not stamped before any that stands before it."""
        self._moved = None
        self._set_back = False

    def is_late(self, stamp: Stamp, kind: str) -> bool:
        """Return whether a line that is stamped long before the last one is of the same process all the same.

        It stands few lines too late, and fits between lines that are there; or it begins what they go on with.
        """
        at = self._place(stamp)
        if at is None:
            return False
        if kind not in ANY_BEGIN:
            return at > 0
        far = at < len(self.observations) and self.observations[-1].stamp.ns - stamp.ns > _LONGEST_NS
        return (at > 0 and not far) or not any(observation.kind in ANY_BEGIN for observation in self.observations)

    def insert(self, observation: Observation, word: LastWord | None, releases: Releases) -> None:
        """Add a line where its stamp places it, be it at the end; at the end, too, if it stays back."""
        if not self.observations or self.observations[-1].stamp.ns <= observation.stamp.ns:
            self._append(observation, word, releases)
            return
        at = self._place(observation.stamp)
        if (
            at is not None
            and observation.stamp.domain is ClockDomain.REALTIME
            and self._shows_setting(observation.stamp, at, releases)
        ):
            at = None
        if at is not None and observation.kind in _ANNOUNCED and FIRST_AFTER_HEAD in observation.text:
            self._rename(observation.kind, at)
        if at is None or self._contradicts(observation, word, at, releases):
            self._append(observation, word, releases)
            return
        passed = self.observations[at:]
        late_ns = max((other.stamp.ns for other in passed), default=observation.stamp.ns) - observation.stamp.ns
        if late_ns > _WINDOW_NS or any(other.thread == observation.thread for other in passed):
            self.moved += 1
            self.most_late = max(self.most_late, (late_ns, observation), key=lambda item: item[0])
        self._moved = observation
        self.observations.insert(at, observation)
        self.words.insert(at, word)
        if late_ns > _WINDOW_NS and len(passed) == 1:
            self._count_behind(passed[0], observation)
        self._repeat(releases)

    def _append(self, observation: Observation, word: LastWord | None, releases: Releases) -> None:
        self.observations.append(observation)
        self.words.append(word)
        self.attempts.take(observation, word, releases)

    def _count_behind(self, ahead: Observation, observation: Observation) -> None:
        """Put a line back to its place in the log, if more lines than may be out of order seem late because of it.

        Then it is that one line whose stamp is wrong.
        """
        if self._ahead is not ahead:
            self._ahead, self._behind = ahead, []
        self._behind.append(observation)
        if len(self._behind) <= _MOST_PASSED:
            return
        first = next((at for at, other in enumerate(self.observations) if other is self._behind[0]), None)
        at = next((at for at, other in enumerate(self.observations) if other is ahead), None)
        if first is not None and at is not None:
            self.observations.insert(first, self.observations.pop(at))
            self.words.insert(first, self.words.pop(at))
            self.moved, self.most_late = 0, (0, None)
        self._ahead, self._behind = None, []

    def _rename(self, kind: str, at: int) -> None:
        """Give the events from ``at`` on the meaning that they have after one that comes first since HEAD."""
        for place in range(at, len(self.observations)):
            if self.observations[place].kind == kind:
                self.observations[place] = replace(self.observations[place], kind=Kind.START_ACKNOWLEDGED)

    def insert_among_equals(self, observation: Observation, word: LastWord | None, releases: Releases) -> None:
        """Add a line that bears the last line's stamp: before lines with that stamp, if that makes more sense."""
        end = at = len(self.observations)
        while at and end - at < _MOST_EQUAL and self.observations[at - 1].stamp.ns == observation.stamp.ns:
            at -= 1
        places = [end, *range(at, end)]
        self._repeated += len(places) * end
        sense = [self._sense_with(observation, word, place, releases) for place in places]
        place = places[sense.index(max(sense))]
        self.observations.insert(place, observation)
        self.words.insert(place, word)
        if place == end:
            self.attempts.take(observation, word, releases)
        else:
            self._repeat(releases)

    def insert_row(self, row: Observation, releases: Releases) -> None:
        """Add a row of a dirty table that comes after a later line: to its table, if that is there."""
        at = self._place(row.stamp)
        table = self.observations[at - 1] if at else None
        if at is None or table is None or table.kind is not Kind.DIRTY_TABLE or table.thread != row.thread:
            self.insert(table_of(row), None, releases)
        else:
            self.observations[at - 1] = table_of(table, row)
            self._repeat(releases)

    def _contradicts(self, observation: Observation, word: LastWord | None, at: int, releases: Releases) -> bool:
        """Return whether the order of the log makes more sense than that of the stamps: then this stamp is wrong."""
        self._repeated += 2 * len(self.observations)
        by_stamps = self._sense_with(observation, word, at, releases)
        return self._sense_with(observation, word, len(self.observations), releases) > by_stamps

    def _sense_with(
        self, observation: Observation, word: LastWord | None, place: int, releases: Releases
    ) -> tuple[int, int]:
        """Return how much sense the order makes with a line in that place."""
        return _sense(
            [*self.observations[:place], observation, *self.observations[place:]],
            [*self.words[:place], word, *self.words[place:]],
            releases,
        )

    def is_strange(self, observation: Observation) -> bool:
        """Return whether a line begins an attempt, and may have been put behind what it begins: they have one stamp."""
        if observation.kind not in ANY_BEGIN or not self.observations or self._repeated > _MOST_REPEATED:
            return False
        return self.observations[-1].stamp.ns == observation.stamp.ns

    def _place(self, stamp: Stamp) -> int | None:
        """Return where a line that is stamped so belongs; None if that is too far from the end."""
        observations, end = self.observations, len(self.observations)
        if self._repeated + end > _MOST_REPEATED + 4 * end:
            return None
        at, latest_ns = end, stamp.ns
        while at and observations[at - 1].stamp.ns > stamp.ns:
            at -= 1
            latest_ns = max(latest_ns, observations[at].stamp.ns)
            if end - at > _MOST_IN_WINDOW:
                return None
        late_ns = latest_ns - stamp.ns
        near = late_ns <= _WINDOW_NS or (end - at <= _MOST_PASSED and late_ns <= _LONGEST_NS)
        if not near and at and end - at == 1:  # it went on from the line before the last one, and lost a race by a hair
            near = stamp.ns - observations[at - 1].stamp.ns <= _WINDOW_NS
        return at if near else None

    def _shows_setting(self, stamp: Stamp, at: int, releases: Releases) -> bool:
        """Return whether a wall clock was set back, rather than a line put out of order."""
        if at == len(self.observations):
            return False
        elapsed, later = stamp.elapsed, self.observations[at].stamp
        if elapsed is not None and later.elapsed is not None:
            if elapsed.lo_ns > later.elapsed.hi_ns:
                return True
            if elapsed.hi_ns < later.elapsed.lo_ns:
                return False
        moved = self._moved
        if moved is not None and stamp.ns >= moved.stamp.ns and later.ns - stamp.ns > _ONE_STAMP_NS:
            self._set_back = True
            self._put_at_end(moved)
            self._repeat(releases)
        return self._set_back

    def _put_at_end(self, observation: Observation) -> None:
        """Undo that a line was put back: what follows it stays back, too."""
        self._moved = None
        at = next(at for at in reversed(range(len(self.observations))) if self.observations[at] is observation)
        self.observations.append(self.observations.pop(at))
        self.words.append(self.words.pop(at))

    def _repeat(self, releases: Releases) -> None:
        self._repeated += len(self.observations)
        self.attempts.repeat(self.observations, self.words, releases)


def _sense(
    observations: Sequence[Observation], words: Sequence[LastWord | None], releases: Releases
) -> tuple[int, int]:
    """Return how much sense an order makes: by fewer attempts, then by more lines of migrations that belong to one."""
    attempts = Attempts()
    for observation, word in zip(observations, words, strict=True):
        attempts.take(observation, word, releases)
    own = sum(observation.kind in OF_MIGRATIONS for attempt in attempts.begun for observation in attempt.observations)
    return -len(attempts.begun), own
