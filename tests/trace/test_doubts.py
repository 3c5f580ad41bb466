"""Times and numbers that cannot be right: a valid trace all the same, with the doubt recorded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, check_traces, traced

from otelmig.pipeline import read_findings
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from pathlib import Path

_LOG = CORPUS / "v53.0-dirty" / "source.log"
_WALL = CORPUS / "v53.0-twohosts"


def _changed(folder: Path, pattern: bytes, replacement: bytes) -> Path:
    data, count = re.subn(pattern, replacement, _LOG.read_bytes())
    assert count
    path = folder / "source.log"
    path.write_bytes(data)
    return path


def _doubts(path: Path) -> tuple[str, ...]:
    (trace,) = traced([path])
    check_traces([trace])
    found = trace.root.attributes.get("otelmig.evidence.doubts", ())
    assert isinstance(found, tuple)
    text = render_waterfall(trace, width=200, color=False)
    assert all(f"doubtful: {doubt}" in text for doubt in found)
    return found


def test_a_good_log_has_no_doubts() -> None:
    """Nothing is doubtful in a recording."""
    assert _doubts(_LOG) == ()


def test_printed_downtime_longer_than_the_migration(tmp_path: Path) -> None:
    """The downtime begins where the stamps say, not before the migration."""
    (doubt,) = _doubts(_changed(tmp_path, rb"with a downtime of \d+ms", b"with a downtime of 999999999999ms"))
    assert "printed downtime of 999999999999 ms is longer than the migration (source.log:" in doubt


def test_parts_longer_than_the_whole(tmp_path: Path) -> None:
    """Parts that do not fit are cut to what is there."""
    (doubt,) = _doubts(_changed(tmp_path, rb"send_state:\d+ms", b"send_state:86400000ms"))
    assert "add up to more than all of it" in doubt


def test_a_wall_clock_that_was_set_back(tmp_path: Path) -> None:
    """A clock step is named with the line at which it shows; phases keep their order."""
    data = (_WALL / "source.log").read_bytes()
    at = data.index(b"Precopy complete")
    later = re.sub(rb"2026-11-23T15:(\d\d)", lambda found: b"2026-11-23T15:%02d" % (int(found[1]) - 2), data[at:])
    (tmp_path / "source.log").write_bytes(data[:at] + later)
    doubt, *_ = _doubts(tmp_path / "source.log")
    found = re.fullmatch(
        r"the wall clock was set, by (-[\d.]+) \.\. (-[\d.]+) ms, between source.log:\d+ and \S+", doubt
    )
    assert found is not None, doubt
    assert float(found[1]) <= -120_000 <= float(found[2])


@pytest.mark.parametrize(
    "stamp",
    [b" -12.345678", b"99999999999.123456", b"999999999999.000000", b"NaN", b"inf", b"1e308", b"12.3", b""],
)
def test_impossible_stamps_are_counted(stamp: bytes, tmp_path: Path) -> None:
    """A line without a time that a process can have printed is left out, and counted with a reason."""
    path = _changed(
        tmp_path, rb"cloud-hypervisor: +\d+\.\d{6}(s: <[^\n]*Precopy complete)", b"cloud-hypervisor: " + stamp + rb"\1"
    )
    findings = read_findings([path])
    assert sum(findings.not_understood.values()) == 1
    reasons = {"an impossible time", "no known line form", "a line of a release before v36.0"}
    assert set(findings.not_understood) <= reasons
    assert _doubts(path) == ()


_COUNT = frozenset({b"0"})
_NUMBERS = {
    rb"(elapsed=)[\d.]+": frozenset[bytes](),
    rb"(curr=)\d+": _COUNT,
    rb"(downtime of )\d+": _COUNT,
    rb"(final_iter:)\d+": _COUNT,
    rb"(bw=)[\d.]+": _COUNT | {b"NaN", b"inf"},
}
"""Which of the numbers below may be printed there: seconds have two decimals, only a quotient may be NaN."""


@pytest.mark.parametrize("pattern", _NUMBERS)
@pytest.mark.parametrize("number", [b"0", b"999999999999999999999", b"-5", b"NaN", b"inf", b"1e308", b""])
def test_absurd_numbers(number: bytes, pattern: bytes, tmp_path: Path) -> None:
    """Whatever stands where a number should be, the trace is valid; every message of no known form is counted."""
    path = _changed(tmp_path, pattern, rb"\g<1>" + number)
    check_traces(traced([path]))
    lines = sum(re.search(pattern, line) is not None for line in _LOG.read_bytes().splitlines())
    counted = {} if number in _NUMBERS[pattern] else {"no known form of this message": lines}
    assert read_findings([path]).not_understood == counted


@pytest.mark.parametrize("name", ["v53.0-basicv", "v48.0-basicv"])
def test_an_iteration_number_that_nobody_can_count_to(name: str, tmp_path: Path) -> None:
    """No loop runs to a number that a log prints."""
    for role in ("source", "destination"):
        data = (CORPUS / name / f"{role}.log").read_bytes()
        data = data.replace(b"migration-memory-iteration id = 0", b"migration-memory-iteration id = 999999999")
        data = re.sub(rb"Dirty memory migration \d of 5", b"Dirty memory migration 999999999999 of 5", data)
        (tmp_path / f"{role}.log").write_bytes(data)
    check_traces(traced(sorted(tmp_path.iterdir())))
