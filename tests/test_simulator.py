"""Simulated migrations: the truth is always inside what is claimed, and the claims are as narrow as they can be."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

import pytest
from simulator import Setup, Simulated, simulate

from otelmig.clock.options import ClockOptions
from otelmig.pipeline import read_findings, trace_migrations
from otelmig.trace.build import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.clock.bounds import ClockBounds
    from otelmig.trace.span import Span, Trace

_RUNS: Final = 1000 if os.environ.get("OTELMIG_FULL") else 20
_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
_NOISE: Final = 1.05 if _RUNS >= 1000 else 1.15
"""A median of few runs is not exact, and a few microseconds between two lines are the simulator's choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A kind of migration, and what may at most remain unknown of the clocks (medians, us; None: not stated)."""

    setup: Setup
    drift_ppm: int
    """What the widths assume; the simulated clocks keep to it."""
    start_us: int | None = None
    end_us: int | None = None
    blackout_us: int | None = None


def _row(
    setup: Setup, drift_ppm: int, start_us: int | None, end_us: int | None, blackout_us: int | None = None
) -> _Row:
    return _Row(setup=setup, drift_ppm=drift_ppm, start_us=start_us, end_us=end_us, blackout_us=blackout_us)


_ROWS: Final = {
    "microseconds, -vv, 5 s, 20 ppm": _row(Setup(copying_s=5), 20, 236, 363),
    "microseconds, -vv, 5 s, 100 ppm": _row(Setup(copying_s=5, drift_ppm=60, slew_ppm=40), 100, 236, 705),
    "microseconds, -vv, 30 s, 20 ppm": _row(Setup(), 20, 237, 747),
    "microseconds, -vv, 30 s, 100 ppm": _row(Setup(drift_ppm=100), 100, 241, 1103, 4000),
    "microseconds, -vv, 300 s, 100 ppm": _row(Setup(copying_s=300, drift_ppm=100), 100, 237, 1300),
    "microseconds, -vv, 300 s, 1000 ppm": _row(Setup(copying_s=300, drift_ppm=500, slew_ppm=500), 1000, 237, 1453),
    "microseconds, -v, 30 s, 100 ppm": _row(Setup(verbosity=1, drift_ppm=100), 100, 3620, 3620, 6200),
    "new process, -vv, 30 s, 100 ppm": _row(Setup(wall=False, drift_ppm=100), 100, None, None),
    "1 h old process, -vv, 30 s, 100 ppm": _row(Setup(wall=False, uptime_s=_HOUR, drift_ppm=100), 100, 464, 1328, 4500),
    "1 d old process, -vv, 30 s, 100 ppm": _row(
        Setup(wall=False, uptime_s=_DAY, drift_ppm=100), 100, 7768, 6608, 16_500
    ),
    "10 d old process, -vv, 30 s, 100 ppm": _row(
        Setup(wall=False, uptime_s=10 * _DAY, drift_ppm=100), 100, 37_652, 36_531
    ),
    "10 d old process, -v, 300 s, 1000 ppm": _row(
        Setup(wall=False, uptime_s=10 * _DAY, drift_ppm=500, slew_ppm=500, verbosity=1, copying_s=300), 1000, None, None
    ),
    "v52.0, -v": _row(Setup(release=52, verbosity=1), 20, None, None),
    "v52.0, -vvv": _row(Setup(release=52, verbosity=3), 20, None, None),
    "v51.0, -v": _row(Setup(release=51, verbosity=1, wall=False), 20, None, None),
    "v51.0, -vvv, 1 d old process": _row(Setup(release=51, verbosity=3, wall=False, uptime_s=_DAY), 20, None, None),
    "v48.0, -v": _row(Setup(release=48, verbosity=1, wall=False), 20, None, None),
    "v48.0, -v, 10 d old process, 1000 ppm": _row(
        Setup(release=48, verbosity=1, wall=False, uptime_s=10 * _DAY, drift_ppm=500, slew_ppm=500), 1000, None, None
    ),
}


