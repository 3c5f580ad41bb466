"""Where a clock mode puts the destination: moved as a whole, or left as it is; printed stamps can be read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from clock_states import STATES
from command_run import run_command
from trace_invariants import CORPUS, RECORDINGS, check_traces, inputs

from otelmig.clock.options import ClockOptions
from otelmig.clock.placement import ClockMode
from otelmig.errors import UsageError
from otelmig.migration.side import Role
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_MICROSECOND: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9}
_WALL_CLOCKS: Final = ("v52.0-twohosts-connections", "v52.0-twohosts-drift", "v53.0-twohosts", "v53.0-wallclock")
_RAW: Final = (ClockMode.ANNOTATE, ClockMode.OFF)


def _raw_ns(text: str) -> int:
    """A stamp as it was printed."""
    if text.endswith("Z"):
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * _MICROSECOND
    unit = next(unit for unit in _UNITS if text.endswith(unit))
    whole, _, fraction = text.removesuffix(unit).partition(".")
    ns: int = int(whole + fraction) * _UNITS[unit] // 10 ** len(fraction)
    return ns


def _shifts(trace: Trace) -> dict[str, int]:
    """What was added to each side's stamps."""
    found = {str(trace.root.role): int(str(trace.root.attributes["otelmig.clock.epoch.shift"]))}
    receive = trace.first("receive")
    if receive is not None and receive is not trace.root:
        found["destination"] = int(str(receive.attributes["otelmig.clock.shift"]))
    return found


def _stamps(span: Span) -> Iterator[tuple[str, int, str, str]]:
    """Which end, where it is drawn, the stamp that it rests on, and its line; of logs, as a stream's zero differs."""
    for end, ns in (("start", span.start_ns), ("end", span.end_ns)):
        text, where = (span.attributes.get(f"otelmig.{kind}.{end}") for kind in ("time", "evidence"))
        if text is not None and ".events.json" not in str(where):
            yield end, ns, str(text), str(where)


def _check_read_back(traces: Iterable[Trace]) -> int:
    """Assert that raw = emitted - shift, but for the microsecond between neighbours; returns how many were exact."""
    exact = 0
    for trace in traces:
        shifts = _shifts(trace)
        for span in trace.spans:
            for end, ns, text, where in _stamps(span):
                role = "source" if where.startswith(("source", "middle")) else "destination"
                off = ns - shifts[role] - _raw_ns(text)
                exact += off == 0
                assert abs(off) <= _MICROSECOND, (span.name, end, where, text, off)
    return exact


def _traced(paths: list[Path], mode: ClockMode) -> list[Trace] | None:
    """The traces; None where stamps that count from a process's start cannot stay as they are."""
    try:
        findings = read_findings(paths, clock=ClockOptions(mode=mode))
    except UsageError:
        return None
    return list(findings.traces(TraceOptions()))


@pytest.mark.parametrize("mode", ClockMode)
@pytest.mark.parametrize("name", RECORDINGS)
def test_printed_stamps_can_be_read_back(name: str, mode: ClockMode) -> None:
    """Every end that rests on a line gives that line's stamp back, in every mode; stamps that must move are refused."""
    traces = _traced(inputs(name), mode)
    if traces is None:
        assert mode in _RAW
        assert name not in _WALL_CLOCKS
        return
    check_traces(traces)
    assert _check_read_back(traces) > 0


def _own(trace: Trace) -> dict[tuple[str, str, str], int]:
    """How long the destination's spans are that rest on its lines alone."""
    found = {}
    for span in trace.spans:
        start, end = (str(span.attributes[f"otelmig.evidence.{end}"]) for end in ("start", "end"))
        if span.role is Role.DESTINATION and start.startswith("destination") and end.startswith("destination"):
            found[span.name, start, end] = span.duration_ns
    return found


@pytest.mark.parametrize("name", _WALL_CLOCKS)
def test_modes_move_the_destination_as_a_whole(name: str) -> None:
    """Its own durations are the same in every mode; the shift is none, or that of the middle of the interval."""
    by_mode = {mode: traces for mode in ClockMode if (traces := _traced(inputs(name), mode)) is not None}
    assert set(by_mode) == set(ClockMode)
    (automatic,) = by_mode[ClockMode.AUTO]
    assert len(_own(automatic)) > 3
    shifts = {}
    for mode, (trace,) in by_mode.items():
        assert _own(automatic).items() <= _own(trace).items()
        receive = trace.first("receive")
        assert receive is not None
        found = receive.attributes
        shifts[mode] = int(str(found["otelmig.clock.shift"]))
        assert found["otelmig.clock.status"] == ("unsynced" if mode is ClockMode.OFF else "bounded")
        assert ("otelmig.clock.offset.min" in found) == (mode is not ClockMode.OFF)
    assert shifts[ClockMode.ANNOTATE] == shifts[ClockMode.OFF] == 0
    lo, hi = (float(str(_receive(automatic)[f"otelmig.clock.offset.{end}"])) * 1e9 for end in ("min", "max"))
    assert abs(-shifts[ClockMode.CORRECT] - (lo + hi) / 2) <= 2 * _MICROSECOND
    assert shifts[ClockMode.AUTO] == (0 if lo <= 0 <= hi else shifts[ClockMode.CORRECT])


