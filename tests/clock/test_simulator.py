"""Simulated migrations: the truth is always inside what is claimed, and the claims are as narrow as they can be."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

import pytest
from simulated_host import glog, milliseconds
from simulator import Setup, Simulated, simulate

from otelmig.clock.measurement import probes
from otelmig.clock.options import ClockOptions
from otelmig.pipeline import read_findings, trace_migrations
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.clock.bounds import ClockBounds
    from otelmig.trace.span import Span, Trace

_RUNS: Final = 1000 if os.environ.get("OTELMIG_FULL") else 20
_RUNS_WITHOUT_WIDTH: Final = 1000 if os.environ.get("OTELMIG_FULL") else 8
"""Of kinds of which no width is stated: a median needs more."""
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
    "microseconds, -vvv, 30 s, 100 ppm": _row(Setup(verbosity=3, drift_ppm=100), 100, 241, 1103, 4000),
    "microseconds, -vv, 30 s, 20 probes": _row(Setup(drift_ppm=100, probes=20), 100, 64, 79, 3000),
    "microseconds, -vv, 300 s, 20 probes": _row(Setup(copying_s=300, drift_ppm=100, probes=20), 100, 64, 79, 3000),
    "microseconds, -v, 30 s, 20 probes": _row(Setup(verbosity=1, drift_ppm=100, probes=20), 100, 64, 100, None),
    # whether the last printed digit was cut or rounded is not known: twice what it would be if it were
    "milliseconds, -vv, 30 s, 100 ppm": _row(Setup(form=milliseconds, drift_ppm=100), 100, 5000, 6000, 8000),
    "milliseconds, -v, 300 s, 1000 ppm": _row(
        Setup(form=milliseconds, verbosity=1, copying_s=300, drift_ppm=500, slew_ppm=500), 1000, None, None
    ),
    "glog, -vv, 30 s, 100 ppm": _row(Setup(form=glog, drift_ppm=100), 100, None, 1103, 4000),
    "10 d old process with exact events, -vv": _row(
        Setup(wall=False, uptime_s=10 * _DAY, drift_ppm=100, events=True), 100, None, None
    ),
    "v52.0, -vv": _row(Setup(release=52), 20, None, None),
    "v51.0, -vv": _row(Setup(release=51, wall=False), 20, None, None),
    "v51.0, -vvv, with exact events": _row(Setup(release=51, verbosity=3, wall=False, events=True), 20, None, None),
    "v48.0, -vv, with exact events": _row(Setup(release=48, wall=False, events=True), 20, None, None),
    "v48.0, -vvv": _row(Setup(release=48, verbosity=3, wall=False), 20, None, None),
    "v48.0, -v": _row(Setup(release=48, verbosity=1, wall=False), 20, None, None),
    "v48.0, -v, 10 d old process, 1000 ppm": _row(
        Setup(release=48, verbosity=1, wall=False, uptime_s=10 * _DAY, drift_ppm=500, slew_ppm=500), 1000, None, None
    ),
}


_PAUSE_US: Final = {
    "microseconds, -vv, 30 s, 100 ppm": 1103,
    "microseconds, -vv, 30 s, 20 probes": 79,
    "microseconds, -vv, 300 s, 20 probes": 79,
}
"""The same when the guest is stopped."""


@dataclass(slots=True, kw_only=True)
class _Widths:
    """What remained unknown, run by run, in us."""

    start: list[float] = field(default_factory=list)
    pause: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    blackout: list[float] = field(default_factory=list)

    def medians(self) -> str:
        """The middle and the 95th percentile, as a line for a person."""
        return ", ".join(
            f"{name} {median(values):.0f}/{sorted(values)[len(values) * 19 // 20]:.0f} us"
            for name, values in (
                ("start", self.start),
                ("pause", self.pause),
                ("end", self.end),
                ("blackout", self.blackout),
            )
            if values
        )


def _written(setup: Setup, run: Simulated, folder: Path) -> list[Path]:
    files = {"source.log": run.source_log, "destination.log": run.destination_log}
    if setup.events:
        files |= {"source.events.json": run.source_events, "destination.events.json": run.destination_events}
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (_WRITTEN, _WRITTEN))
    return [folder / name for name in files]


_WRITTEN: Final = 1_780_000_000
"""In the year that a clock without one means."""


def _read(row: _Row, run: Simulated, folder: Path) -> tuple[ClockBounds, Trace, Trace]:
    """What the logs prove of clocks that drift as the row says; the trace made of that, and the usual one."""
    paths = _written(row.setup, run, folder)
    measured = tuple(probes("probes.txt", run.probes.splitlines()))
    findings = read_findings(paths, clock=ClockOptions(drift_ppb=row.drift_ppm * 1000, measured=measured))
    assert not findings.errors
    assert not findings.not_understood
    (found,) = findings.migrations
    assert found.proof is not None, findings.notes
    assert found.proof.required_ppb is None
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


def _check_length(trace: Trace, name: str, true_ns: int, *, known: bool) -> float | None:
    """The width of the interval of a length of time; None where the logs do not say enough to claim one."""
    if not known:
        assert f"vm.migration.{name}.min" not in trace.root.attributes
        return None
    lo, hi = _ns(trace.root, f"vm.migration.{name}.min"), _ns(trace.root, f"vm.migration.{name}.max")
    assert lo <= true_ns <= hi
    return (hi - lo) / 1e3


def _check_lengths(setup: Setup, run: Simulated, trace: Trace) -> float | None:
    """The width of the blackout's interval; until v49.0 only events say when the guest stood still."""
    known = setup.release > 49 or setup.events
    _check_length(trace, "state.transfer", run.transfer_ns, known=known)
    return _check_length(trace, "blackout", run.blackout_ns, known=known)


