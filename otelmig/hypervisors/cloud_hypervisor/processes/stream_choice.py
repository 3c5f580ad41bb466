"""Which event stream is which log's: by what both tell, then by what most of both tell, and by their names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import ToldEvents, fit, fit_what_is_there
from otelmig.inputs import common_stem
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.beside.event_lines import EventProcess
    from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import Fit
    from otelmig.hypervisors.cloud_hypervisor.reading.log_process import LogProcess
    from otelmig.inputs import Stream
    from otelmig.migration.observation import Observation

__all__ = ["Joins", "joins_of"]

_MOST_COMPARED: Final = 1 << 10
"""At most this many logs and streams that are named differently are compared by what either may lack."""


class _Candidate(NamedTuple):
    log: int
    stream: int
    shift: Fit
    alike: bool
    """Whether they are named as those of one process are."""


class Joins(Struct, frozen=True):
    """Which stream is which log's, by their places."""

    chosen: dict[int, tuple[int, Fit]] = field(default_factory=dict)
    """By log: its stream, and the shift between the two."""
    possible: set[int] = field(default_factory=set)
    """Streams that fit any log."""


def joins_of(
    logs: Sequence[LogProcess], observations: Sequence[Sequence[Observation]], streams: Sequence[EventProcess]
) -> Joins:
    """Return the streams that fit one log alone, each of which fits no other stream as well.

    A stream that fits a log without a gap is its stream; only what is left over is compared by what is there.
    """
    joins = Joins()
    named = _Names(logs, streams)
    told = [ToldEvents(stream) for stream in observations]
    stamped = [ToldEvents(stream.observations) for stream in streams]
    whole = [
        _Candidate(i, j, shift, named.alike(i, j))
        for i, log in enumerate(logs)
        for j, stream in enumerate(streams)
        if not (log.incomplete or stream.incomplete) and (shift := fit(told[i], stamped[j])) is not None
    ]
    _choose(joins, whole)
    left = [j for j in range(len(streams)) if j not in joins.possible and streams[j].observations]
    rest = [i for i in range(len(logs)) if i not in joins.chosen and not logs[i].incomplete]
    everything = len(left) * len(rest) <= _MOST_COMPARED
    partial = [
        _Candidate(i, j, shift, alike)
        for i in rest
        for j in left
        if not streams[j].incomplete
        and ((alike := named.alike(i, j)) or everything)
        and (shift := fit_what_is_there(told[i], stamped[j], alike=alike)) is not None
    ]
    _choose(joins, partial)
    return joins


def _choose(joins: Joins, candidates: Sequence[_Candidate]) -> None:
    joins.chosen.update({own.log: (own.stream, own.shift) for own in candidates if _stands_out(own, candidates)})
    joins.possible.update(own.stream for own in candidates)


def _stands_out(own: _Candidate, candidates: Iterable[_Candidate]) -> bool:
    """Return whether no other log or stream fits as well: by name, else by fewer events, or half as closely."""
    return all(
        (own.alike, own.shift.pairs) > (other.alike, other.shift.pairs)
        or (
            (own.alike, own.shift.pairs) == (other.alike, other.shift.pairs)
            and 2 * own.shift.spread_ns < other.shift.spread_ns
        )
        for other in candidates
        if other is not own and (other.log == own.log or other.stream == own.stream)
    )


class _Names:
    """What the names of logs and streams say of which belong together."""

    def __init__(self, logs: Sequence[LogProcess], streams: Sequence[EventProcess]) -> None:
        self._logs = [log.stream for log in logs]
        self._streams = [stream.stream for stream in streams]
        self._logs_in = Counter(_folder(stream) for stream in {stream.key: stream for stream in self._logs}.values())
        self._streams_in = Counter(
            _folder(stream) for stream in {stream.key: stream for stream in self._streams}.values()
        )

    def alike(self, log: int, stream: int) -> bool:
        """Return whether the two are named alike, or are the only log and the only stream of one folder."""
        own, other = self._logs[log], self._streams[stream]
        if common_stem(own.stem) == common_stem(other.stem):
            return True
        place = _folder(own)
        return place == _folder(other) and self._logs_in[place] == self._streams_in[place] == 1


def _folder(stream: Stream) -> str:
    """Return where a stream lies: often the files of one host."""
    return stream.stem.rpartition("/")[0]
