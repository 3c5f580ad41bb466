"""What the clock of a host prints: the records of a log or an event stream, written at another time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["HostClock", "RecordedProcess", "restamped", "since_start_ns", "wall_clock_ns"]

_S: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WALL: Final = re.compile(rb"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z")
_WALL_LENGTH: Final = len("2026-11-23T15:30:06.337722")
_SINCE_START: Final = re.compile(rb"\A(?:\S+Z )?cloud-hypervisor: ( *)(\d+)\.(\d{6})s: ")
_EVENT: Final = re.compile(rb'"secs": (\d+),\s+"nanos": (\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClock:
    """The clock of a host against true time."""

    ahead_ns: int = 0
    """By how much it is ahead where the playback begins."""
    drift_ppb: int = 0
    """By how many parts in 10^9 it runs faster; all clocks of a host do."""

    def lapse_ns(self, true_ns: int) -> int:
        """Return what passes on this clock while ``true_ns`` pass."""
        return true_ns + true_ns * self.drift_ppb // _S


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProcess:
    """A process that wrote records, and where its stamps lie in the recording."""

    began_ns: int
    """When it began, since the recording did: its stamps count from there."""
    wall_zero_ns: int
    """What a wall clock in its records said when the recording began."""


def restamped(
    records: Iterable[bytes], process: RecordedProcess, clock: HostClock, begin_ns: int
) -> Iterator[tuple[int, bytes]]:
    """Yield each record with when it is written, in nanoseconds since the recording began.

    Wall clocks say when that is in a playback that begins at ``begin_ns``, as this clock shows it; the times since the
    process began only drift. A record without a stamp is written with the one before it.
    """
    elapsed_ns = process.began_ns
    for record in records:
        text = record
        since_ns = since_start_ns(record)
        if since_ns is not None:
            elapsed_ns = process.began_ns + since_ns
            text = _with_since_start(record, clock.lapse_ns(since_ns))
        wall_ns = wall_clock_ns(record)
        if wall_ns is not None:
            elapsed_ns = wall_ns - process.wall_zero_ns
            text = _wall_text(begin_ns + clock.ahead_ns + clock.lapse_ns(elapsed_ns)) + text[_WALL_LENGTH:]
        yield elapsed_ns, text


def since_start_ns(record: bytes) -> int | None:
    """Return what a record says of the time since its process began, in nanoseconds."""
    stamp = _SINCE_START.match(record)
    if stamp is not None:
        return int(stamp[2]) * _S + int(stamp[3]) * 1000
    event = _EVENT.search(record)
    if event is not None and record.startswith(b"{"):
        return int(event[1]) * _S + int(event[2])
    return None


def _with_since_start(record: bytes, ns: int) -> bytes:
    stamp = _SINCE_START.match(record)
    if stamp is None:
        return _EVENT.sub(b'"secs": %d,\n    "nanos": %d' % divmod(ns, _S), record, count=1)
    width = stamp.end(3) - stamp.start(1)
    seconds, rest = divmod(ns, _S)
    shown = (b"%d.%06d" % (seconds, rest // 1000)).rjust(width)
    return record[: stamp.start(1)] + shown + record[stamp.end(3) :]


def wall_clock_ns(record: bytes) -> int | None:
    """Return the wall clock that a record begins with (Unix epoch)."""
    stamp = _WALL.match(record)
    if stamp is None:
        return None
    return (datetime.fromisoformat(stamp[1].decode() + "+00:00") - _EPOCH) // timedelta(microseconds=1) * 1000


def _wall_text(ns: int) -> bytes:
    return f"{_EPOCH + timedelta(microseconds=ns // 1000):%Y-%m-%dT%H:%M:%S.%f}".encode()
