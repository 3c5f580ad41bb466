"""Which sources and destinations may be one migration, as far as they are worth comparing.

Who was migrating at one time is compared first. A side that nobody fits at its time may have a clock that is wrong: it
is compared with those of other times, too. Whether the times of the others are to be believed then is a question of
what explains more: that the clocks are right, or that they are off by as much as would give that side a partner.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from otelmig.clock.drift import SLEWED_PPB
from otelmig.pairing.candidate import Candidate, compare_clocks
from otelmig.pairing.index import PairingIndex
from otelmig.pairing.matching import groups, unique_matching
from otelmig.pairing.traits.presence import IN_TURN_NS, TOLERANCE_NS, Presence, presence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors import Hypervisor
    from otelmig.migration.side import Side
    from otelmig.pairing.matching import Edge

__all__ = ["PossiblePairs"]

_MANY: Final = 32
"""A side is compared no further after this many candidates: it cannot have a unique partner any more."""
_FEW: Final = 4
_CANDIDATES: Final = 1 << 11
"""So many candidates are enough for all: where there are very many sides, a few each."""
_NO_CHANCE: Final = 4
"""So many pairs of one listener whose times agree to a tenth of a second do so because they are pairs."""
_TRIED: Final = 1 << 21
"""Errors of a clock are tried on at most so many sides in all."""


class PossiblePairs:
    """The candidates among some sides; a pair is a source's number and a destination's."""

    def __init__(
        self,
        sources: Sequence[Side],
        destinations: Sequence[Side],
        hypervisors: Mapping[str, Hypervisor],
        clock: ClockOptions,
        *,
        clocks_hold: bool = False,
    ) -> None:
        self._sides = (sources, destinations)
        self._hypervisors = hypervisors
        self._clock = clock
        self._clocks_hold = clocks_hold
        self._most = min(_MANY, max(_FEW, _CANDIDATES // max(len(sources), 1)))
        self._index = PairingIndex(hypervisors, drift_ppb=clock.drift_ppb)
        self._numbers: dict[int, int] = {}
        self._unfinished: set[int] = set()
        for sides in self._sides:
            for number, side in enumerate(sides):
                self._index.add(side)
                self._numbers[id(side)] = number
        self.candidates: dict[Edge, Candidate] = {}
        """Those that the clocks do not exclude."""
        self.by_clocks: set[Edge] = set()
        """Those that only the clocks exclude."""
        self.possible: set[Edge] = set()
        """The candidates that may be right."""
        self.at_other_times: set[Edge] = set()
        """The candidates that the times exclude, as others show that the clocks are right."""
        self._find()

    def assert_pair(self, edge: Edge, candidate: Candidate) -> None:
        """Take a pair for possible, whatever was found."""
        self.candidates[edge] = candidate
        self.possible.add(edge)
        self.by_clocks.discard(edge)

    def without_weaker(self) -> set[Edge]:
        """Return the possible pairs; of a side that was connected to at its own address only those that say so."""
        named = {edge for edge in self.possible if self.candidates[edge].names_the_host}
        sources, destinations = ({edge[end] for edge in named} for end in range(2))
        return named | {(i, j) for i, j in self.possible if i not in sources and j not in destinations}

    def match(self, edges: set[Edge]) -> tuple[dict[int, int], set[Edge]]:
        """Return the pairs that are the only way to match ``edges``, and the edges that leave more than one way."""
        accepted, ambiguous = unique_matching(
            edges,
            tuple({edge for edge in edges if prefers(self.candidates[edge])} for prefers in _PREFERENCES),
            frozenset(self._unfinished),
        )
        left = set()
        for group in groups(ambiguous):
            in_turn = self._in_turn(group)
            accepted |= in_turn
            left |= {(i, j) for i, j in group if i not in in_turn and j not in in_turn.values()}
        return accepted, left

    def _in_turn(self, group: set[Edge]) -> dict[int, int]:
        """Return the pairs of one listener, which takes one migration at a time, even if some sides are missing.

        Each is the only pair of both its sides in which the times agree as those of well-kept clocks. Two or three may
        do so by chance. If the listener's clock were off by as much as one migration takes, the first or the last side
        would be left over: both the first and the last must be paired.
        """
        candidates = {edge: self.candidates[edge] for edge in group}
        if not all(candidate.names_the_host for candidate in candidates.values()):
            return {}
        agreeing = [edge for edge, candidate in candidates.items() if candidate.agree_within(IN_TURN_NS)]
        counts = [Counter(edge[end] for edge in agreeing) for end in range(2)]
        pairs = {i: j for i, j in agreeing if counts[0][i] == counts[1][j] == 1}
        rows = sorted({i for i, _ in group}, key=lambda i: self._begin_ns(0, i))
        columns = sorted({j for _, j in group}, key=lambda j: self._begin_ns(1, j))
        whole = pairs.get(rows[0]) == columns[0] and pairs.get(rows[-1]) == columns[-1]
        return pairs if whole and len(pairs) >= _NO_CHANCE else {}

    def _begin_ns(self, end: int, number: int) -> int:
        presence = presence_of(self._sides[end][number])
        return 0 if presence is None else presence.begin_ns

    def _find(self) -> None:
        presences = tuple([presence_of(side) for side in sides] for sides in self._sides)
        at_one_time = {
            (i, j) for i in range(len(self._sides[0])) for j in self._partners(0, i) if self._is_timely((i, j))
        }
        self.possible = at_one_time
        late = self._of_late(presences, at_one_time)
        if self._clocks_hold:
            self.at_other_times = {edge for edge in late if not self.candidates[edge].is_at_one_time}
            late -= self.at_other_times
        if not late:
            return
        self.possible = set()
        for group in groups(at_one_time | late):
            near, far = group & at_one_time, group & late
            if near and far and self._clocks_are_right(near, far, presences):
                self.possible |= near
                self.at_other_times |= far
                continue
            self.possible |= group
            if near and far and not self._clocks_hold:
                sources, destinations = ({edge[end] for edge in group} for end in range(2))
                self.possible |= {
                    (i, j) for i in sources for j in self._partners(0, i, at_any_time=True) if j in destinations
                }

    def _is_timely(self, edge: Edge) -> bool:
        candidate = self.candidates[edge]
        return candidate.is_timely and not (self._clocks_hold and candidate.follow_each_other)

    def _of_late(self, presences: _Presences, at_one_time: set[Edge]) -> set[Edge]:
        """Return the pairs at any time (about one time, if clocks hold) of sides that nobody fits at their time."""
        late = set()
        for end, own in enumerate(presences):
            settled = {edge[end] for edge in at_one_time}
            for number, presence in enumerate(own):
                if presence is not None and number not in settled:
                    others = self._partners(end, number, at_any_time=not self._clocks_hold)
                    late |= {_edge(number, other, end) for other in others}
        return late

    def _partners(self, end: int, number: int, *, at_any_time: bool = False) -> Iterable[int]:
        """Return whom a side fits, the first few."""
        partners: list[int] = []
        for side in self._index.candidates(self._sides[end][number], at_any_time=at_any_time):
            other = self._numbers[id(side)]
            if self._fits(_edge(number, other, end)):
                partners.append(other)
                if len(partners) == self._most:
                    if end == 0:
                        self._unfinished.add(number)
                    break
        return partners

    def _fits(self, edge: Edge) -> bool:
        if edge in self.candidates or edge in self.by_clocks:
            return edge in self.candidates
        source, destination = self._sides[0][edge[0]], self._sides[1][edge[1]]
        drift_ppb = max(self._clock.drift_ppb, SLEWED_PPB)
        if self._hypervisors[source.vmm.system].no_offset_fits(source, destination, drift_ppb):
            self.by_clocks.add(edge)
            return False
        verdict = compare_clocks(source, destination, self._hypervisors, self._clock)
        if isinstance(verdict, Candidate):
            self.candidates[edge] = verdict
        elif verdict.by_clocks:
            self.by_clocks.add(edge)
        return isinstance(verdict, Candidate)

    def _clocks_are_right(self, near: set[Edge], far: set[Edge], presences: _Presences) -> bool:
        """Return whether more is paired at one time than at any distance in time that would pair a late side."""
        rows, columns = ({edge[end] for edge in near | far} for end in range(2))
        sent = sorted(presence for i in rows if (presence := presences[0][i]) is not None)
        received = sorted(presence for j in columns if (presence := presences[1][j]) is not None)
        if len(sent) < len(rows) or len(received) < len(columns) or len(far) * len(sent) > _TRIED:
            return False
        agreed = {edge for edge in near if self.candidates[edge].clocks_agree}
        paired = len(unique_matching(near, (agreed,))[0])
        return all(
            paired > _paired_at(sent, received, other.begin_ns - one.begin_ns)
            for i, j in far
            if (one := presences[0][i]) is not None and (other := presences[1][j]) is not None
        )


_PREFERENCES: Final[tuple[Callable[[Candidate], bool], ...]] = (
    lambda pair: pair.is_one_vm,
    lambda pair: pair.is_one_domain,
    lambda pair: pair.clocks_agree,
)
"""What tells pairs apart that are all possible, in the order in which it is tried."""

_Presences = tuple[list[Presence | None], ...]


def _edge(own: int, other: int, end: int) -> Edge:
    return (own, other) if end == 0 else (other, own)


def _paired_at(sent: Sequence[Presence], received: Sequence[Presence], ahead_ns: int) -> int:
    """Return how many pairs begin at one time, if the destinations' clocks are ahead by so much; all are in order."""
    paired, j = 0, 0
    # j: the first destination that no earlier source took, nor was too early for
    for one in sent:
        while j < len(received) and received[j].begin_ns - ahead_ns < one.begin_ns - TOLERANCE_NS:
            j += 1
        if j < len(received) and received[j].begin_ns - ahead_ns <= one.begin_ns + TOLERANCE_NS:
            paired, j = paired + 1, j + 1
    return paired
