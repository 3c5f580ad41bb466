"""Which traces were made of which sides, so that none is made twice and later ones can link to earlier ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.migration.identity import digest_of
from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.live.state.changes import Changes, Done
    from otelmig.live.state.database import State
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration

__all__ = ["LateFate", "Past", "TraceCounts", "fate_of", "late_fate"]

_REMEMBERED_NS: Final = 30 * 86_400 * SECOND_NS
"""For so long it is remembered which trace was made of a side."""
_EXPIRES_EVERY_NS: Final = 3600 * SECOND_NS
_MOST_IN_MEMORY: Final = 4096
"""Of at most so many logs, and of so many traces, it is in memory; of the others it is looked up in the state."""

_Key = tuple[str, str, bytes]
"""Of a log, a role, and an identity."""


class TraceCounts(Struct):
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


class LateFate(Struct, frozen=True, kw_only=True):
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


class _OfLog(Struct):
    """The sides of one log that traces were made of."""

    done: dict[tuple[str, bytes], Done]
    """By role and identity."""
    by_attempt: dict[tuple[str, str, int], Done] = field(default_factory=dict)
    """By the key of the process, the role and the number of the attempt."""


class Past(Struct, kw_only=True):
    """The sides that traces were made of: in memory those that are not in the state yet, and of the logs used last."""

    state: State
    changes: Changes
    salted: int = 0
    """Traces whose ids were changed, because another host's logs begin with the same lines."""
    _unsafe: dict[_Key, Done] = field(default_factory=dict)
    """Those whose trace could still be lost."""
    _logs: OrderedDict[str, _OfLog] = field(default_factory=OrderedDict)
    """The logs that were asked for, the longest ago first."""
    _sides: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """Of how many sides a trace was made, by its id; likewise."""
    _owners: OrderedDict[bytes, tuple[str, str]] = field(default_factory=OrderedDict)
    """On which log, and in which role, an identity was met first; likewise."""
    _expired_ns: int | None = None
    """When it was last looked for what was made long ago."""

    def of(self, side: Side) -> Done | None:
        """Return the trace that was made of a side, if one was."""
        return self._of_log(side.vmm.inputs[0]).done.get((side.role, side.identity))

    def is_alone(self, done: Done) -> bool:
        """Return whether a side is the only one of its trace."""
        count = self._sides.get(done.trace_id)
        if count is None:
            count = self._sides[done.trace_id] = self.state.sides_of(done.trace_id)
            _shrink(self._sides)
        return count == 1

    def before(self, side: Side) -> Done | None:
        """Return the trace of the attempt before that of ``side``."""
        return self._of_log(side.vmm.inputs[0]).by_attempt.get((side.vmm.key, side.role, side.attempt - 1))

    def remember(self, done: Sequence[Done], sides: Sequence[Side]) -> None:
        """Note the trace that was made of sides; it can still be lost."""
        for record, side in zip(done, sides, strict=True):
            self._unsafe[record.file, record.role, record.identity] = record
            self._add(record)
            self.seen(side)
            self._sides[record.trace_id] = len(done)
        _shrink(self._sides)

    def keep(self, done: Done) -> None:
        """Write that a trace was made of a side: the trace cannot be lost any more."""
        key = (done.file, done.role, done.identity)
        self.changes.done[key] = self._unsafe.pop(key, done)

    def tell(self, done: Done, fate: str) -> None:
        """Note that it was told what became of the guest since."""
        told = done._replace(fate=fate)
        key = (told.file, told.role, told.identity)
        self._add(told)
        if key in self._unsafe:
            self._unsafe[key] = told
        else:
            self.changes.done[key] = told

    def seen(self, side: Side) -> None:
        """Note that a side was read, perhaps once more: now it is known which process it is of."""
        done = self.of(side)
        if done is not None:
            self._of_log(done.file).by_attempt[side.vmm.key, side.role, side.attempt] = done

    def with_own_ids(self, migration: Migration) -> Migration:
        """Return the migration with other ids, if another host's logs already gave a trace these ids."""
        side = migration.reference
        own = (side.vmm.inputs[0], str(side.role))
        owner = self._owners.get(side.identity) or self.state.owner_of(side.identity) or own
        self._owners[side.identity] = owner
        self._owners.move_to_end(side.identity)
        _shrink(self._owners)
        if owner == own:
            return migration
        self.salted += 1
        salted = replace(side, identity=digest_of("host", side.identity.hex(), side.vmm.inputs[0]))
        if side.role is Role.SOURCE:
            return replace(migration, source=salted)
        return replace(migration, destination=salted)

    def expire(self, now_ns: int) -> None:
        """Forget what was made long ago."""
        if self._expired_ns is not None and now_ns < self._expired_ns + _EXPIRES_EVERY_NS:
            return
        self._expired_ns = now_ns
        until_ns = now_ns - _REMEMBERED_NS
        self.changes.gone_done.append(until_ns)
        for log in self._logs.values():
            log.done = {key: done for key, done in log.done.items() if done.at_ns >= until_ns}

    def _of_log(self, key: str) -> _OfLog:
        known = self._logs.get(key)
        if known is None:
            waiting = (*self.changes.done.values(), *self._unsafe.values())
            of_log = (*self.state.done_of(key), *(done for done in waiting if done.file == key))
            known = self._logs[key] = _OfLog({(done.role, done.identity): done for done in of_log})
            _shrink(self._logs)
        else:
            self._logs.move_to_end(key)
        return known

    def _add(self, done: Done) -> None:
        self._of_log(done.file).done[done.role, done.identity] = done


def _shrink(cache: OrderedDict[Any, Any]) -> None:
    while len(cache) > _MOST_IN_MEMORY:
        cache.popitem(last=False)
