"""Dates that a transport prints without their year or their zone: what they lack is given, or assumed and said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["Dating", "LocalTime", "local_time"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEEWAY: Final = timedelta(days=1)
"""A log that was copied may be a little older than its last line, and zones differ."""
_LEAP_GAP: Final = 8
"""Years that can lie between two times of 29 February."""
_NO_YEAR: Final = "no year: taken from when the file was last written (`LogOptions.year`)"
_NO_ZONE: Final = "no time zone: UTC assumed (`LogOptions.zone`)"


class LocalTime(NamedTuple):
    """A time of day with its date, of an unknown zone, without a year unless there is one."""

    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: str = ""
    """The digits after the second."""
    year: int | None = None


def local_time(date: str, clock: str) -> LocalTime | None:
    """Return the time that ``Oct  6`` or ``2026-10-06``, and ``11:58:46`` with digits or without, say."""
    try:
        if date[0].isdigit():
            year, month, day = (int(part) for part in date.split("-"))
        else:
            year, month, day = None, _MONTHS.index(date[:3]) + 1, int(date[3:])
    except ValueError:  # the month of another language
        return None
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    return LocalTime(month, day, hour, minute, second, fraction, year)


class Dating(Struct, frozen=True, kw_only=True):
    """What is known of the dates of one log besides what they print."""

    latest_ns: int
    """When the log was last written (Unix epoch): its lines are not from after that."""
    year: int | None = None
    zone: tzinfo | None = None

    def end_ns(self, time: LocalTime) -> int | None:
        """Return the end of what ``time`` stands for (Unix epoch); None for a time that there is not."""
        zone = self.zone or UTC
        latest = _EPOCH + timedelta(microseconds=self.latest_ns // MICROSECOND_NS) + _LEEWAY
        year = time.year or self.year
        years = [year] if year is not None else range(latest.year, latest.year - _LEAP_GAP - 1, -1)
        for assumed_year in years:
            try:
                instant = datetime(assumed_year, time.month, time.day, time.hour, time.minute, time.second, tzinfo=zone)
            except ValueError:  # the 29th of February of a year that has none
                continue
            if year is not None or instant <= latest:
                whole = (instant - _EPOCH) // timedelta(seconds=1) * SECOND_NS
                unit: int = 10 ** (9 - len(time.fraction))
                return whole + (int(time.fraction or "0") + 1) * unit - 1
        return None

    def assumed(self, time: LocalTime) -> tuple[str, ...]:
        """Return what had to be assumed of ``time``, in words."""
        missing = (_NO_ZONE, self.zone is None), (_NO_YEAR, time.year is None and self.year is None)
        return tuple(words for words, is_missing in missing if is_missing)
