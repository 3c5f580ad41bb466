"""Log lines of Cloud Hypervisor -> records: stamp, thread, level, message.

Three forms are recognised, each with or without its optional parts:

- ``cloud-hypervisor: 12.702682s: <vmm> INFO:vmm/src/lib.rs:1202 -- TEXT`` (v36.0-v48.0: ``Duration``'s Debug form
  with six decimals of an adaptive unit, ``ns``, ``µs``, ``ms`` or ``s``);
- the same with the time padded to ten columns and always in ``s`` (default from v49.0): ``as_secs_f32``, so its
  resolution is that of a 32-bit float and fades with the uptime of the process;
- ``--log-format`` (v52.0) with ``{wallclock}``, alone, before the default form, or with ``{pid}/{tid}``.

Records end with CRLF in every release; messages may contain bare LF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.releases import Releases, since, until
from otelmig.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from otelmig.inputs import InputFile, Line
    from otelmig.observation import Where

__all__ = ["BootForm", "Record", "RecordReader", "f32_error_ns", "recognise"]


class BootForm(StrEnum):
    """How the process prints the time since its start."""

    ADAPTIVE = "adaptive"
    """v36.0-v48.0: exact to a microsecond (nanosecond below one millisecond) at any uptime."""
    F32 = "f32"
    """v49.0 on: a 32-bit float of seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One log record; ``stamp`` is its wall-clock time where the format prints one, else its time since start."""

    stamp: Stamp
    thread: str
    level: str
    message: str
    text: str
    where: Where


_LINE: Final = re.compile(
    r"(?:(?P<wall>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) )?"
    r"(?:cloud-hypervisor: *)?"
    r"(?:(?P<boot>\d{1,10}\.\d{1,9})(?P<unit>ns|µs|ms|s): )?"
    r"(?:(?P<pid>\d{1,10})/(?P<tid>\d{1,10}) )?"
    r"<(?P<thread>[^>\r\n]{1,64})> (?P<level>ERROR|WARN|INFO|DEBUG|TRACE)[: ](?P<location>[^\r\n]{0,512}?) -- "
    r"(?P<message>.*)",
    re.DOTALL,
)
_PADDED: Final = re.compile(rb"cloud-hypervisor:  +\d+\.\d{6}s: <")
_ADAPTIVE: Final = re.compile(r"cloud-hypervisor: \d+\.\d{6}(?:ns|µs|ms): <".encode())
_EVENT_LINE: Final = re.compile(rb" -- Event: source = ")
_UNIT_NS: Final = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9}
_MICROSECOND: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def f32_error_ns(value_ns: int) -> int:
    """Half-width of the interval that an ``as_secs_f32`` stamp of ``value_ns`` stands for, in ns.

    Half a unit in the last place of a 32-bit float of seconds, plus 0.62 us for the double rounding of
    ``as_secs_f32`` and the six printed decimals (checked against values that Rust printed).
    """
    seconds = max(value_ns // 10**9, 0)
    if seconds == 0:
        return 650
    exponent = seconds.bit_length() - 1  # 2**exponent <= seconds: 24 bits of significand
    return ((1 << exponent) * 10**9 >> 24) + 621


def recognise(file: InputFile) -> RecordReader | None:
    """A reader for this file, or None if no record in its head has a known form."""
    end = b"\r\n" if b"\r\n" in file.head else b"\n"
    for raw in file.head.split(end):
        match = _LINE.match(raw.decode("utf-8", "backslashreplace"))
        if match and (match["wall"] or match["boot"]):
            wall_only = bool(match["wall"]) and not match["boot"]
            return RecordReader(
                boot_form=BootForm.F32 if wall_only else _boot_form(file.head), wall=bool(match["wall"])
            )
    return None


def _boot_form(head: bytes) -> BootForm:
    """Which form the stamps have: a sub-second unit is old, padding is new; else ``Event:`` lines (v50.0) decide.

    At 100 s and more the two forms look the same; then the wider interval (f32) is the safe reading.
    """
    if _ADAPTIVE.search(head) and not _PADDED.search(head):
        return BootForm.ADAPTIVE
    if _PADDED.search(head) or _EVENT_LINE.search(head):
        return BootForm.F32
    first = re.search(rb"cloud-hypervisor: (\d+)\.\d{6}s: <", head)
    return BootForm.ADAPTIVE if first and len(first[1]) < len(b"100") else BootForm.F32


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReader:
    """Reads the records of one file."""

    boot_form: BootForm
    wall: bool
    """Whether lines begin with a wall-clock time."""

    @property
    def releases(self) -> Releases:
        """The releases that print lines of this form."""
        if self.wall:
            return since("v52.0")
        return until("v48.0") if self.boot_form is BootForm.ADAPTIVE else since("v49.0")

    def record(self, line: Line) -> Record | None:
        """The record in ``line``, or None if it has no form that we know (a panic, a stray print)."""
        match = _LINE.match(line.text)
        if match is None:
            return None
        stamp = self._stamp(match)
        if stamp is None:
            return None
        return Record(
            stamp=stamp,
            thread=match["thread"],
            level=match["level"],
            message=match["message"],
            text=line.text,
            where=line.where,
        )

    def _stamp(self, match: re.Match[str]) -> Stamp | None:
        wall, boot = match["wall"], match["boot"]
        if wall is not None:
            ns = _realtime_ns(wall)
            if ns is None:
                return None
            return Stamp(ns=ns, error_ns=_MICROSECOND, text=wall, domain=ClockDomain.REALTIME)
        if boot is None:
            return None
        unit = match["unit"]
        whole, _, fraction = boot.partition(".")
        ns = (int(whole) * 10 ** len(fraction) + int(fraction)) * _UNIT_NS[unit] // 10 ** len(fraction)
        exact_ns = _MICROSECOND if unit == "s" else 1
        error = exact_ns if self.boot_form is BootForm.ADAPTIVE else f32_error_ns(ns)
        return Stamp(ns=ns, error_ns=error, text=boot + unit, domain=ClockDomain.BOOTTIME)


def _realtime_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 UTC stamp, or None if it names no real instant."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1_000