def _receive(trace: Trace) -> dict[str, Any]:
    span = trace.first("receive")
    assert span is not None
    return dict(span.attributes)


@pytest.mark.parametrize("mode", _RAW)
@pytest.mark.parametrize("name", ["v53.0-twohosts-boottime", "v48.0-basic", "v53.0-local"])
def test_stamps_of_boot_clocks_cannot_stand(name: str, mode: ClockMode) -> None:
    """Exit code 2 and one line that says which two logs and why; nothing on stdout."""
    logs = [str(CORPUS / name / f"{role}.log") for role in ("source", "destination")]
    run = run_command(["trace", "--clock", mode, *logs])
    assert run.code == 2
    assert run.stdout == ""
    (line,) = [each for each in run.stderr.splitlines() if each.startswith("otelmig: ")]
    assert line == (
        f"otelmig: --clock {mode}: source.log and destination.log are not both on wall clocks: "
        "timestamps cannot stand as they are"
    )


@pytest.mark.parametrize("mode", ClockMode)
def test_modes_on_the_command_line(mode: ClockMode) -> None:
    """Every output speaks of the clocks as the mode says."""
    logs = [str(path) for path in inputs("v53.0-twohosts")]
    drawn, summary = (run_command(["trace", *more, "--clock", mode, *logs]) for more in ([], ["--json"]))
    assert drawn.code == summary.code == 0
    assert drawn.stdout.count("receive  (dest.)") == 1
    (migration,) = json.loads(summary.stdout)["migrations"]
    assert migration["clock"]["status"] == ("unsynced" if mode is ClockMode.OFF else "bounded")
    assert (migration["clock"]["offset_min_s"] is None) == (mode is ClockMode.OFF)
    assert (migration["blackout"] is None) == (mode is ClockMode.OFF)


@pytest.mark.parametrize(("strict", "code"), [((), 0), (("--strict",), 1)])
@pytest.mark.parametrize("name", [name for name in STATES if STATES[name].status == "conflict"])
def test_a_conflict_ends_strict_runs(name: str, strict: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """It cannot be overlooked: words on stdout, and exit code 1 under ``--strict``; without a conflict, 0."""
    state = STATES[name]
    arguments = [*map(str, state.written(tmp_path)), "--pair", "source.log=destination.log", "--clock", state.mode]
    run = run_command(["trace", *strict, *arguments])
    assert run.code == code
    assert "CONFLICT" in run.stdout
    calm = [str(path) for path in inputs("v53.0-twohosts")]
    assert run_command(["trace", "-q", *strict, *calm]).code == 0


# --- every state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATES)
def test_every_state_is_said_and_drawn(name: str, tmp_path: Path) -> None:
    """The right status on both sides, a valid forest in our time, stamps that can be read back, and every view."""
    state = STATES[name]
    (trace,) = state.findings(tmp_path).traces(TraceOptions())
    check_traces([trace])
    assert trace.root.attributes["otelmig.clock.status"] == state.status
    assert _receive(trace)["otelmig.clock.status"] == state.status
    assert min(span.start_ns for span in trace.spans) > 1_767_225_600 * 10**9
    assert _check_read_back([trace]) > 0
    assert json.loads(json_line(trace))
    for width in (60, 120):
        assert "receive" in render_waterfall(trace, width=width, color=False)


@pytest.mark.parametrize("name", STATES)
def test_uncertainty_is_said_only_where_it_is_known(name: str, tmp_path: Path) -> None:
    """What rests on the other side's lines has an uncertainty only if the offset is bounded from both sides there."""
    state = STATES[name]
    (trace,) = state.findings(tmp_path).traces(TraceOptions())
    receive = _receive(trace)
    ends = {f"otelmig.clock.offset.{end}" for end in ("min", "max")}
    bounded = ends <= receive.keys()
    assert bounded or state.status != "bounded"
    assert len(ends & receive.keys()) == 1 or state.status != "one_sided"
    assert ("otelmig.clock.offset.estimate" in receive) == bool(ends & receive.keys())
    for span in trace.spans:
        files = {str(span.attributes[f"otelmig.evidence.{end}"]).partition(":")[0] for end in ("start", "end")}
        known = "otelmig.clock.uncertainty" in span.attributes
        if files == {"source.log"}:
            assert known
        elif not bounded:
            assert not known, span.name
        elif state.status == "bounded":
            assert known, span.name
    if not bounded:
        assert "vm.migration.blackout.min" not in trace.root.attributes or state.status != "conflict"


@pytest.mark.parametrize("name", [name for name in STATES if STATES[name].status in ("bounded", "one_sided")])
def test_the_estimate_is_a_possible_one(name: str, tmp_path: Path) -> None:
    """Whole microseconds, and inside what is proved."""
    (trace,) = STATES[name].findings(tmp_path).traces(TraceOptions())
    found = _receive(trace)
    estimate = float(str(found["otelmig.clock.offset.estimate"]))
    assert float(str(found.get("otelmig.clock.offset.min", estimate))) <= estimate
    assert estimate <= float(str(found.get("otelmig.clock.offset.max", estimate)))
