"""``--log-format``: every format string compiles to a matcher that reads back what the hypervisor printed."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, check_traces

from otelmig.errors import UsageError
from otelmig.hypervisors.cloud_hypervisor.log_format import DEFAULT_FORMAT, KNOWN_FORMS, compile_log_format
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of
from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
from otelmig.hypervisors.log_options import LogOptions
from otelmig.migration.stamp import ClockDomain
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from conftest import Otelmig

_CASES = [tuple(case.split("\n")[:2]) for case in (Path(__file__).parent / "log_formats.txt").read_text().split("\n\n")]
_AT = datetime(2026, 5, 21, 6, 2, 15, 542701, UTC)
_AT_NS = int(_AT.timestamp()) * 10**9 + 542_701_000
_ZONE = timezone(timedelta(hours=2))


@pytest.mark.parametrize(("text", "line"), _CASES)
def test_format_reads_back_what_it_printed(text: str, line: str) -> None:
    """Time and message of a line come back, whatever stands around them."""
    form = compile_log_format(text)
    reader = RecordReader(forms=[form], options=LogOptions(zone=_ZONE), latest_ns=_AT_NS + 3600 * 10**9)
    record = reader.record(line)
    if form.clock is None:
        assert record is None
        return
    assert record is not None
    assert meaning_of(record.message) is not None
    assert not form.before_message or form.before_message in line
    expected = _AT_NS if record.stamp.domain is ClockDomain.REALTIME else 5_486_561_000
    assert record.stamp.lo_ns <= expected <= record.stamp.hi_ns
    assert record.stamp.hi_ns - record.stamp.lo_ns <= (10**9 if "micros" not in text and "second" in text else 2_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{wallclock} {msg", "unterminated '{'"),
        ("{wallclock}} {msg}", "unmatched '}'"),
        ("{wallclok} {msg}", "unknown token {wallclok}"),
        ("{wallclock} {level}", "has no {msg}"),
    ],
)
def test_bad_formats_are_refused(text: str, message: str) -> None:
    """What Cloud Hypervisor would not take, or what tells nothing, is refused in one line."""
    with pytest.raises(UsageError, match=r"^`LogOptions\.log_formats`: ") as caught:
        compile_log_format(text)
    assert message in str(caught.value)


_GIVEN = [
    '{{"t":"{wallclock}","th":"{thread}","l":"{level}","at":"{location}","m":"{msg}"}}',
    "[{level}] {year}-{month}-{day} {hour}:{minute}:{second},{micros} {msg} ({thread})",
    "{levelchar}{glog} {thread} {location}] {msg}",
    "{boottime}|{thread}|{level}|{location}|{msg}",
]
_FOUND = [form.text for form in KNOWN_FORMS if "adaptive" not in form.tokens and "thread" in form.tokens]


def _printed(text: str, record: dict[str, str]) -> str:
    at = datetime.fromisoformat(record["wallclock"])
    fields = {
        name: at.strftime(f"%{code}")
        for name, code in zip(("year", "month", "day", "hour", "minute", "second", "micros"), "YmdHMSf", strict=True)
    }
    tokens = record | fields | {"glog": at.strftime("%m%d %H:%M:%S.%f"), "levelchar": record["level"][0]}
    tokens |= {"pid": "126", "tid": "136"}
    return text.format(**tokens)


def _rewritten(name: str, text: str, folder: Path) -> list[Path]:
    """A recording whose lines carry both times, written in another format."""
    (form,) = [form for form in KNOWN_FORMS if form.text == f"{{wallclock}} {DEFAULT_FORMAT}"]
    paths = []
    for role in ("source", "destination"):
        lines = (CORPUS / name / f"{role}.log").read_bytes().decode().split("\r\n")
        matches = [match for line in lines if (match := form.pattern.match(line))]
        path = folder / f"{role}.log"
        path.write_bytes("".join(_printed(text, match.groupdict()) + "\r\n" for match in matches).encode())
        paths.append(path)
    return paths


@pytest.mark.parametrize("text", _GIVEN + _FOUND)
def test_same_trace_in_any_format(text: str, tmp_path: Path) -> None:
    """A recording in another format gives the same downtime, iterations and outcome; common ones need no option."""
    options = LogOptions(log_formats=(text,) if text in _GIVEN else (), year=2026)
    (trace,) = trace_migrations(_rewritten("v53.0-twohosts", text, tmp_path), reading=options)
    check_traces([trace])
    assert trace.root.attributes["vm.migration.result"] == "success"
    assert trace.root.attributes["vm.migration.memory.iteration.count"] == 2
    downtime = trace.first("downtime")
    assert downtime is not None
    assert downtime.duration_ns // 10**6 == 461
    assert trace.first("receive") is not None


def test_glog_says_what_it_assumed(otelmig: Otelmig, tmp_path: Path) -> None:
    """A time without year and zone takes them from an option, else from the file's last write, and that is said."""
    paths = _rewritten("v53.0-twohosts", "{levelchar}{glog} {tid} {location}] {msg}", tmp_path)
    done = otelmig("trace", *paths, "-q")
    assert "no year: taken from when the file was last written (--log-year)" in done.stderr
    assert "no time zone: UTC assumed (--log-zone)" in done.stderr
    done = otelmig("trace", *paths, "--log-year", "2026", "--log-zone", "Europe/Berlin")
    assert "--log-year" not in done.stderr
    assert "--log-zone" not in done.stderr
    assert "2026-11-23T14:30:11" in done.stdout


