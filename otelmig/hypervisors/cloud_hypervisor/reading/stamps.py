"""Printed times -> stamps: one reader per way in which a line form says when it was written.

Tokens and their renderings are those of ``--log-format`` (v52.0 on); the default line of v49.0 on is one such format,
the line of v36.0-v48.0 prints ``Duration``'s Debug form instead.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

__all__ = [
    "CalendarTime",
    "boottime_stamp",
    "calendar_stamp",
    "f32_error_ns",
    "f32_stamp",
    "fields_time",
    "glog_time",
    "wallclock_stamp",
]

_BOOTTIME: Final = ClockDomain.BOOTTIME
_REALTIME: Final = ClockDomain.REALTIME
_ONE_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_NS: Final = {"ns": 1, "µs": MICROSECOND_NS, "ms": MILLISECOND_NS, "s": SECOND_NS}
_MICROSECOND_DIGITS: Final = 6
_LATEST_BOOT_NS: Final = 10**18
"""31 years since the process started: a larger number is none that a process printed."""
_YEARS: Final = range(2000, 2200)
"""A wall clock outside of these is not one that a migration was logged with."""
_LEAP_GAP: Final = 8
"""Years that can lie between two times of 29 February."""
_FRACTION: Final = re.compile(r":\d\d(?:\.(\d{1,9}))?(?:Z|[+-])")
_DATE: Final = ("year", "month", "day")
_TIME: Final = ("hour", "minute", "second")


_F32_ERRORS_NS: Final = (650, *(((1 << exponent) * SECOND_NS >> 24) + 621 for exponent in range(64)))
"""By the number of bits that the whole seconds have: the significand has 24."""


def f32_error_ns(value_ns: int) -> int:
    """Return the half-width of the interval that an ``as_secs_f32`` stamp of ``value_ns`` stands for, in ns.

    Half a unit in the last place of a 32-bit float of seconds, plus 0.62 us for the double rounding of
    ``as_secs_f32`` and the six printed decimals (checked against values that Rust printed).
    """
    return _F32_ERRORS_NS[(value_ns // SECOND_NS).bit_length()]


def f32_stamp(value: str) -> Stamp | None:
    """Return a time since the process's start, printed as a 32-bit float of seconds: always six decimals, padded."""
    ns = int(value.replace(".", "")) * MICROSECOND_NS
    if ns > _LATEST_BOOT_NS:
        return None
    return Stamp(ns, _F32_ERRORS_NS[(ns // SECOND_NS).bit_length()], value.lstrip() + "s", _BOOTTIME)


def boottime_stamp(value: str, unit: str) -> Stamp | None:
    """Return a time since the process's start, exact to its last printed digit."""
    whole, _, fraction = value.partition(".")
    ns = (int(whole) * 10 ** len(fraction) + int(fraction or "0")) * _UNIT_NS[unit] // 10 ** len(fraction)
    if ns > _LATEST_BOOT_NS:
        return None
    return Stamp(ns, MICROSECOND_NS if unit == "s" else 1, value + unit, _BOOTTIME)


def wallclock_stamp(text: str) -> Stamp | None:
    """Return the stamp that RFC 3339 (upstream, UTC) or RFC 9557 with offset and zone name (Cyberus fork) writes."""
    try:
        instant = datetime.fromisoformat(text.partition("[")[0])
    except ValueError:
        return None
    digits = len(match[1] or "") if (match := _FRACTION.search(text)) is not None else 0
    return _realtime(instant, text, 10 ** (9 - digits) if digits < _MICROSECOND_DIGITS else MICROSECOND_NS)


def calendar_stamp(calendar: CalendarTime, latest: datetime, zone: tzinfo) -> Stamp | None:
    """Return a calendar time; what it lacks of a date is that of the last such time before ``latest``."""
    zone = calendar.zone or zone
    latest = latest.astimezone(zone)
    year, month, day = calendar.date
    if month is None or day is None:
        dates = [(that_day.year, that_day.month, that_day.day) for that_day in (latest, latest - timedelta(days=1))]
    elif year is None:
        dates = [(leap_year, month, day) for leap_year in range(latest.year, latest.year - _LEAP_GAP - 1, -1)]
    else:
        dates = [(year, month, day)]
    written = None
    for date in dates:
        try:
            instant = datetime(*date, *calendar.time, calendar.micros or 0, tzinfo=zone)
        except ValueError:
            continue  # the 29th of February of a year that has none
        written = written or instant
        if instant <= latest:
            written = instant
            break
    ns = None if written is None else _realtime_ns(written)
    if ns is None:
        return None
    if calendar.micros is None:
        return Stamp(ns=ns + SECOND_NS // 2, error_ns=SECOND_NS // 2, text=calendar.text, domain=ClockDomain.REALTIME)
    return Stamp(ns=ns, error_ns=MICROSECOND_NS, text=calendar.text, domain=ClockDomain.REALTIME)


class CalendarTime(Struct, frozen=True, kw_only=True):
    """What a line prints of the date and the time of day."""

    date: tuple[int | None, int | None, int | None]
    time: tuple[int, int, int]
    micros: int | None
    zone: tzinfo | None
    text: str


def glog_time(text: str) -> CalendarTime:
    """Return the time that ``MMDD HH:MM:SS.uuuuuu`` writes, without year and zone."""
    numbers = [int(digits) for digits in re.findall(r"\d\d", text[:14])]
    month, day, hour, minute, second = numbers
    return CalendarTime(
        date=(None, month, day), time=(hour, minute, second), micros=int(text[-6:]), zone=None, text=text
    )


def fields_time(fields: Mapping[str, str | None], prefix: str) -> CalendarTime:
    """Return the separate fields of a calendar time; ``prefix`` is empty or ``local``."""
    texts = {name: fields.get(prefix + name) for name in (*_DATE, *_TIME, "micros", "offset")}
    numbers = {name: int(text) for name, text in texts.items() if text is not None and name != "offset"}
    offset = texts["offset"]
    zone = None
    if offset is not None:
        sign = -1 if offset[0] == "-" else 1
        zone = timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6])))
    date = "-".join(text for name in _DATE if (text := texts[name]) is not None)
    clock = ":".join(text for name in _TIME if (text := texts[name]) is not None)
    micros = texts["micros"]
    return CalendarTime(
        date=(numbers.get("year"), numbers.get("month"), numbers.get("day")),
        time=(numbers["hour"], numbers["minute"], numbers["second"]),
        micros=numbers.get("micros"),
        zone=zone,
        text=f"{date}T{clock}".lstrip("T") + (f".{micros}" if micros else "") + (offset or ""),
    )


def _realtime(instant: datetime, text: str, error_ns: int) -> Stamp | None:
    ns = _realtime_ns(instant)
    if ns is None:
        return None
    return Stamp(ns, error_ns, text, _REALTIME)


def _realtime_ns(instant: datetime) -> int | None:
    """Return nanoseconds since the Unix epoch; None for a time that no log can have been written at."""
    if instant.year not in _YEARS or instant.tzinfo is None:
        return None
    return (instant - _EPOCH) // _ONE_MICROSECOND * MICROSECOND_NS
