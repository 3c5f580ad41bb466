"""The shift between two lists of which either may lack items: the one that most items of both agree on.

Each pair of a log line and an event that may be the same allows the shifts of an interval. The true shift lies in the
intervals of all pairs that are the same; of pairs that are not, in few.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Alignment", "Pair", "alignment"]

_NEAR_NS: Final = 100 * MILLISECOND_NS
"""Shifts that lie within this are the same one; pairs within this of a shift are not told apart by it."""
_USUAL_NS: Final = SECOND_NS
"""Of several shifts that are agreed on equally, one from zero to this is believed, if it is the only one."""


class Pair(NamedTuple):
    """A line and an event that are the same if the shift lies in ``[lo_ns, hi_ns]``."""

    lo_ns: int
    hi_ns: int
    line: int
    event: int


class Alignment(Struct, frozen=True, kw_only=True):
    """The shift lies in ``[lo_ns, hi_ns]``; each line and each event is in one of the pairs at most."""

    lo_ns: int
    hi_ns: int
    certain: Sequence[Pair]
    """Nothing but this event can be what the line tells, nor the other way round."""
    uncertain: Sequence[Pair]
    """The line and the event are told apart from their neighbours by their order alone."""


def alignment(pairs: Sequence[Pair], *, prefer_usual: bool) -> Alignment | None:
    """Return the shift that most lines and events agree on; None if that is none, or several are agreed on equally.

    With ``prefer_usual``, one of several that is as small as such shifts are is taken.
    """
    cells = _best_cells(pairs)
    clusters: list[tuple[int, int]] = []
    for lo_ns, hi_ns in cells:
        if clusters and lo_ns - clusters[-1][1] <= _NEAR_NS:
            clusters[-1] = (clusters[-1][0], hi_ns)
        else:
            clusters.append((lo_ns, hi_ns))
    if len(clusters) > 1 and prefer_usual:
        clusters = [(lo_ns, hi_ns) for lo_ns, hi_ns in clusters if lo_ns <= _USUAL_NS]
    if len(clusters) != 1:
        return None
    lo_ns, hi_ns = clusters[0]
    near = [pair for pair in pairs if pair.lo_ns <= hi_ns + _NEAR_NS and pair.hi_ns >= lo_ns - _NEAR_NS]
    lines, events = Counter(pair.line for pair in near), Counter(pair.event for pair in near)
    agreeing = [pair for pair in near if pair.lo_ns <= hi_ns and pair.hi_ns >= lo_ns]
    certain = [pair for pair in agreeing if lines[pair.line] == events[pair.event] == 1]
    if len(cells) == 1 and certain:
        lo_ns, hi_ns = max(pair.lo_ns for pair in certain), min(pair.hi_ns for pair in certain)
    elif len(cells) == 1:
        lo_ns, hi_ns = min(pair.lo_ns for pair in agreeing), max(pair.hi_ns for pair in agreeing)
    uncertain = _in_order(pair for pair in agreeing if pair not in certain)
    return Alignment(lo_ns=lo_ns, hi_ns=hi_ns, certain=certain, uncertain=uncertain)


def _best_cells(pairs: Iterable[Pair]) -> list[tuple[int, int]]:
    """Return the intervals in which the most lines and events agree, in order."""
    edges = sorted(
        edge for pair in pairs for edge in ((pair.lo_ns, 0, pair.line, pair.event), (pair.hi_ns, 1, *pair[2:]))
    )
    lines: Counter[int] = Counter()
    events: Counter[int] = Counter()
    best = 0
    cells: list[tuple[int, int]] = []
    # lines, events: those whose intervals hold the shift that the sweep stands at; opened: whether more did just begin
    opened = False
    for at, (ns, closes, line, event) in enumerate(edges):
        if not closes:
            lines[line] += 1
            events[event] += 1
            opened = True
            continue
        if opened:
            score = min(len(lines), len(events))
            if score > best:
                best = score
                cells.clear()
            if score == best:
                cells.append((edges[at - 1][0], ns))
            opened = False
        for counts, item in ((lines, line), (events, event)):
            counts[item] -= 1
            if not counts[item]:
                del counts[item]
    return cells


def _in_order(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs of which no line and no event is in two, and none crosses another."""
    by_line: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_line[pair.line].append(pair)
    chosen: list[Pair] = []
    taken: set[int] = set()
    for line in sorted(by_line):
        free = [pair for pair in by_line[line] if pair.event not in taken]
        if free:
            chosen.append(min(free, key=lambda pair: pair.event))
            taken.add(chosen[-1].event)
    return chosen