def _check_throughout(run: Simulated, bounds: ClockBounds) -> None:
    """The truth is inside all the way from the request to the end."""
    for at, offset in run.offsets:
        lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
        assert lo is not None
        assert hi is not None
        assert lo <= offset <= hi


def _width(bounds: ClockBounds, at_ns: int) -> float:
    lo, hi = bounds.lo_ns(at_ns), bounds.hi_ns(at_ns)
    assert lo is not None
    assert hi is not None
    return (hi - lo) / 1e3


def _measure(row: _Row, seed: int, folder: Path, widths: _Widths) -> None:
    """One run: what must hold, and how wide it is."""
    run = simulate(row.setup, seed)
    bounds, trace, usual = _read(row, run, folder)
    assert bounds.contradiction is None
    if row.setup.form is not glog:  # which says nothing of the year
        _check_throughout(run, bounds)
    _check_lengths(row.setup, run, usual)
    blackout = _check_lengths(row.setup, run, trace)
    if blackout is not None:
        widths.blackout.append(blackout)
    _check_offset(run, usual)
    widths.end.append(_check_offset(run, trace))
    widths.start.append(_width(bounds, run.started_ns))
    widths.pause.append(_width(bounds, run.stopped_ns))


@pytest.mark.parametrize("name", _ROWS)
def test_the_truth_is_inside_narrow_bounds(name: str, tmp_path: Path) -> None:
    """In every run the offset and the blackout are inside; the median width is no worse than it can be."""
    row = _ROWS[name]
    widths = _Widths()
    is_stated = any((row.start_us, row.end_us, row.blackout_us))
    for seed in range(_RUNS if is_stated else _RUNS_WITHOUT_WIDTH):
        _measure(row, seed, tmp_path, widths)
    print(f"{name}: {widths.medians()}")  # noqa: T201 - shown with -rP
    for measured, most in (
        (widths.start, row.start_us),
        (widths.pause, _PAUSE_US.get(name)),
        (widths.end, row.end_us),
        (widths.blackout, row.blackout_us),
    ):
        assert most is None or median(measured) <= most * _NOISE


def test_the_simulator_is_repeatable(tmp_path: Path) -> None:
    """The same seed gives the same logs, and these the same trace; another seed gives others."""
    one, same, other = (simulate(Setup(), seed) for seed in (1, 1, 2))
    assert one == same
    assert one.source_log != other.source_log
    (trace,) = trace_migrations(_written(Setup(), one, tmp_path))
    _check_offset(one, trace)
    _check_lengths(Setup(), one, trace)
