"""Recordings whose clocks are known: what is proved of the offset holds the truth, as recorded and re-stamped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from restamp import aged, aged_events
from trace_invariants import CORPUS, RECORDINGS, check_traces, inputs, truth

from otelmig.errors import UsageError
from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.side import Result
from otelmig.pairing.pairing import pair_sides
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration
    from otelmig.trace.span import Trace

_MS, _S, _HOUR, _DAY = 10**6, 10**9, 3_600, 86_400
_WALL = re.compile(rb"(?m)^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z")
_WALL_HEAD = re.compile(rb"(?m)^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z (?:\d+/\d+|cloud-hypervisor: +[\d.]+s:)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP_NS = 1_000
"""What the last printed digit of a wall clock is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """What a trace says of the clocks."""

    lo_ns: int
    hi_ns: int
    status: str
    resolution_ns: int
    downtime_ms: int | None
    """None where the downtime was not printed."""

    @property
    def width_ns(self) -> int:
        """How much is left open."""
        return self.hi_ns - self.lo_ns

    def holds(self, lo_ns: int, hi_ns: int, *, tolerance_ns: int = _STAMP_NS) -> bool:
        """Whether all of ``lo_ns`` to ``hi_ns`` is possible."""
        return self.lo_ns - tolerance_ns <= lo_ns <= hi_ns <= self.hi_ns + tolerance_ns

    def meets(self, lo_ns: int, hi_ns: int) -> bool:
        """Whether some of ``lo_ns`` to ``hi_ns`` is possible."""
        return self.lo_ns <= hi_ns and lo_ns <= self.hi_ns


def _proof(trace: Trace) -> _Proof:
    receive, downtime = trace.first("receive"), trace.first("downtime")
    assert receive is not None, "paired"
    attributes = receive.attributes
    lo, hi = (round(float(str(attributes[f"otelmig.clock.offset.{end}"])) * _S) for end in ("min", "max"))
    printed = downtime is not None and "vm.migration.downtime.duration" in downtime.attributes
    return _Proof(
        lo_ns=lo,
        hi_ns=hi,
        status=str(trace.root.attributes["otelmig.clock.status"]),
        resolution_ns=round(float(str(trace.root.attributes["otelmig.clock.resolution"])) * _S),
        downtime_ms=downtime.duration_ns // _MS if printed and downtime is not None else None,
    )


def _proved(paths: Iterable[Path]) -> _Proof:
    trace = list(read_findings(paths).traces(TraceOptions()))[-1]
    check_traces([trace])
    return _proof(trace)


def _file(name: str, file: str) -> bytes:
    return (CORPUS / name / file).read_bytes()


def _logs(name: str) -> tuple[bytes, bytes]:
    """What the two processes wrote: source, destination."""
    return _file(name, "source.log"), _file(name, "destination.log")


def _written(folder: Path, source: bytes, destination: bytes) -> list[Path]:
    paths = [folder / "source.log", folder / "destination.log"]
    for path, content in zip(paths, (source, destination), strict=True):
        path.write_bytes(content)
    return paths


def _hosts(name: str) -> int:
    return int(truth(name)["hosts"])


def _on_wall_clocks(name: str) -> bool:
    logs = [path for path in inputs(name) if path.suffix == ".log"]
    return all(_WALL.match(path.read_bytes()) for path in logs)


_ANSWERED = tuple(name for name in RECORDINGS if not name.endswith("refused"))
_SINGLE = tuple(name for name in _ANSWERED if len(truth(name)["attempts"]) == 1)
_WALL_CLOCKS = tuple(name for name in RECORDINGS if _on_wall_clocks(name))
_ONE_HOST_WALL_CLOCKS = tuple(name for name in _WALL_CLOCKS if _hosts(name) == 1)
_TWO_HOST_WALL_CLOCKS = tuple(name for name in _WALL_CLOCKS if _hosts(name) == 2)
_ONE_HOST_BOOT_CLOCKS = tuple(name for name in _ANSWERED if _hosts(name) == 1 and name not in _WALL_CLOCKS)
_FLOAT_STAMPS = tuple(name for name in _ONE_HOST_BOOT_CLOCKS if not name.startswith("v48"))


# --- wall clocks ------------------------------------------------------------------------------------------------


