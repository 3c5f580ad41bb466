"""Printed times: the true instant is always inside what they stand for."""

from __future__ import annotations

import math
import os
import random
import struct
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from restamp import from_request, shifted
from scenarios import SCENARIOS
from two_clocks import (
    as_secs_f32,
    printed_ns,
)

from otelmig.hypervisors.cloud_hypervisor.log_format import compile_log_format
from otelmig.hypervisors.cloud_hypervisor.reading.records import RecordReader
from otelmig.hypervisors.cloud_hypervisor.reading.stamps import f32_error_ns
from otelmig.hypervisors.log_options import LogOptions
from otelmig.migration.side import Role
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path


_S: Final = 10**9
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 60
_checked = settings(max_examples=_EXAMPLES, deadline=None)
_BINADES: Final = range(-1, 24)
"""Powers of two of seconds: half a second to 2^24 s, which is 194 days."""


def _binade(power: int) -> tuple[int, int]:
    """The first and the last nanosecond from ``2^power`` to ``2^(power + 1)`` seconds."""
    first = (_S << (power + 1)) // 2
    return first, 2 * first - 1


def _error(ns: int) -> tuple[int, int]:
    """How far the printed text is from ``ns``, and how far it may be."""
    printed = printed_ns(as_secs_f32(ns))
    return abs(printed - ns), f32_error_ns(printed)


@_checked
@given(st.sampled_from(_BINADES).flatmap(lambda power: st.integers(*_binade(power))))
def test_a_32_bit_stamp_contains_the_instant(ns: int) -> None:
    """What ``as_secs_f32`` makes of a duration is within the stated error of it."""
    error, allowed = _error(ns)
    assert error <= allowed


@pytest.mark.parametrize("power", _BINADES)
def test_a_32_bit_stamp_is_little_too_wide(power: int) -> None:
    """The stated error is less than a quarter above the largest one that occurs, and never below it."""
    pick = random.Random(power)
    first, last = _binade(power)
    quantum = Fraction(_S) * Fraction(2) ** (power - 23)
    worst = Fraction()
    for _ in range(max(_EXAMPLES, 1000)):
        steps = pick.randrange(1 << 23)
        halfway = first + math.floor((steps + Fraction(1, 2)) * quantum)  # as far as possible from two 32-bit floats
        for ns in (min(halfway + pick.randint(-40, 40), last), pick.randint(first, last)):
            error, allowed = _error(ns)
            assert error <= allowed
            worst = max(worst, Fraction(error, allowed))
    assert worst * 5 > 4, f"{float(worst):.3f} of the stated error is used"


def _f32(value: float) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


@settings(max_examples=1000)
@given(st.integers(0, 4_000_000), st.integers(0, _S - 1))
def test_f32_stamps_contain_the_instant(seconds: int, nanos: int) -> None:
    """What `as_secs_f32` prints with six decimals is within the stated error of the true duration."""
    printed = f"{_f32(_f32(float(seconds)) + _f32(_f32(float(nanos)) / _f32(1e9))):.6f}"
    whole, _, fraction = printed.partition(".")
    value = int(whole) * _S + int(fraction) * 1_000
    assert abs(value - (seconds * _S + nanos)) <= f32_error_ns(value)


_AT = datetime(2026, 5, 21, 6, 2, 15, 542701, UTC)
_AT_NS = int(_AT.timestamp()) * 10**9 + 542_701_000


@pytest.mark.parametrize(
    ("text", "line", "unit_ns"),
    [
        ("{wallclock} {msg}", "2026-05-21T06:02:15Z x", 10**9),
        ("{wallclock} {msg}", "2026-05-21T06:02:15.542Z x", 10**6),
        ("{wallclock} {msg}", "2026-05-21T06:02:15.542701Z x", 10**3),
        ("{year}-{month}-{day} {hour}:{minute}:{second} {msg}", "2026-05-21 06:02:15 x", 10**9),
        ("{year}-{month}-{day} {hour}:{minute}:{second}.{micros} {msg}", "2026-05-21 06:02:15.542701 x", 10**3),
    ],
)
def test_a_stamp_holds_all_that_is_printed_so(text: str, line: str, unit_ns: int) -> None:
    """A printed time is cut, so what it stands for goes from there to just before the next."""
    reader = RecordReader(forms=[compile_log_format(text)], options=LogOptions(), latest_ns=_AT_NS + 3600 * 10**9)
    record = reader.record(line)
    assert record is not None
    printed_ns = _AT_NS // unit_ns * unit_ns
    assert record.stamp.lo_ns <= printed_ns
    assert record.stamp.hi_ns >= printed_ns + unit_ns - 1


@pytest.mark.parametrize("uptime_s", [150, 1_500])
@pytest.mark.parametrize(
    ("name", "dialect", "exact"),
    [("v36.0-tunnel", "v36.0..v37.0", True), ("v45.0-tcp", "v43.0..v51.0", False), ("v53.0-tcp", "v53.0", False)],
)
def test_stamps_that_look_alike_in_all_releases(
    name: str, dialect: str, uptime_s: int, tmp_path: Path, *, exact: bool
) -> None:
    """From 100 s on v36 to v48 print what later ones print: exact if the rest of the log tells, else 32-bit floats."""
    log = from_request(shifted(SCENARIOS[name].files["source.log"], uptime_s * 10**6))
    (tmp_path / "source.log").write_bytes(log)
    (trace,) = trace_migrations([tmp_path / "source.log"])
    assert str(trace.resources[Role.SOURCE]["cloud_hypervisor.log.dialect"]).startswith(dialect)
    resolution = trace.root.attributes["otelmig.clock.resolution"]
    assert isinstance(resolution, float)
    last_bit = 2.0 ** (uptime_s.bit_length() - 24)
    assert resolution == 2e-6 if exact else last_bit < resolution < last_bit + 2e-6
