"""Statistics of the Cyberus fork: answers of ``GET /api/v1/vm.migration-progress``, polled and kept.

Each answer is null or an object with wall-clock milliseconds of the source host: when the migration began
(``timestamp_begin_ms``), when the answer was made (``timestamp_snapshot_ms``), how far it was. What happened between
two answers happened at an instant that is known to within the two. Once the migration is over its statistics stand
still: then ``timestamp_snapshot_ms`` is when it ended, whenever it was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.beside.json_objects import JsonObject, JsonObjects
from otelmig.hypervisors.cloud_hypervisor.failures import error_type
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import NO_STATISTICS, UnparsedLine
from otelmig.inputs.files import LATEST_NS
from otelmig.migration.observation import Observation, Value
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.structs import Struct
from otelmig.units import MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.inputs import Line, Stream
    from otelmig.inputs.line import Where

__all__ = ["ENDED", "Progress", "ProgressLines", "is_progress"]

_PAGE: Final = 4096
_NOTHING: Final = frozenset({"", "null", "[", "]", ","})
"""What stands between answers and says nothing: no migration yet, or the answers are an array."""
_LATEST_MS: Final = LATEST_NS // MILLISECOND_NS
"""The year 2200: a later time is not one that a migration was at."""
_MOST_AT_ONCE: Final = 64
"""At most this many memory iterations are believed to have passed between two answers."""
_MOST_ITERATIONS: Final = 4096
"""At most this many memory iterations of a migration are kept."""
_MOST_KEPT: Final = 64
"""At most this many migrations of a growing stream are kept, the latest ones."""
ENDED: Final = {"Finished": Kind.SEND_FINISHED, "Cancelled": Kind.SEND_CANCELLED, "Failed": Kind.SEND_FAILED}


class Progress(Struct, kw_only=True):
    """One migration, as its statistics tell it."""

    stream: Stream
    begin_ms: int
    observations: list[Observation] = field(default_factory=list)
    last_ms: int = 0
    iterations: int = 0
    acknowledged: bool = False
    """Whether the receiver was said to have taken the migration on."""
    completing: bool = False
    ended_ms: int | None = None
    """What the first answer after the end said of when it ended."""
    before_end_ms: int | None = None
    """When the last answer before the end was made."""

    def doubt_end(self) -> None:
        """Take back when it ended: its statistics do not stand still, so they tell when they were asked for."""
        end = self.observations[-1]
        if self.before_end_ms is not None and self.ended_ms is not None:
            self.observations[-1] = replace(end, stamp=_between(self.before_end_ms, self.ended_ms))


def is_progress(head: bytes) -> bool:
    """Return whether a file that begins like this holds such answers."""
    return b'"timestamp_begin_ms"' in head and b'"memory_transmission_info"' in head


class ProgressLines(Struct, kw_only=True):
    """Reads the answers of one stream, line by line."""

    stream: Stream
    _by_begin: dict[int, Progress] = field(default_factory=dict)
    _objects: JsonObjects = field(default_factory=JsonObjects)

    @property
    def migrations(self) -> list[Progress]:
        """Each migration that the answers speak of, in the order in which they began."""
        return [self._by_begin[begin] for begin in sorted(self._by_begin)]

    def take(self, line: Line) -> list[UnparsedLine]:
        """Read one line; return what is known with it to be no answer."""
        text = line.text.strip()
        if "{" not in text and not self._objects.is_inside:
            return [UnparsedLine(where=line.where, reason=NO_STATISTICS)] if text not in _NOTHING else []
        return self._add(self._objects.take(line))

    def end(self) -> list[UnparsedLine]:
        """Read what is left: the stream is over; return what is no answer."""
        return self._add(self._objects.finish())

    def _add(self, items: Iterable[JsonObject | Where]) -> list[UnparsedLine]:
        unparsed: list[UnparsedLine] = []
        for item in items:
            if isinstance(item, JsonObject) and _is_answer(item.value):
                self._add_answer(item.value, item.where)
            else:
                where = item.where if isinstance(item, JsonObject) else item
                unparsed.append(UnparsedLine(where=where, reason=NO_STATISTICS))
        return unparsed

    def _add_answer(self, answer: Mapping[str, Any], where: Where) -> None:
        begin = answer["timestamp_begin_ms"]
        progress = self._by_begin.get(begin)
        if progress is None:
            progress = self._by_begin[begin] = Progress(stream=self.stream, begin_ms=begin, last_ms=begin)
            progress.observations += _beginning(answer, where)
            if self.stream.mtime_ns is None and len(self._by_begin) > _MOST_KEPT:
                del self._by_begin[min(self._by_begin)]
        if progress.ended_ms is None:
            progress.observations += _since(progress, answer, where)
        elif answer["timestamp_snapshot_ms"] != progress.ended_ms:
            progress.doubt_end()
        progress.last_ms = max(progress.last_ms, answer["timestamp_snapshot_ms"])


def _is_answer(answer: Mapping[str, Any]) -> bool:
    """Return whether this is an answer with both of its times."""
    match answer:
        case {"timestamp_begin_ms": int(begin), "timestamp_snapshot_ms": int(at), **_rest}:
            return 0 < begin <= at < _LATEST_MS
        case _:
            return False


def _number(value: object) -> int | None:
    small = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
    return value if small and isinstance(value, int) else None


def _between(first_ms: int, last_ms: int) -> Stamp:
    """Return an instant between two printed milliseconds (both truncated)."""
    lo, hi = first_ms * MILLISECOND_NS, (last_ms + 1) * MILLISECOND_NS
    text = f"{first_ms}ms" if first_ms == last_ms else f"{first_ms}ms..{last_ms}ms"
    return Stamp(ns=(lo + hi) // 2, error_ns=(hi - lo + 1) // 2, text=text, domain=ClockDomain.REALTIME)


def _seen(kind: Kind, stamp: Stamp, where: Where, text: str = "", **values: Value | None) -> Observation:
    known = {name: value for name, value in values.items() if value is not None}
    return Observation(kind=kind, stamp=stamp, where=where, thread="", text=text, values=known)


def _beginning(answer: Mapping[str, Any], where: Where) -> Iterator[Observation]:
    begin = answer["timestamp_begin_ms"]
    mode = answer.get("transportation_mode")
    tcp = mode.get("Tcp") if isinstance(mode, dict) else None
    tcp = tcp if isinstance(tcp, dict) else {}
    tls, target = tcp.get("tls"), _number(answer.get("downtime_configured_ms"))
    stamp = _between(begin, begin)
    yield _seen(Kind.SEND_REQUESTED, stamp, where, connections=_number(tcp.get("connections")))
    yield _seen(
        Kind.SEND_STARTED,
        stamp,
        where,
        f"timestamp_begin_ms={begin}",
        local=mode == "Local",
        tls=tls if isinstance(tls, bool) else None,
        target_ns=None if target is None or target > _LATEST_MS else target * MILLISECOND_NS,
    )


def _since(progress: Progress, answer: Mapping[str, Any], where: Where) -> Iterator[Observation]:
    """Yield what happened since the answer before."""
    stamp = _between(progress.last_ms, max(answer["timestamp_snapshot_ms"], progress.last_ms))
    info = answer.get("memory_transmission_info")
    info = info if isinstance(info, dict) else {}
    state = answer.get("state")
    name, detail = next(iter(state.items()), ("", {})) if isinstance(state, dict) else ("", {})
    detail = detail if isinstance(detail, dict) else {}
    iterations = min(_number(info.get("memory_iteration")) or 0, progress.iterations + _MOST_AT_ONCE, _MOST_ITERATIONS)
    if detail.get("phase") == "Started" and not progress.acknowledged:
        progress.acknowledged = True
        yield _seen(Kind.START_ACKNOWLEDGED, stamp, where)
    dirty, estimate = _number(info.get("memory_dirty_rate_pps")), _estimate_ms(answer)
    for index in range(progress.iterations, iterations):
        yield _seen(
            Kind.ITERATION_SENT,
            stamp,
            where,
            iteration=index,
            total_bytes=_number(info.get("memory_bytes_transmitted")),
            dirty_rate=None if dirty is None else float(dirty * _PAGE),
            estimate_ns=None if estimate is None else estimate * MILLISECOND_NS,
            throttle=_number(detail.get("vcpu_throttle_percent")),
        )
    progress.iterations = max(progress.iterations, iterations)
    if detail.get("phase") == "Completing" and not progress.completing:
        progress.completing = True
        yield _seen(Kind.VM_PAUSING, stamp, where)
    kind = ENDED.get(name)
    if kind is not None:
        error = str(detail.get("error_msg") or "the migration failed") if kind is Kind.SEND_FAILED else None
        progress.before_end_ms, progress.ended_ms = progress.last_ms, answer["timestamp_snapshot_ms"]
        end = _end(progress.before_end_ms, progress.ended_ms)
        yield _seen(kind, end, where, error=error, error_type=None if error is None else error_type(error))


def _estimate_ms(answer: Mapping[str, Any]) -> int | None:
    """Return the estimate of the downtime; None where the answer has none.

    Then it is 0, or what was configured is filled in.
    """
    estimate = _number(answer.get("downtime_estimated_ms"))
    if not estimate or estimate >= _LATEST_MS or estimate == answer.get("downtime_configured_ms"):
        return None
    return estimate


def _end(before_ms: int, end_ms: int) -> Stamp:
    """Return the end of a migration: a millisecond around what was printed, and after the answer before."""
    return _between(max(before_ms, end_ms - 1), max(before_ms, end_ms))
