"""Dates without a year or a zone: what plain `journalctl` and classic syslog files print."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from carried_logs import BEGAN_NS, CARRIERS, logs_of
from command_run import run_command

from otelmig.hypervisors.log_options import LogOptions
from otelmig.inputs.framing.dates import Dating, LocalTime, local_time
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

_BERLIN = timezone(timedelta(hours=2))


def _ns(*fields: int, nanoseconds: int = 0) -> int:
    return int(datetime(*fields, tzinfo=UTC).timestamp()) * 10**9 + nanoseconds  # type: ignore[arg-type,misc] # no zone


@pytest.mark.parametrize(
    ("date", "clock", "wanted"),
    [
        ("Oct  6", "11:58:46", LocalTime(10, 6, 11, 58, 46)),
        ("Feb 29", "00:00:00.25", LocalTime(2, 29, 0, 0, 0, "25")),
        ("2026-10-06", "11:58:46", LocalTime(10, 6, 11, 58, 46, year=2026)),
        ("Okt  6", "11:58:46", None),
    ],
)
def test_what_is_printed(date: str, clock: str, wanted: LocalTime | None) -> None:
    """The month by its English name; one of another language says nothing."""
    assert local_time(date, clock) == wanted


@pytest.mark.parametrize(
    ("latest", "time", "year", "wanted"),
    [
        ((2026, 11, 29), LocalTime(10, 6, 11, 58, 46), None, _ns(2026, 10, 6, 11, 58, 46, nanoseconds=999_999_999)),
        ((2026, 1, 2), LocalTime(12, 31, 23, 59, 59), None, _ns(2025, 12, 31, 23, 59, 59, nanoseconds=999_999_999)),
        ((2026, 10, 6), LocalTime(10, 6, 23, 0, 0, "5"), None, _ns(2026, 10, 6, 23, nanoseconds=599_999_999)),
        ((2027, 3, 1), LocalTime(2, 29, 0, 0, 0), None, _ns(2024, 2, 29, nanoseconds=999_999_999)),
        ((2026, 3, 1), LocalTime(10, 6, 0, 0, 0), 2019, _ns(2019, 10, 6, nanoseconds=999_999_999)),
        ((2026, 3, 1), LocalTime(2, 29, 0, 0, 0), 2019, None),
        ((2026, 3, 1), LocalTime(2, 31, 0, 0, 0), None, None),
        ((2026, 3, 1), LocalTime(2, 1, 24, 0, 0), None, None),
        ((2026, 3, 1), LocalTime(2, 1, 0, 0, 0, year=1999), 2019, _ns(1999, 2, 1, nanoseconds=999_999_999)),
    ],
)
def test_the_last_such_day_before_the_file_was_written(
    latest: tuple[int, int, int], time: LocalTime, year: int | None, wanted: int | None
) -> None:
    """Or that of the year that is given, or printed; to the end of the last printed digit."""
    assert Dating(latest_ns=_ns(*latest, 12), year=year).end_ns(time) == wanted


@pytest.fixture
def journals(tmp_path: Path) -> list[Path]:
    """The logs of both hosts as `journalctl` prints them, written to files a day later."""
    paths = []
    for role, log in logs_of("v53.0-basicv").items():
        path = tmp_path / f"{role}.log"
        path.write_bytes(CARRIERS["journald short"](log, role))
        os.utime(path, ns=(0, BEGAN_NS[role] + 86_400 * 10**9))
        paths.append(path)
    return paths


def test_the_date_on_the_lines_is_the_epoch(journals: list[Path]) -> None:
    """To a second, wherever the file was copied to; what had to be assumed is said."""
    findings = read_findings(journals)
    (trace,) = findings.traces(TraceOptions())
    plain = read_findings(journals, reading=LogOptions(year=2026, zone=UTC))
    (told,) = plain.traces(TraceOptions())
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    zero_ns = findings.epochs[findings.migrations[0].reference.vmm.key].ns
    assert 0 <= zero_ns - BEGAN_NS["source"] < 10**9
    assert trace.root.start_ns == told.root.start_ns
    assert sum("no year: taken from when the file was last written" in note for note in findings.notes) == 2
    assert not any("no year" in note or "no time zone" in note for note in plain.notes)


def test_the_year_and_the_zone_are_those_that_are_given(journals: list[Path]) -> None:
    """Of the day and the time that are printed."""
    (trace,) = read_findings(journals, reading=LogOptions(year=2024, zone=_BERLIN)).traces(TraceOptions())
    (other,) = read_findings(journals).traces(TraceOptions())
    shift = datetime(2026, 5, 28, tzinfo=UTC) - datetime(2024, 5, 28, tzinfo=UTC) + timedelta(hours=2)
    assert other.root.start_ns - trace.root.start_ns == int(shift.total_seconds()) * 10**9


def test_doctor_names_a_better_output_of_the_journal(journals: list[Path]) -> None:
    """It costs nothing, and works on the journal that is already there; another flag of the hypervisor does not."""
    text = " ".join(run_command(["doctor", str(journals[0])]).stdout.split())
    assert "absolute time to better than a second" in text
    assert "journalctl -o short-iso-precise" in text
    assert "it comes from when the file was last written" not in text
    told = run_command(["doctor", str(journals[0]), "--log-year", "2026", "--log-zone", "UTC"]).stdout
    assert "short-iso-precise" not in told
