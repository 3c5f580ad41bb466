"""Simulated migrations between clocks that are slewed or set on the way: noticed, said, and never claimed wrongly."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import pytest
from simulator import Setup, Simulated, simulate
from trace_invariants import check_traces

from otelmig.clock.measurement import probes
from otelmig.clock.options import ClockOptions
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.clock.proof import ClockProof
    from otelmig.migration.constraint import Constraint
    from otelmig.trace.span import AttributeValue, Span, Trace

_RUNS: Final = 1000 if os.environ.get("OTELMIG_FULL") else 12
_MS: Final = 10**6
_S: Final = 10**9
_ASKED_PPM: Final = 100


def _traced(run: Simulated, folder: Path) -> tuple[ClockProof, Trace]:
    """What is proved of clocks that are said to drift by no more than 100 ppm."""
    paths = [folder / "source.log", folder / "destination.log"]
    for path, content in zip(paths, (run.source_log, run.destination_log), strict=True):
        path.write_bytes(content)
    measured = tuple(probes("probes.txt", run.probes.splitlines()))
    clock = ClockOptions(drift_ppb=_ASKED_PPM * 1000, measured=measured)
    findings = read_findings(paths, pairs=[("source.log", "destination.log")], clock=clock)
    (found,) = findings.migrations
    assert found.proof is not None, findings.notes
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    return found.proof, trace


def _received(trace: Trace) -> Span:
    span = trace.first("receive")
    assert span is not None
    return span


def _ns(value: AttributeValue | None) -> int | None:
    return None if value is None else round(float(str(value)) * _S)


def _inside(span: Span, name: str, true_ns: int) -> bool:
    lo, hi = (_ns(span.attributes.get(f"{name}.{end}")) for end in ("min", "max"))
    assert lo is not None or hi is not None
    return (lo is None or lo <= true_ns) and (hi is None or true_ns <= hi)


# --- slewed -------------------------------------------------------------------------------------------------------


def _slewed(copying_s: int) -> Setup:
    """Clocks that drift by at most 50 ppm, and by 350 ppm more for half of the time that memory is copied."""
    return Setup(copying_s=copying_s, drift_ppm=50, slew_ppm=350, slew_s=copying_s // 2)


def test_a_long_slew_is_noticed(tmp_path: Path) -> None:
    """400 ppm for 150 s where 100 were assumed: the drift that is needed is said, and at the raised one all is true."""
    for seed in range(_RUNS):
        run = simulate(_slewed(300), seed)
        proof, trace = _traced(run, tmp_path)
        received = _received(trace)
        assert received.attributes["otelmig.clock.status"] == "bounded"
        assert received.attributes["otelmig.clock.drift.assumed"] == 1e-3
        required = received.attributes["otelmig.clock.drift.required"]
        assert isinstance(required, float)
        assert 1e-4 < required <= 4e-4
        for at, offset in run.offsets:
            lo, hi = proof.bounds.lo_ns(at), proof.bounds.hi_ns(at)
            assert lo is not None
            assert hi is not None
            assert lo <= offset <= hi
        assert _inside(received, "otelmig.clock.offset", run.offset_ns)
        assert _inside(trace.root, "vm.migration.blackout", run.blackout_ns)
        assert _inside(trace.root, "vm.migration.state.transfer", run.transfer_ns)


def test_a_short_slew_does_little(tmp_path: Path) -> None:
    """In 2 s the same slew may go unnoticed; then no bound is wrong by more than 300 ppm of the way to its evidence."""
    unnoticed = 0
    for seed in range(_RUNS):
        run = simulate(_slewed(2), seed)
        proof, _ = _traced(run, tmp_path)
        assert proof.conflict is None
        unnoticed += proof.required_ppb is None
        for at, offset in run.offsets:
            lo, hi = proof.bounds.lo_ns(at), proof.bounds.hi_ns(at)
            lower, upper = proof.bounds.binding(at)
            assert lo is not None
            assert hi is not None
            assert lo - _excess(lower, at) <= offset <= hi + _excess(upper, at)
    assert unnoticed


def _excess(evidence: Constraint | None, at: int) -> Fraction:
    """What 400 ppm of drift allow more than 100 do, from the evidence to an instant; and a rounded nanosecond."""
    assert evidence is not None
    return Fraction(abs(at - evidence.at_ns) * 300, 10**6) + 1


# --- set ----------------------------------------------------------------------------------------------------------

_HOUR_MS: Final = 3_600_000
_STEPS: Final = {
    "the destination's, on by 50 ms": Setup(step_ms=50),
    "the destination's, back by 50 ms": Setup(step_ms=-50),
    "the source's, on by 50 ms": Setup(step_ms=50, steps_source=True),
    "the source's, back by 50 ms": Setup(step_ms=-50, steps_source=True),
    "the destination's, on by an hour": Setup(step_ms=_HOUR_MS),
    "the destination's, back by an hour": Setup(step_ms=-_HOUR_MS),
    "the source's, on by an hour": Setup(step_ms=_HOUR_MS, steps_source=True),
    "the source's, back by an hour": Setup(step_ms=-_HOUR_MS, steps_source=True),
    "the destination's, back by 50 ms, -v": Setup(step_ms=-50, verbosity=1),
    "the source's, back by 50 ms, v52.0 -v": Setup(step_ms=-50, steps_source=True, release=52, verbosity=1),
    "the destination's, on by 50 ms, with probes": Setup(step_ms=50, probes=20),
    "the source's, on by 50 ms, with probes": Setup(step_ms=50, steps_source=True, probes=20),
}


@pytest.mark.parametrize("name", _STEPS)
def test_a_clock_that_is_set_is_found_out(name: str, tmp_path: Path) -> None:
    """A conflict, explained by one step of the right size between the two lines that are named; no claim is wrong."""
    setup = _STEPS[name]
    grown_ns = (-1 if setup.steps_source else 1) * setup.step_ms * _MS
    found = 0
    for seed in range(_RUNS):
        run = simulate(setup, seed)
        _, trace = _traced(run, tmp_path)
        received = _received(trace)
        assert received.attributes["otelmig.clock.status"] == "conflict"
        assert trace.root.attributes["otelmig.clock.status"] == "conflict"
        assert len(_texts(received.attributes["otelmig.clock.evidence.conflicts"])) == 2
        if "otelmig.clock.evidence.steps" in received.attributes:
            found += 1
            assert _inside(received, "otelmig.clock.step", grown_ns)
            before, after = (
                _true_time(run, text) for text in _texts(received.attributes["otelmig.clock.evidence.steps"])
            )
            assert before <= run.stepped_at <= after
        for span, claim, true_ns in (
            (received, "otelmig.clock.offset", run.offset_ns),
            (trace.root, "vm.migration.blackout", run.blackout_ns),
            (trace.root, "vm.migration.state.transfer", run.transfer_ns),
        ):
            if f"{claim}.min" in span.attributes or f"{claim}.max" in span.attributes:
                assert _inside(span, claim, true_ns), claim
    assert found > _RUNS * 4 // 5


def _texts(value: AttributeValue) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return tuple(map(str, value))


def _true_time(run: Simulated, text: str) -> int:
    """When a line was written; probes were made before and after everything else."""
    file, _, line = text.partition(":")
    if file == "probes.txt":
        return -_S if int(line) <= 20 else run.line_times["source.log"][-1] + _S
    return run.line_times[file][int(line) - 1]