@dataclass(slots=True, kw_only=True)
class _Widths:
    """What remained unknown, run by run, in us."""

    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    blackout: list[float] = field(default_factory=list)

    def medians(self) -> str:
        """The middle and the 95th percentile, as a line for a person."""
        return ", ".join(
            f"{name} {median(values):.0f}/{sorted(values)[len(values) * 19 // 20]:.0f} us"
            for name, values in (("start", self.start), ("end", self.end), ("blackout", self.blackout))
            if values
        )


def _written(run: Simulated, folder: Path) -> list[Path]:
    source, destination = folder / "source.log", folder / "destination.log"
    source.write_bytes(run.source_log)
    destination.write_bytes(run.destination_log)
    return [source, destination]


def _read(run: Simulated, folder: Path, drift_ppm: int) -> tuple[ClockBounds, Trace, Trace]:
    """What the logs prove of clocks that drift by ``drift_ppm``; the trace made of that, and the usual one."""
    paths = _written(run, folder)
    findings = read_findings(paths, clock=ClockOptions(drift_ppb=drift_ppm * 1000))
    assert not findings.errors
    assert not findings.not_understood
    (found,) = findings.migrations
    assert found.proof is not None, findings.notes
    (trace,), (usual,) = findings.traces(TraceOptions()), trace_migrations(paths)
    return found.proof.bounds, trace, usual


def _received(trace: Trace) -> Span:
    span = trace.first("receive")
    assert span is not None
    return span


def _ns(span: Span, name: str) -> int:
    """An attribute in whole nanoseconds."""
    value = span.attributes[name]
    assert isinstance(value, float)
    return round(value * 1e9)


def _check_offset(run: Simulated, trace: Trace) -> float:
    """The width of the interval."""
    received = _received(trace)
    assert received.attributes["otelmig.clock.status"] == "bounded"
    lo, hi = _ns(received, "otelmig.clock.offset.min"), _ns(received, "otelmig.clock.offset.max")
    assert lo <= run.offset_ns <= hi
    return (hi - lo) / 1e3


def _check_blackout(setup: Setup, run: Simulated, trace: Trace) -> float | None:
    """The width of the interval; None where the release does not say when the guest stood still."""
    if setup.release <= 49:
        assert "vm.migration.blackout.min" not in trace.root.attributes
        return None
    lo, hi = _ns(trace.root, "vm.migration.blackout.min"), _ns(trace.root, "vm.migration.blackout.max")
    assert lo <= run.blackout_ns <= hi
    return (hi - lo) / 1e3


def _width(bounds: ClockBounds, at_ns: int) -> float:
    lo, hi = bounds.lo_ns(at_ns), bounds.hi_ns(at_ns)
    assert lo is not None
    assert hi is not None
    return (hi - lo) / 1e3


def _measure(row: _Row, seed: int, folder: Path, widths: _Widths) -> None:
    """One run: what must hold, and how wide it is."""
    run = simulate(row.setup, seed)
    bounds, trace, usual = _read(run, folder, row.drift_ppm)
    assert bounds.contradiction is None
    _check_blackout(row.setup, run, usual)
    blackout = _check_blackout(row.setup, run, trace)
    if blackout is not None:
        widths.blackout.append(blackout)
    _check_offset(run, usual)
    widths.end.append(_check_offset(run, trace))
    widths.start.append(_width(bounds, run.started_ns))


@pytest.mark.parametrize("name", _ROWS)
def test_the_truth_is_inside_narrow_bounds(name: str, tmp_path: Path) -> None:
    """In every run the offset and the blackout are inside; the median width is no worse than it can be."""
    row = _ROWS[name]
    widths = _Widths()
    for seed in range(_RUNS):
        _measure(row, seed, tmp_path, widths)
    print(f"{name}: {widths.medians()}")  # noqa: T201 - shown with -rP
    for measured, most in (
        (widths.start, row.start_us),
        (widths.end, row.end_us),
        (widths.blackout, row.blackout_us),
    ):
        assert most is None or median(measured) <= most * _NOISE


def test_the_simulator_is_repeatable(tmp_path: Path) -> None:
    """The same seed gives the same logs, and these the same trace; another seed gives others."""
    one, same, other = (simulate(Setup(), seed) for seed in (1, 1, 2))
    assert one == same
    assert one.source_log != other.source_log
    (trace,) = trace_migrations(_written(one, tmp_path))
    _check_offset(one, trace)
    _check_blackout(Setup(), one, trace)