def _wall_ns(text: bytes) -> int:
    return (datetime.fromisoformat(text.decode()).replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def _first_ns(log: bytes) -> int:
    match = _WALL.match(log)
    assert match is not None
    return _wall_ns(match[1])


def _end_of_downtime_ns(source: bytes) -> int:
    """When the source wrote that the migration completed."""
    line = next(line for line in source.splitlines() if b"Migration completed after" in line)
    return _first_ns(line)


def _rewritten(log: bytes, clock: Callable[[int], int]) -> bytes:
    """``log`` by another wall clock."""

    def move(match: re.Match[bytes]) -> bytes:
        instant = _EPOCH + timedelta(microseconds=clock(_wall_ns(match[1])) // 1_000)
        return f"{instant.replace(tzinfo=None).isoformat(timespec='microseconds')}Z".encode()

    return _WALL.sub(move, log)


def test_there_are_recordings_of_each_kind() -> None:
    """Every kind of recording that is made use of here is there."""
    assert _ONE_HOST_WALL_CLOCKS
    assert len(_TWO_HOST_WALL_CLOCKS) > 2
    assert len(_FLOAT_STAMPS) > 20


@pytest.mark.parametrize("name", _ONE_HOST_WALL_CLOCKS)
@pytest.mark.parametrize("ahead_s", [0, _HOUR, -_HOUR])
def test_two_processes_on_one_wall_clock(name: str, ahead_s: int, tmp_path: Path) -> None:
    """The interval holds 0; set the destination's clock, and it holds what it was set by, to the nanosecond."""
    source, destination = _logs(name)
    paths = _written(tmp_path, source, _rewritten(destination, lambda ns: ns + ahead_s * _S))
    plain, proof = _proved(inputs(name)), _proved(paths)
    assert proof.status == "bounded"
    assert proof.holds(ahead_s * _S, ahead_s * _S, tolerance_ns=0)
    assert abs(proof.width_ns - plain.width_ns) < _STAMP_NS
    assert proof.downtime_ms == plain.downtime_ms == truth(name)["attempts"][-1]["downtime_ms"]


@pytest.mark.parametrize("name", _WALL_CLOCKS)
@pytest.mark.parametrize("ppm", [80, -80, 400])
def test_a_clock_that_drifts(name: str, ppm: int, tmp_path: Path) -> None:
    """The destination's clock runs off from its first line on: the interval at the end of the downtime follows."""
    source, destination = _logs(name)
    began_ns = _first_ns(destination)
    drifted = _rewritten(destination, lambda ns: ns + (ns - began_ns) * ppm // 10**6)
    proof = _proved(_written(tmp_path, source, drifted))
    lo_ns, hi_ns = _measured(name)
    run_ns = _end_of_downtime_ns(source) + lo_ns - began_ns
    assert proof.status == "bounded"
    assert proof.holds(lo_ns + run_ns * ppm // 10**6, hi_ns + run_ns * ppm // 10**6)
    assert proof.downtime_ms == truth(name)["attempts"][-1]["downtime_ms"]


@pytest.mark.parametrize("name", _WALL_CLOCKS)
@pytest.mark.parametrize(("digits", "worth_ns"), [(6, _STAMP_NS), (3, _MS), (2, 10 * _MS), (0, _S)])
def test_wall_clocks_with_other_numbers_of_digits(name: str, digits: int, worth_ns: int, tmp_path: Path) -> None:
    """Cut off digits make the interval wider; the truth stays inside."""

    def cut(match: re.Match[bytes]) -> bytes:
        whole, _, fraction = match[1].partition(b".")
        return whole + (b"." + fraction[:digits] if digits else b"") + b"Z"

    plain = _proved(_written(tmp_path, *_logs(name)))
    source, destination = _logs(name)
    findings = read_findings(_written(tmp_path, _WALL.sub(cut, source), _WALL.sub(cut, destination)))
    assert [note for note in findings.notes if "no clock offset fits" in note] == []
    (trace,) = findings.traces(TraceOptions())
    proof = _proof(trace)
    assert proof.holds(*_measured(name))
    assert proof.resolution_ns >= worth_ns
    if worth_ns > _STAMP_NS:
        assert proof.holds(plain.lo_ns, plain.hi_ns, tolerance_ns=2 * _STAMP_NS + proof.resolution_ns // 1_000)


# --- two hosts --------------------------------------------------------------------------------------------------


def _measured(name: str) -> tuple[int, int]:
    """What the hosts measured of their wall clocks before and after the migration; 0 on one host."""
    if _hosts(name) == 1:
        return 0, 0
    brackets = [_exchanged(name, when) for when in ("before", "after")]
    return min(lo for lo, _ in brackets), max(hi for _, hi in brackets)


def _exchanged(name: str, when: str) -> tuple[int, int]:
    stamps = [tuple(map(int, line.split())) for line in _file(name, f"clockping.{when}.txt").splitlines()]
    lo_ns = max(there_ns - back_ns for _, _, there_ns, back_ns in stamps)
    hi_ns = min(there_ns - sent_ns for sent_ns, there_ns, _, _ in stamps)
    assert lo_ns <= hi_ns
    return lo_ns, hi_ns


@pytest.mark.parametrize("name", _TWO_HOST_WALL_CLOCKS)
def test_offset_measured_between_hosts(name: str) -> None:
    """All that the exchanged stamps leave possible, before and after, lies in the proved interval."""
    proof = _proved(inputs(name))
    assert proof.status == "bounded"
    assert proof.holds(*_measured(name), tolerance_ns=0)


# --- time since the start of the process ------------------------------------------------------------------------


def _as_boot_clock(log: bytes, zero_ns: int) -> bytes:
    """``log`` in the default line form, as a process prints it that began at ``zero_ns`` of its wall clock."""

    def head(match: re.Match[bytes]) -> bytes:
        microseconds = (_wall_ns(match[1]) - zero_ns) // 1_000
        return f"cloud-hypervisor: {microseconds // 10**6:>3}.{microseconds % 10**6:06d}s:".encode()

    return _WALL_HEAD.sub(head, log)


@pytest.mark.parametrize("name", _WALL_CLOCKS)
@pytest.mark.parametrize("uptime_s", [0, _HOUR, _DAY, 10 * _DAY, 30 * _DAY])
def test_boot_clocks_of_known_offset(name: str, uptime_s: int, tmp_path: Path) -> None:
    """Wall clocks made into times since start: where the zeros were is known, so the true offset is too."""
    source, destination = _logs(name)
    source_zero_ns, destination_zero_ns = _first_ns(source) - 7 * _MS, _first_ns(destination) - 11 * _MS
    lo_ns, hi_ns = (ns + source_zero_ns - destination_zero_ns - uptime_s * _S for ns in _measured(name))
    boot = _as_boot_clock(source, source_zero_ns), _as_boot_clock(destination, destination_zero_ns)
    proof = _proved(_written(tmp_path, aged(boot[0], uptime_s), boot[1]))
    assert proof.status == "bounded"
    assert proof.holds(lo_ns, hi_ns)
    assert proof.downtime_ms == truth(name)["attempts"][-1]["downtime_ms"]


@cache
def _by_log(name: str) -> _Proof:
    """What the logs prove without event streams."""
    return _proved([path for path in inputs(name) if path.suffix == ".log"])


@pytest.mark.parametrize("name", _FLOAT_STAMPS)
def test_an_old_source_proves_less(name: str, tmp_path: Path) -> None:
    """Its stamps are 32-bit floats: the older it is, the less they say, and never something else."""
    plain = _by_log(name)
    paths = [path for path in inputs(name) if path.suffix == ".log" and path.stem != "source"]
    for uptime_s in (_HOUR, _DAY, 10 * _DAY, 30 * _DAY):
        log = tmp_path / "source.log"
        log.write_bytes(aged(_file(name, "source.log"), uptime_s))
        proof = _proved([log, *paths])
        _check_aged(plain, proof, uptime_s)
        assert proof.downtime_ms == plain.downtime_ms


def _check_aged(plain: _Proof, proof: _Proof, uptime_s: int) -> None:
    """Nothing that was possible is excluded; the instant it holds for may have moved by the stamps' resolution."""
    tolerance_ns = plain.resolution_ns + 2 * _STAMP_NS + proof.resolution_ns // 1_000
    assert proof.status == "bounded"
    lo_ns, hi_ns = (ns - uptime_s * _S for ns in (plain.lo_ns, plain.hi_ns))
    assert proof.holds(lo_ns, hi_ns, tolerance_ns=tolerance_ns)


@pytest.mark.parametrize("name", ["v52.0-basic", "v53.0-basicv", "v53.0-conn4", "v53.0-tls", "head-postcopy"])
def test_exact_events_of_an_old_source(name: str, tmp_path: Path) -> None:
    """The stamps of the event stream stay exact: with them at least as much is proved as by the log alone."""
    peers = [path for path in inputs(name) if path.stem.startswith("destination")]
    log, stream = tmp_path / "source.log", tmp_path / "source.events.json"
    for uptime_s in (_DAY, 30 * _DAY):
        log.write_bytes(aged(_file(name, "source.log"), uptime_s))
        stream.write_bytes(aged_events(_file(name, "source.events.json"), uptime_s))
        alone, both = _proved([log, *peers]), _proved([log, stream, *peers])
        _check_aged(_proved(inputs(name)), both, uptime_s)
        assert both.width_ns <= alone.width_ns + alone.resolution_ns // 1_000
        assert both.downtime_ms == alone.downtime_ms


# --- what was seen from outside ---------------------------------------------------------------------------------


def _bracket(migration: Migration, calls: Sequence[dict[str, int | str]]) -> tuple[int, int]:
    """Source's start minus destination's, as far as the times of the API calls on their common clock tell."""
    source, destination = migration.source, migration.destination
    assert source is not None
    assert destination is not None
    at = {str(call["what"]): int(call["monotonic_ns"]) for call in calls}
    requested_ns = _ns(source, Kind.SEND_REQUESTED)
    source_zero = at["send_call source"] - requested_ns, at["send_return source"] - requested_ns
    told = [seen for seen in destination.observations if seen.kind in (Kind.RECEIVE_REQUESTED, Kind.VM_RESUMED)]
    last_ns = max(seen.stamp.lo_ns for seen in told)
    destination_zero = (
        at["receive_call destination"] - _ns(destination, Kind.RECEIVE_REQUESTED),
        at["receive_return destination"] - last_ns,
    )
    return source_zero[0] - destination_zero[1], source_zero[1] - destination_zero[0]


def _ns(side: Side, kind: Kind) -> int:
    return next(seen.stamp.ns for seen in side.observations if seen.kind is kind)


@pytest.mark.parametrize("name", _ONE_HOST_BOOT_CLOCKS)
def test_api_calls_agree(name: str) -> None:
    """What the calls' times leave possible is about a second wide, and some of it is proved possible."""
    findings = read_findings(inputs(name))
    migration = next(each for each in reversed(findings.migrations) if each.proof is not None)
    calls = truth(name)["orchestrator"]
    if name == "v53.0-twodestinations":
        calls = calls[:6]
    proof = _proof(next(trace for trace in findings.traces(TraceOptions()) if trace.first("receive")))
    assert proof.meets(*_bracket(migration, calls))


# --- whose logs these are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("suffixes", [(".log", ".json"), (".log",)], ids=["all", "logs"])
def test_true_pairs_hold_no_contradiction(name: str, suffixes: tuple[str, ...]) -> None:
    """Paused, retried, cancelled, killed: every attempt that was answered has its partner and a bounded offset."""
    paths = [path for path in inputs(name) if path.suffix in suffixes]
    findings = read_findings(paths)
    assert not [note for note in findings.notes if "no clock offset fits" in note]
    statuses = [trace.root.attributes["otelmig.clock.status"] for trace in findings.traces(TraceOptions())]
    expected = ["unsynced" if "refused" in each.get("error", "") else "bounded" for each in truth(name)["attempts"]]
    assert statuses == expected


_LIKE = {
    ("head-conn4", "v53.0-conn4"),
    ("v48.0-basic", "v51.1-basic"),
    ("v48.0-basic", "v51.1-basicv"),
    ("v48.0-basicv", "v51.1-basic"),
    ("v48.0-basicv", "v51.1-basicv"),
    ("v48.0-seccomp", "v51.1-basic"),
    ("v48.0-seccomp", "v51.1-basicv"),
    ("v51.1-basic", "v51.1-basicv"),
    ("v51.1-basicv", "v51.1-basic"),
    ("v48.0-local", "v51.1-local"),
    ("v51.1-local", "v48.0-local"),
    ("v52.0-twohosts-drift", "v51.1-twohosts"),
}
"""Finished migrations of equal shape: source and destination of different ones, which their lines do not tell apart."""


@cache
def _sides() -> dict[str, tuple[Side, Side]]:
    """Source and destination of each recording of one attempt."""
    sides = {}
    for name in _SINGLE:
        paths = [path for path in inputs(name) if path.suffix == ".log"]
        (own,) = read_findings(paths).migrations
        assert own.source is not None
        assert own.destination is not None
        sides[name] = own.source, own.destination
    return sides


def _forced(one: str, other: str) -> Migration | None:
    """Source and destination of two recordings, named as a pair by the user; None if that is refused."""
    (source, _), (_, destination) = _sides()[one], _sides()[other]
    by_system = {each.system: each for each in hypervisors()}
    try:
        pairing = pair_sides([source, destination], by_system, [(source.name, destination.name)])
    except UsageError as error:
        assert str(error).startswith(f"`pairs` {source.name}={destination.name}: ")  # noqa: PT017 # not for its name
        return None
    (migration,) = pairing.migrations
    return migration


def _finished(migration: Migration) -> bool:
    return all(side.result is Result.SUCCESS for side in migration.sides)


@pytest.mark.parametrize("one", _SINGLE)
def test_strangers_are_not_one_migration(one: str) -> None:
    """Every other recording's destination is refused, a conflict, or possible for all that both sides say."""
    for other in _SINGLE:
        migration = _forced(one, other) if other != one else None
        if migration is None:
            continue
        assert migration.proof is not None
        if migration.proof.conflict is None:
            assert (one, other) in _LIKE or not _finished(migration), other


@pytest.mark.parametrize(("one", "other"), sorted(_LIKE))
def test_equal_shapes_give_consistent_traces(one: str, other: str) -> None:
    """A pair that stays because nothing speaks against it is consistent: its trace is valid, its interval not empty."""
    paths = [CORPUS / one / "source.log", CORPUS / other / "destination.log"]
    try:
        findings = read_findings(paths, pairs=[("source.log", "destination.log")])
    except UsageError:
        return  # better still
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    assert _proof(trace).width_ns >= 0
    text = render_waterfall(trace, width=200, color=False)
    assert text.startswith("pair       not certain: only the caller says that these two are one migration")


_SOME = (
    "head-basic",
    "head-postcopy",
    "head-preserve",
    "v48.0-basic",
    "v51.1-noisy",
    "v52.0-basic",
    "v52.0-paused",
    "v53.0-basicv",
    "v53.0-dirtyhot",
    "v53.0-local",
    "v53.0-twohosts",
    "v53.0-unixcopy",
    "v53.0-wallclock",
)


@pytest.mark.parametrize(("one", "other"), list(permutations(_SOME, 2)))
def test_forced_pairs_of_files_are_refused_or_a_conflict(one: str, other: str) -> None:
    """The same from the files on: what both say of the VM refutes what the user asserts, or their clocks do."""
    paths = [CORPUS / one / "source.log", CORPUS / other / "destination.log"]
    try:
        findings = read_findings(paths, pairs=[("source.log", "destination.log")])
    except UsageError as error:
        assert str(error).startswith("`pairs` source.log=destination.log: ")  # noqa: PT017 - either way is right
        return
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    assert trace.root.attributes["otelmig.clock.status"] == "conflict"
    quiet = {"otelmig.clock.offset.min", "otelmig.clock.offset.max", "vm.migration.blackout.duration"}
    step = any("otelmig.clock.step.duration" in span.attributes for span in trace.spans)
    assert step or not any(quiet & span.attributes.keys() for span in trace.spans)


@pytest.mark.parametrize("other", ["v51.1-basic", "v51.1-basicv", "v51.1-twohosts"])
def test_a_local_migration_has_one_socket(other: str) -> None:
    """Memory is handed over as file descriptors, which TCP does not carry: a receiver on TCP is another's."""
    paths = [CORPUS / "v53.0-localseccomp" / "source.log", CORPUS / other / "destination.log"]
    with pytest.raises(UsageError, match=r"^`pairs` source\.log=destination\.log: "):
        read_findings(paths, pairs=[("source.log", "destination.log")])


@pytest.mark.parametrize("step_ms", [50, -50, 1000])
def test_a_step_inside_a_migration_is_not_hidden(step_ms: int, tmp_path: Path) -> None:
    """A wall clock that is set while memory is copied: a conflict, explained by one step of the right size."""
    (name,) = _ONE_HOST_WALL_CLOCKS
    source, destination = _logs(name)
    middle_ns = _end_of_downtime_ns(source) - 2 * _S
    stepped = _rewritten(destination, lambda ns: ns + (step_ms * _MS if ns > middle_ns else 0))
    paths = _written(tmp_path, source, stepped)
    findings = read_findings(paths)
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    received = trace.first("receive")
    assert received is not None
    attributes = received.attributes
    assert attributes["otelmig.clock.status"] == trace.root.attributes["otelmig.clock.status"] == "conflict"
    ends = {end: attributes.get(f"otelmig.clock.step.{end}") for end in ("min", "max")}
    lo, hi = (None if ends[end] is None else float(str(ends[end])) * 1000 for end in ("min", "max"))
    assert (lo is not None and 0 < lo <= step_ms) or (hi is not None and step_ms <= hi < 0)
    assert lo is None or hi is None or lo <= step_ms <= hi