def test_a_time_without_a_date_names_no_option(otelmig: Otelmig, tmp_path: Path) -> None:
    """No year helps a time that prints no month: nothing is advised."""
    text = "{hour}:{minute}:{second}.{micros} <{thread}> {level} {location} -- {msg}"
    done = otelmig("trace", *_rewritten("v53.0-twohosts", text, tmp_path), "--log-format", text, "-q")
    assert "its times have no date: taken from when the file was last written\n" in done.stderr
    assert "--log-year" not in done.stderr


def test_a_format_without_time_is_refused(otelmig: Otelmig, tmp_path: Path) -> None:
    """Lines that do not say when they were written cannot be traced; one line says so."""
    paths = _rewritten("v53.0-twohosts", "{level} {location} -- {msg}", tmp_path)
    done = otelmig("trace", *paths, "--log-format", "{level} {location} -- {msg}")
    assert done.returncode == 2
    assert "do not say when they were written" in done.stderr


_GLOG = "{levelchar}{glog} {tid} {location}] {msg}"


@pytest.mark.parametrize(
    ("printed", "written", "expected"),
    [
        (b"1231", datetime(2027, 1, 2, tzinfo=UTC), "2026-12-31"),
        (b"0101", datetime(2027, 1, 2, tzinfo=UTC), "2027-01-01"),
        (b"0229", datetime(2025, 3, 1, tzinfo=UTC), "2024-02-29"),
        (b"0229", datetime(2028, 2, 1, tzinfo=UTC), "2024-02-29"),
        (b"0229", datetime(2027, 7, 1, tzinfo=UTC), "2024-02-29"),
        (b"0229", datetime(2104, 2, 1, tzinfo=UTC), "2096-02-29"),
    ],
)
def test_a_year_that_is_not_printed(printed: bytes, written: datetime, expected: str, tmp_path: Path) -> None:
    """It is the last in which there was such a day before the file was written."""
    paths = _rewritten("v53.0-twohosts", _GLOG, tmp_path)
    for path in paths:
        path.write_bytes(re.sub(rb"(?m)^([A-Z])1123 ", rb"\g<1>%b " % printed, path.read_bytes()))
        os.utime(path, (written.timestamp(),) * 2)
    (trace,) = trace_migrations(paths)
    check_traces([trace])
    assert datetime.fromtimestamp(trace.root.start_ns // 10**9, UTC).date().isoformat() == expected
