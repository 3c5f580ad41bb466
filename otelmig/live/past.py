"""Which traces were made of which sides, so that none is made twice and later ones can link to earlier ones."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otelmig.dataclass import dataclass
from otelmig.migration.identity import digest_of
from otelmig.migration.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.live.state.changes import Done
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["LateFate", "Past", "TraceCounts", "fate_of", "late_fate"]

_REMEMBERED_NS: Final = 30 * 86_400 * 10**9
"""For so long it is remembered which trace was made of a side."""
_MOST_ATTEMPTS: Final = 100_000
"""At most so many attempts are known by the process that they are of."""


@dataclass(slots=True)
class TraceCounts:
    """What became of everything, since the start."""

    records: int = 0
    traces: int = 0
    paired: int = 0
    alone: int = 0
    conflicts: int = 0
    as_they_stood: int = 0
    """Traces with a side that was not over."""
    late_fates: int = 0


def fate_of(side: Side) -> str | None:
    """Return what became of the guest of a side, in a word; None for nothing."""
    fate = side.received.fate if side.role is Role.DESTINATION else side.sent.fate
    return None if fate is None else str(fate.fate)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateFate:
    """What became of a guest after the trace of its migration had been made."""

    fate: str
    trace_id: str
    span_id: str
    evidence: str


def late_fate(done: Done, side: Side) -> LateFate | None:
    """Return what became of the guest of a side since its trace was made; None for nothing, or nothing new."""
    fate = side.received.fate if side.role is Role.DESTINATION else side.sent.fate
    if fate is None or done.fate is not None:
        return None
    return LateFate(fate=str(fate.fate), trace_id=done.trace_id, span_id=done.span_id, evidence=str(fate.at.where))


class Past:
    """The sides that traces were made of."""

    def __init__(self) -> None:
        self.salted = 0
        """Traces whose ids were changed, because another host's logs begin with the same lines."""
        self._done: OrderedDict[tuple[str, str, bytes], Done] = OrderedDict()
        self._sides: Counter[str] = Counter()
        """Of how many sides each trace was made, by its id."""
        self._owners: dict[bytes, tuple[str, str, bytes]] = {}
        """Which side each identity was met on first."""
        self._by_attempt: OrderedDict[tuple[str, str, int], Done] = OrderedDict()
        """By the key of the process, the role and the number of the attempt."""

    def __len__(self) -> int:
        return len(self._done)

    def of(self, side: Side) -> Done | None:
        """Return the trace that was made of a side, if one was."""
        return self._done.get((side.vmm.inputs[0], side.role, side.identity))

    def is_alone(self, done: Done) -> bool:
        """Return whether a side is the only one of its trace."""
        return self._sides[done.trace_id] == 1

    def before(self, side: Side) -> Done | None:
        """Return the trace of the attempt before that of ``side``."""
        return self._by_attempt.get((side.vmm.key, side.role, side.attempt - 1))

    def remember(self, done: Done, side: Side | None = None) -> None:
        """Note what was made of ``side``; None for what the state has from before a restart."""
        key = (done.file, done.role, done.identity)
        if key not in self._done:
            self._sides[done.trace_id] += 1
        self._done[key] = done
        self._owners.setdefault(done.identity, key)
        if side is not None:
            self._by_attempt[side.vmm.key, side.role, side.attempt] = done
            while len(self._by_attempt) > _MOST_ATTEMPTS:
                self._by_attempt.popitem(last=False)

    def seen(self, side: Side) -> None:
        """Note that a side from before a restart was read once more: now it is known which process it is of."""
        done = self.of(side)
        if done is not None:
            self._by_attempt[side.vmm.key, side.role, side.attempt] = done

    def with_own_ids(self, migration: Migration) -> Migration:
        """Return the migration with other ids, if another host's logs already gave a trace these ids."""
        side = migration.reference
        own = (side.vmm.inputs[0], str(side.role), side.identity)
        if self._owners.setdefault(side.identity, own) == own:
            return migration
        self.salted += 1
        salted = replace(side, identity=digest_of("host", side.identity.hex(), side.vmm.inputs[0]))
        if side.role is Role.SOURCE:
            return replace(migration, source=salted)
        return replace(migration, destination=salted)

    def expire(self, now_ns: int) -> int | None:
        """Forget what was made long ago; return before when, if there was anything."""
        until_ns = now_ns - _REMEMBERED_NS
        gone = 0
        for done in self._oldest():
            if done.at_ns >= until_ns:
                break
            key = (done.file, done.role, done.identity)
            del self._done[key]
            self._sides[done.trace_id] -= 1
            if not self._sides[done.trace_id]:
                del self._sides[done.trace_id]
            if self._owners.get(done.identity) == key:
                del self._owners[done.identity]
            gone += 1
        return until_ns if gone else None

    def _oldest(self) -> Iterable[Done]:
        while self._done:
            yield next(iter(self._done.values()))
