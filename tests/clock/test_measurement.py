"""What was measured between the hosts: read with care, as true as what it says, and never averaged away."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import pytest
from command_run import run_command
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_invariants import CORPUS

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.measurement import ClockStatusReport, clock_status, prior, probes
from otelmig.errors import InputError
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Basis

if TYPE_CHECKING:
    from pathlib import Path

_MS: Final = 10**6
_S: Final = 10**9
_EXAMPLES: Final = 2000 if os.environ.get("OTELMIG_FULL") else 100
_checked = settings(max_examples=_EXAMPLES, deadline=None)
_NOW: Final = 1_795_447_811 * _S

# --- timed exchanges ----------------------------------------------------------------------------------------------


@_checked
@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(*[st.integers(0, _S)] * 4), min_size=1, max_size=4),
)
def test_exact_exchanges_are_ntp(offset: int, exchanges: list[tuple[int, int, int, int]]) -> None:
    """The middle of what one exchange allows is NTP's offset, half its width NTP's delay / 2."""
    lines, widest, now = [], [], 2 * 10**18
    for pause, there, served, back in exchanges:
        sent = now + pause
        received = sent + there + offset
        now = sent + there + served + back
        lines.append(f"{sent} {received} {received + served} {now}")
        widest.append(Fraction((received - sent) + (received + served - now), 2))
        bounds = clock_bounds(probes("p.txt", lines[-1:]), drift_ppb=0)
        lo, hi = _known(bounds.lo_ns(sent)), _known(bounds.hi_ns(sent))
        assert Fraction(lo + hi, 2) == widest[-1]
        assert Fraction(hi - lo, 2) == Fraction((now - sent) - served, 2)
    bounds = clock_bounds(probes("p.txt", lines), drift_ppb=0)
    assert bounds.contradiction is None
    assert _known(bounds.lo_ns(now)) == offset - min(back for _, _, _, back in exchanges)
    assert _known(bounds.hi_ns(now)) == offset + min(there for _, there, _, _ in exchanges)


def _known(bound: int | None) -> int:
    assert bound is not None
    return bound


def test_each_exchange_is_two_constraints_that_name_their_line() -> None:
    """Comments, empty lines, any white space: left out, but counted."""
    text = "# t1 t2 t3 t4\n\n100 350 360 120\n   \n  # at the end\n\t1000\t1250  1260 1020 \r\n"
    found = list(probes("p.txt", text.splitlines()))
    assert [(str(each.first.where), each.upper, each.at_ns, each.bound_ns) for each in found] == [
        ("p.txt:3", True, 100, 250),
        ("p.txt:3", False, 120, 240),
        ("p.txt:6", True, 1000, 250),
        ("p.txt:6", False, 1020, 240),
    ]
    assert {each.basis for each in found} == {Basis.PROBE}
    assert list(probes("p.txt", [])) == []


@pytest.mark.parametrize(
    "line",
    [
        "100 350 360",
        "100 350 360 120 7",
        "100,350,360,120",
        "100 350 x 120",
        "100.5 350 360 120",
        "1e2 350 360 120",
        "-100 350 360 120",
        f"{1 << 63} 350 360 120",
        f"100 350 360 {'9' * 400}",
        "nan nan nan nan",
        "0x64 350 360 120",
    ],
)
def test_a_line_that_is_no_exchange_is_named(line: str) -> None:
    """What cannot be four times of a clock is refused, with its place, on one line."""
    with pytest.raises(InputError) as caught:
        list(probes("p.txt", ["1 2 3 4", "# fine", line]))
    assert str(caught.value).startswith("p.txt:3: no probe: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["120 350 360 100", "100 360 350 120", "350 100 120 340"])
def test_exchanges_of_the_other_side_are_refused(line: str) -> None:
    """Times that go back on one host: the roles, or the columns, are mixed up."""
    with pytest.raises(InputError, match=r"p\.txt:1: no probe: t1 and t4 are the source's"):
        list(probes("p.txt", [line]))


# --- chronyc tracking ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tracking:
    """The line that ``chronyc -c tracking`` prints."""

    reference: str = "1795447800.123456789"
    system: str = "-0.000012345"
    last: str = "0.000023456"
    delay: str = "0.000345678"
    dispersion: str = "0.000987654"
    leap: str = "Normal"

    def line(self) -> str:
        """All of its fields, those that do not matter made up."""
        return (
            f"C0000214,192.0.2.20,3,{self.reference},{self.system},{self.last},0.000034567,-12.345,0.001,0.023,"
            f"{self.delay},{self.dispersion},64.4,{self.leap}\n"
        )


def test_the_bound_of_chrony() -> None:
    """Offset still to be corrected + root dispersion + root delay / 2, at the time of the last update."""
    found = clock_status("source.csv", _Tracking().line())
    assert found.at_ns == 1_795_447_800_123_456_789
    assert found.error_ns == 23_456 + 987_654 + 345_678 // 2
    assert str(found.where) == "source.csv:1"
    ahead = clock_status("source.csv", _Tracking(system="0.500000000", delay="0.000000001").line())
    assert ahead.error_ns == 500_000_000 + 987_654 + 1
    assert clock_status("x", "\n" + _Tracking(leap="Insert second").line() + "\n").error_ns == found.error_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "506 Cannot talk to daemon\n",
        "Reference ID    : C0000214 (192.0.2.20)\nStratum         : 3\n",
        _Tracking().line() * 2,
        _Tracking().line().replace(",64.4", ""),
        _Tracking().line().replace(",64.4", ",64.4,1"),
        _Tracking(reference="Thu Nov 26 10:00:00 2026").line(),
        _Tracking(system="nan").line(),
        _Tracking(dispersion="inf").line(),
        _Tracking(delay="1e30").line(),
        _Tracking(last="-9e18").line(),
        _Tracking(reference="1795447800,5").line(),
        _Tracking(system="").line(),
    ],
)
def test_what_is_no_tracking_report_is_refused(text: str) -> None:
    """Other output of chronyc, several lines, values that no clock has: one line that says what is wanted."""
    with pytest.raises(InputError) as caught:
        clock_status("source.csv", text)
    assert str(caught.value) == "source.csv: no clock status: want the one line that `chronyc -c tracking` prints"


def test_a_clock_that_was_not_synchronised_proves_nothing() -> None:
    """Chrony says so in its last field; its numbers are then zeros and ones."""
    text = "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,"
    with pytest.raises(InputError, match=r"^x: its clock was not synchronised"):
        clock_status("x", text + "Not synchronised")


_RATES: Final = st.sampled_from((0, 20_000, 100_000, 1_000_000))


@st.composite
def _synchronised(draw: st.DrawFn) -> tuple[int, ClockStatusReport, ClockStatusReport, Fraction]:
    """Two clocks that are wrong by no more than their reports say, each at a time of its own, and drift since.

    Drift limit (half of it each clock's), the reports, and the true offset when the source read the time of its report.
    """
    rho = draw(_RATES)
    rate = Fraction(draw(st.one_of(st.sampled_from((-rho, rho)), st.integers(-rho, rho))), 2 * _S)  # against true time
    claimed = [draw(st.integers(0, 2 * _S)) for _ in range(2)]
    wrong = [draw(st.one_of(st.sampled_from((-each, each)), st.integers(-each, each))) for each in claimed]
    apart = draw(st.one_of(st.just(0), st.integers(-(10**12), 10**12)))
    reports = [
        ClockStatusReport(at_ns=at, error_ns=most, where=Where(file=file, line=1))
        for at, most, file in zip((_NOW, _NOW + apart), claimed, ("s", "d"), strict=True)
    ]
    since = (_NOW - wrong[0]) - (_NOW + apart - wrong[1])  # true time from the destination's report to the source's
    return rho, reports[0], reports[1], wrong[1] + rate * since - wrong[0]


@_checked
@given(_synchronised())
def test_reports_that_are_true_exclude_nothing_that_is(
    world: tuple[int, ClockStatusReport, ClockStatusReport, Fraction],
) -> None:
    """Whatever the clocks did within their claims, the offset is inside; it costs the claims, and the drift."""
    rho, source, destination, offset = world
    bounds = clock_bounds(prior(source, destination, drift_ppb=rho), drift_ppb=rho)
    lo, hi = _known(bounds.lo_ns(source.at_ns)), _known(bounds.hi_ns(source.at_ns))
    assert bounds.contradiction is None
    assert lo <= offset <= hi
    claims = source.error_ns + destination.error_ns
    apart = abs(source.at_ns - destination.at_ns) + claims
    assert hi == -lo <= claims + math.ceil(Fraction(apart * rho, _S))


# --- what it does to a recording ----------------------------------------------------------------------------------

_TWO_HOSTS: Final = ("v52.0-twohosts-connections", "v52.0-twohosts-drift", "v53.0-twohosts")
_WHEN: Final = ("before", "after")


def _logs(name: str) -> list[str]:
    return [str(CORPUS / name / f"{role}.log") for role in ("source", "destination")]


def _probe_files(name: str) -> list[str]:
    return [text for each in _WHEN for text in ("--probes", str(CORPUS / name / f"clockping.{each}.txt"))]


def _receive(*arguments: str) -> dict[str, Any]:
    """The attributes of ``receive`` in the one trace that the command writes."""
    run = run_command(["trace", "-q", "-o", "-", *arguments])
    assert run.code == 0, run.stderr
    return _attributes(run.stdout, "receive")


def _attributes(line: str, name: str) -> dict[str, Any]:
    groups = json.loads(line)["resourceSpans"]
    (span,) = [each for group in groups for each in group["scopeSpans"][0]["spans"] if each["name"] == name]
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def _interval(attributes: dict[str, Any]) -> tuple[float, float]:
    return attributes["otelmig.clock.offset.min"], attributes["otelmig.clock.offset.max"]


@pytest.mark.parametrize("name", _TWO_HOSTS)
def test_probes_narrow_what_the_logs_prove(name: str) -> None:
    """Exchanges before and after: still bounded, inside what was proved without, no wider than they alone allow."""
    plain = _receive(*_logs(name))
    probed = _receive(*_logs(name), *_probe_files(name))
    assert plain["otelmig.clock.status"] == probed["otelmig.clock.status"] == "bounded"
    lo, hi = _interval(probed)
    assert _interval(plain)[0] <= lo <= hi <= _interval(plain)[1]
    assert hi - lo < (_interval(plain)[1] - _interval(plain)[0]) / 2
    completed = next(
        line for line in (CORPUS / name / "source.log").read_text().splitlines() if "Migration completed after" in line
    )
    at = _wall_ns(completed[:27])
    lines = [line for when in _WHEN for line in (CORPUS / name / f"clockping.{when}.txt").read_text().splitlines()]
    alone = clock_bounds(probes("p.txt", lines), drift_ppb=10**6)
    assert _known(alone.lo_ns(at)) / _S <= lo
    assert hi <= _known(alone.hi_ns(at)) / _S
    evidence = {probed["otelmig.clock.evidence.min"], probed["otelmig.clock.evidence.max"]}
    assert all("clockping." in each and "(probe-" in each for each in evidence)


def _wall_ns(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize("name", _TWO_HOSTS)
@pytest.mark.parametrize("by_ms", [50, -50])
def test_probes_that_contradict_the_logs_are_a_conflict(name: str, by_ms: int, tmp_path: Path) -> None:
    """Another clock was probed: a conflict that names the line of a probe, and no interval in between is claimed."""
    files = []
    for when in _WHEN:
        path = tmp_path / f"ping.{when}.txt"
        stamps = [map(int, line.split()) for line in (CORPUS / name / f"clockping.{when}.txt").read_text().splitlines()]
        moved = [(t1, t2 + by_ms * _MS, t3 + by_ms * _MS, t4) for t1, t2, t3, t4 in stamps]
        path.write_text("".join(" ".join(map(str, each)) + "\n" for each in moved))
        files += ["--probes", str(path)]
    found = _receive(*_logs(name), *files)
    assert found["otelmig.clock.status"] == "conflict"
    evidence = " ".join(each["stringValue"] for each in found["otelmig.clock.evidence.conflicts"]["values"])
    assert re.search(r"ping\.(before|after)\.txt:\d+", evidence)
    assert re.search(r"(source|destination)\.log:\d+", evidence)
    assert not [key for key in found if key.startswith("otelmig.clock.offset.")]
    assert found["otelmig.clock.shift"] == "0"
    run = run_command(["trace", "-q", "--strict", *_logs(name), *files])
    assert run.code == 1
    assert run_command(["trace", "-q", "--strict", *_logs(name), *_probe_files(name)]).code == 0


def test_a_file_without_probes_is_no_help(tmp_path: Path) -> None:
    """What was given and cannot be used is said, in one line."""
    empty = tmp_path / "empty.txt"
    empty.write_text("# t1 t2 t3 t4\n\n")
    run = run_command(["trace", "-q", *_logs("v53.0-twohosts"), "--probes", str(empty)])
    assert run.code == 2
    assert run.stderr == f"otelmig: {empty.name}: no probe in it\n"


@pytest.mark.parametrize(
    ("unit", "guess"),
    [
        ("{0:.6f}", "p.txt:2: these look like seconds: want four times in ns, whole numbers, t1 t2 t3 t4"),
        ("{0:.0f}", "p.txt:2: these look like seconds: want four times in ns, t1 t2 t3 t4"),
        ("{1}", "p.txt:2: these look like milliseconds"),
        ("{2}", "p.txt:2: these look like microseconds"),
        ("{2}.5", "p.txt:2: these look like microseconds: want four times in ns, whole numbers"),
        ("93784000000000", "p.txt:2: these are no times since 1970"),
        ("0", "p.txt:2: these are no times since 1970"),
    ],
)
def test_probes_in_another_unit(unit: str, guess: str, tmp_path: Path) -> None:
    """They would be of 1970, and prove nothing of these logs: which unit they look like is said, and nothing traced."""
    time = unit.format(_NOW / _S, _NOW // _MS, _NOW // 1_000)
    (tmp_path / "p.txt").write_text(f"# t1 t2 t3 t4\n{time} {time} {time} {time}\n")
    run = run_command(["trace", "-q", *_logs("v53.0-twohosts"), "--probes", str(tmp_path / "p.txt")])
    assert run.code == 2
    assert guess in run.stderr


def test_probes_say_nothing_of_other_clocks() -> None:
    """Logs that count from the start of their processes are not on the clocks that were probed."""
    name = "v53.0-twohosts-boottime"
    plain, probed = _receive(*_logs(name)), _receive(*_logs(name), *_probe_files(name))
    assert _interval(plain) == _interval(probed)


def _status_files(folder: Path, source: _Tracking, destination: _Tracking) -> list[str]:
    arguments = []
    for side, tracking in (("source", source), ("destination", destination)):
        path = folder / f"{side}.csv"
        path.write_text(tracking.line())
        arguments += ["--clock-status", f"{side}={path}"]
    return arguments


def test_clock_status_narrows_or_contradicts(tmp_path: Path) -> None:
    """Hosts that claim to be right to a millisecond: taken at their word, or caught at it."""
    name = "v53.0-wallclock"
    plain = _receive(*_logs(name))
    began = _wall_ns((CORPUS / name / "source.log").read_text()[:27])
    good = _Tracking(reference=f"{began / _S:.9f}", system="0", last="0", delay="0", dispersion="0.0002")
    told = _receive(*_logs(name), *_status_files(tmp_path, good, good), "--max-drift", "20")
    assert told["otelmig.clock.status"] == "bounded"
    assert "(clock-status)" in told["otelmig.clock.evidence.min"] + told["otelmig.clock.evidence.max"]
    assert _interval(told)[0] >= _interval(plain)[0]
    two_hosts = "v53.0-twohosts"  # 3.8 s apart
    began = _wall_ns((CORPUS / two_hosts / "source.log").read_text()[:27])
    good = _Tracking(reference=f"{began / _S:.9f}")
    caught = _receive(*_logs(two_hosts), *_status_files(tmp_path, good, good))
    assert caught["otelmig.clock.status"] == "conflict"
    evidence = str(caught["otelmig.clock.evidence.conflicts"])
    assert "source.csv:1" in evidence
    assert "destination.csv:1" in evidence


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--clock-status", "source=s.csv"], "want a report of the source and one of the destination"),
        (["--clock-status", "s.csv"], "want source=FILE and destination=FILE"),
        (["--clock-status", "third=s.csv"], "want source=FILE and destination=FILE"),
        (["--clock-status", "source=s.csv", "--clock-status", "source=s.csv"], "once each"),
        (["--clock-status", "source=none.csv", "--clock-status", "destination=s.csv"], "none.csv: No such file"),
        (["--clock-status", "source=s.csv", "--clock-status", "destination=bad.txt"], "bad.txt: no clock status"),
        (["--probes", "none.txt"], "none.txt: No such file"),
        (["--probes", "."], "Is a directory"),
        (["--probes", "bad.txt"], "bad.txt:2: no probe"),
        (["--max-drift", "nonsense"], "--max-drift nonsense: want a number of ppm"),
        (["--max-drift", "-1"], "--max-drift"),
        (["--max-drift", "200000"], "--max-drift 200000: want a number of ppm"),
    ],
)
def test_bad_measurements_end_with_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, the mistake on one line, nothing on stdout."""
    (tmp_path / "s.csv").write_text(_Tracking().line())
    (tmp_path / "bad.txt").write_text(f"{_NOW} {_NOW} {_NOW} {_NOW}\n1 2 3\n")
    monkeypatch.chdir(tmp_path)
    run = run_command(["trace", *_logs("v53.0-twohosts"), *arguments])
    assert run.code == 2, run
    (line,) = [each for each in run.stderr.splitlines() if each.startswith("otelmig: ")]
    assert says in line
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("text", "assumed"), [("100", 1e-4), ("steady", 1e-4), ("conservative", 4e-4), ("0", 0.0), ("181819", 0.181819)]
)
def test_the_drift_that_was_asked_for_is_assumed(text: str, assumed: float) -> None:
    """A tier or a number of ppm; it is in the trace."""
    found = _receive(*_logs("v53.0-wallclock"), "--max-drift", text)
    assert found["otelmig.clock.drift.assumed"] == assumed
