"""A host of the simulator: its clock, how a reading is printed, and what its VMM writes."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WALL_ZERO", "Clock", "Host", "Record", "duration", "glog", "milliseconds", "since_start", "wallclock"]

_US: Final = 10**3
_MS: Final = 10**6
_S: Final = 10**9
_PPB: Final = 10**9
_LEVELS: Final = ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")
WALL_ZERO: Final = datetime(2026, 5, 21, 6, 2, 10, 250_000, tzinfo=UTC)
"""What is printed where a wall clock reads 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A clock that reads ``zero_ns`` at true time 0 and gains ``rates`` of nanoseconds, in ppb, since given times."""

    zero_ns: int
    rates: tuple[tuple[int, int], ...]
    set_at: int = 0
    """The true time at which it is set."""
    set_by: int = 0
    """By how much: it is the wall clock that is set, never the time that has passed."""

    def read(self, true_ns: int) -> int:
        """The wall clock at a true time."""
        return self.passed(true_ns) + (self.set_by if true_ns >= self.set_at else 0)

    def passed(self, true_ns: int) -> int:
        """The time that has passed by the same oscillator since it read 0."""
        gained, since, rate = 0, 0, self.rates[0][1]
        for begin, next_rate in self.rates[1:]:
            if true_ns <= begin:
                break
            gained += (begin - since) * rate
            since, rate = begin, next_rate
        return self.zero_ns + true_ns + (gained + (true_ns - since) * rate) // _PPB

    def zero_at(self) -> int:
        """The true time at which it read nearly zero, long before the first change of its rate."""
        return -(self.zero_ns * _PPB // (_PPB + self.rates[0][1]))


# --- how a reading is printed ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A line of a log, before it is printed."""

    ns: int
    thread: str
    level: str
    location: str
    message: str


def _f32(value: float) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


def since_start(record: Record) -> str:
    """The default line of v49.0 on: ``Duration::as_secs_f32``, every step in 32 bits."""
    whole, nanos = divmod(record.ns, _S)
    seconds = _f32(_f32(float(whole)) + _f32(_f32(float(nanos)) / _f32(1e9)))
    head = f"cloud-hypervisor: {seconds:>10.6f}s: <{record.thread}> {record.level}"
    return f"{head}:{record.location} -- {record.message}"


def duration(record: Record) -> str:
    """The line of v36.0-v48.0: a ``Duration`` with six decimals."""
    if record.ns >= _S:
        us = (record.ns + 500) // 1000
        printed = f"{us // _MS}.{us % _MS:06d}s"
    else:
        printed = f"{record.ns // _MS}.{record.ns % _MS:06d}ms"
    return f"cloud-hypervisor: {printed}: <{record.thread}> {record.level}:{record.location} -- {record.message}"


def _instant(record: Record) -> datetime:
    return WALL_ZERO + timedelta(microseconds=record.ns // _US)


def wallclock(record: Record, digits: str = "microseconds") -> str:
    """``--log-format '{wallclock} {pid}/{tid} <{thread}> {level} {location} -- {msg}'``."""
    head = f"{_instant(record).isoformat(timespec=digits).replace('+00:00', 'Z')} 4711/4719 <{record.thread}>"
    return f"{head} {record.level} {record.location} -- {record.message}"


def milliseconds(record: Record) -> str:
    """The same, its times cut to milliseconds on their way through some collector."""
    return wallclock(record, "milliseconds")


def glog(record: Record) -> str:
    """``--log-format '{levelchar}{glog} {tid} {location}] {msg}'``: v53.0 on."""
    return f"{record.level[0]}{_instant(record):%m%d %H:%M:%S.%f} 4719 {record.location}] {record.message}"


@dataclass(slots=True, kw_only=True)
class Host:
    """One host's clock and what its VMM logs."""

    clock: Clock
    release: int
    verbosity: int
    form: Callable[[Record], str]
    born: int
    """The true time at which the process started."""
    records: list[tuple[int, Record]] = field(default_factory=list)
    fired: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Events: true time, source, name, properties."""

    def say(self, true_ns: int, level: str, location: str, message: str, thread: str = "vmm") -> None:
        """Log a message, if the process is verbose enough."""
        if _LEVELS.index(level) <= self.verbosity + 1:
            ns = self.clock.read(true_ns)
            record = Record(ns=ns, thread=thread, level=level, location=location, message=message)
            self.records.append((true_ns, record))

    def event(self, true_ns: int, name: str, thread: str = "vmm", source: str = "vm", said: str = "") -> None:
        """Fire an event: into the stream, and from v50.0 on into the log, a little earlier."""
        self.fired.append((true_ns + 2 * _US, source, name, said))
        if self.release >= 50:
            message = f"Event: source = {source} event = {name} {said}"
            self.say(true_ns, "INFO", "event_monitor/src/lib.rs:113", message, thread)

    def elapsed_ms(self, begin_ns: int, end_ns: int) -> int:
        """What a stopwatch on this host shows, truncated."""
        return (self.clock.passed(end_ns) - self.clock.passed(begin_ns)) // _MS

    def log(self) -> bytes:
        """The log file."""
        records = sorted(self.records, key=lambda record: record[0])
        return "".join(self.form(record) + "\r\n" for _, record in records).encode()

    def events(self) -> bytes:
        """The event monitor's file: exact times since the process started."""
        written = b""
        for true_ns, source, name, said in sorted(self.fired):
            secs, nanos = divmod(self.clock.passed(true_ns) - self.clock.passed(self.born), _S)
            key, _, value = said.partition(" = ")
            event = {
                "timestamp": {"secs": secs, "nanos": nanos},
                "source": source,
                "event": name,
                "properties": {key: value} if key else None,
            }
            written += json.dumps(event, indent=2).encode() + b"\n\n"
        return written
