"""Which source belongs to which destination: proved, refused with the reason, or left to the user."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from clock_states import moved_from
from pair_names import pair_names
from restamp import aged, aged_events, from_request, on_port, shifted, until_shutdown
from scenarios import SCENARIOS
from trace_invariants import CORPUS, check_traces

from otelmig.errors import UsageError
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.units import texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _two_equal_vms(folder: Path) -> list[Path]:
    """Two VMs of equal shape, migrated at the same time between the same hosts, by processes of other ages."""
    recording = CORPUS / "v53.0-dirty"
    paths = []
    for name, source_us, destination_us in (("a", 0, 0), ("b", 123_457, 4_020_011)):
        for role, by in (("source", source_us), ("destination", destination_us)):
            path = folder / f"{name}-{role}.log"
            path.write_bytes(shifted((recording / f"{role}.log").read_bytes(), by))
            paths.append(path)
    return paths


def test_equal_vms_are_not_guessed_at(tmp_path: Path) -> None:
    """Several partners are possible: nothing is paired, the candidates are named, and the caller decides."""
    paths = _two_equal_vms(tmp_path)
    findings = read_findings(paths)
    assert len(findings.migrations) == 4
    assert all(None in pair for pair in set(pair_names(findings)))
    notes = "\n".join(findings.notes)
    assert "a-source.log is not paired: several partners are possible: a-destination.log, b-destination.log" in notes
    assert "name one with `pairs`" in notes
    chosen = read_findings(paths, pairs=[("a-source.log", "a-destination.log")])
    assert set(pair_names(chosen)) == {("a-source.log", "a-destination.log"), ("b-source.log", "b-destination.log")}
    check_traces(list(chosen.traces(TraceOptions())))


def test_possible_partners_are_named_in_the_trace_as_pair_takes_them(tmp_path: Path) -> None:
    """A name that looks like a token is a name all the same: whoever reads the trace can give it back."""
    paths = _two_equal_vms(tmp_path)
    folder = tmp_path / "rack7-slot12-0f3a9c"
    folder.mkdir()
    paths = [path.rename(folder / f"vm-4f2a9c81d7e35b60-{path.name}") for path in paths]
    findings = read_findings(paths)
    named = {
        name
        for trace in findings.traces(TraceOptions())
        for reason in texts(trace.root.attributes["otelmig.pairing.reasons"])
        for name in reason.removeprefix("several partners are possible: ").partition(";")[0].split(", ")
    }
    assert named == {path.name for path in paths}


def test_ports_tell_equal_vms_apart(tmp_path: Path) -> None:
    """The same two, on different ports: one way to pair them is left."""
    paths = _two_equal_vms(tmp_path)
    for path in paths[2:]:
        path.write_bytes(on_port(path.read_bytes(), 5555))
    assert set(pair_names(read_findings(paths))) == {
        ("a-source.log", "a-destination.log"),
        ("b-source.log", "b-destination.log"),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [("v53.0-dirty", "v53.0-local"), ("v53.0-dirty", "v53.0-tls"), ("v52.0-basic", "v52.0-noisy")],
)
def test_unrelated_logs_are_not_paired(one: str, other: str) -> None:
    """The source of one migration and the destination of another: two traces, and the user is told why."""
    findings = read_findings([CORPUS / one / "source.log", CORPUS / other / "destination.log"])
    assert set(pair_names(findings)) == {("source.log", None), (None, "destination.log")}
    assert any(note.startswith("source.log is not paired: destination.log: ") for note in findings.notes)


def test_a_pair_that_causality_refutes_is_refused() -> None:
    """The caller cannot make effects precede their causes."""
    paths = [CORPUS / "v52.0-basic" / "source.log", CORPUS / "v52.0-noisy" / "destination.log"]
    with pytest.raises(UsageError, match=r"^`pairs` source\.log=destination\.log: "):
        read_findings(paths, pairs=[("source.log", "destination.log")])
    with pytest.raises(UsageError, match="no source is called"):
        read_findings(paths, pairs=[("x.log", "destination.log")])


def test_many_sources_and_destinations(tmp_path: Path) -> None:
    """Five migrations at once, in files of any name: each source finds its own destination."""
    names = ("v48.0-basic", "v51.1-noisy", "v52.0-local", "v53.0-dirtyhot", "head-basic")
    paths, expected = [], set()
    for number, name in enumerate(names):
        for role, label in (("source", f"x{number}"), ("destination", f"{9 - number}y")):
            path = tmp_path / label
            path.write_bytes((CORPUS / name / f"{role}.log").read_bytes())
            paths.append(path)
        expected.add((f"x{number}", f"{9 - number}y"))
    assert set(pair_names(read_findings(paths))) == expected


def test_a_vm_that_came_and_left(tmp_path: Path) -> None:
    """One process receives a VM and later sends it on: one log, two attempts, two traces in the right order."""
    first, second = CORPUS / "v53.0-dirty", CORPUS / "v53.0-dirtyhot"
    came = until_shutdown((first / "destination.log").read_bytes())
    left = shifted(from_request((second / "source.log").read_bytes()), 60_000_000)
    for name, data in (
        ("source.log", (first / "source.log").read_bytes()),
        ("middle.log", came + left),
        ("back.log", (second / "destination.log").read_bytes()),
    ):
        (tmp_path / name).write_bytes(data)
    findings = read_findings(sorted(tmp_path.iterdir()))
    assert pair_names(findings) == [("source.log", "middle.log"), ("middle.log", "back.log")]
    check_traces(list(findings.traces(TraceOptions())))


@pytest.mark.parametrize("days", [1, 10, 30])
def test_an_old_source_process(tmp_path: Path, days: int) -> None:
    """After days of uptime stamps are worth 8 to 250 ms: the downtime is still the printed one, the rest says less.

    The event stream of the same process is exact, so its stamps take the place of the lines that say the same.
    """
    recording, uptime = CORPUS / "v53.0-dirty", days * 86_400
    log, destination, stream = tmp_path / "source.log", tmp_path / "destination.log", tmp_path / "events.json"
    log.write_bytes(aged((recording / "source.log").read_bytes(), uptime))
    destination.write_bytes((recording / "destination.log").read_bytes())
    stream.write_bytes(aged_events((recording / "source.events.json").read_bytes(), uptime))
    evidence = []
    for paths in ([log, destination], [log, destination, stream]):
        (trace,) = read_findings(paths).traces(TraceOptions())
        check_traces([trace])
        span, receive = trace.first("downtime"), trace.first("receive")
        assert span is not None
        assert receive is not None
        assert span.duration_ns // 10**6 == 407
        lo, hi = (float(str(receive.attributes[f"otelmig.clock.offset.{end}"])) for end in ("min", "max"))
        assert lo <= -4.0107 - uptime <= hi
        blackout = trace.first("blackout")
        assert blackout is not None
        evidence.append(str(blackout.attributes["otelmig.evidence.start"]).partition(":")[0])
    assert evidence == ["source.log", "events.json"]


def _scenario(folder: Path, name: str, **changes: Callable[[bytes], bytes]) -> list[Path]:
    """The logs of a scenario, some of them changed."""
    paths = []
    for role in ("source", "destination"):
        path = folder / f"{role}.log"
        path.write_bytes(changes.get(role, bytes)(SCENARIOS[name].files[path.name]))
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("printed", "other", "fits"),
    [
        (b"restore:42ms", b"restore:47ms", True),
        (b"restore:42ms", b"restore:60ms", False),
        (b"resume:4ms", b"resume:9ms", True),
        (b"resume:4ms", b"resume:40ms", False),
    ],
)
def test_work_that_does_not_fit_into_the_wait(printed: bytes, other: bytes, tmp_path: Path, *, fits: bool) -> None:
    """The source waited 49 ms for state and restore and 8 ms for the resume, in milliseconds that may be one off."""
    paths = _scenario(tmp_path, "v53.0-tls", destination=lambda log: log.replace(printed, other))
    findings = read_findings(paths)
    assert (set(pair_names(findings)) == {("source.log", "destination.log")}) == fits
    why = "destination.log: the destination's work does not fit into the source's times"
    assert any(why in note for note in findings.notes) != fits


_MEMORY = b"cloud-hypervisor:   1.91%d000s: <vmm> DEBUG:vmm/src/lib.rs:3040 -- Command 'Memory' received\r\n"


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, True), (2, False)])
def test_iterations_after_the_running_ones(more: int, tmp_path: Path, *, fits: bool) -> None:
    """Two iterations while the guest runs, the final delta, and one more after the snapshot: not a fifth."""

    def sent_more(log: bytes) -> bytes:
        at = log.rindex(b"\n", 0, log.index(b"Command 'State' received")) + 1
        return log[:at] + b"".join(_MEMORY % number for number in range(2, 2 + more)) + log[at:]

    findings = read_findings(_scenario(tmp_path, "v53.0-tls", destination=sent_more))
    assert (set(pair_names(findings)) == {("source.log", "destination.log")}) == fits
    assert any("another number of memory iterations" in note for note in findings.notes) != fits


_WALL = re.compile(rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def _later(log: bytes, by: timedelta) -> bytes:
    """A log on a wall clock that is ahead by so much."""

    def move(match: re.Match[bytes]) -> bytes:
        at = datetime.fromisoformat(match[0].decode()) + by
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()

    return _WALL.sub(move, log)


_SECOND = timedelta(seconds=1)
_SYNCHRONISED = {"source": 0 * _SECOND, "destination": 1.25 * _SECOND}
"""What makes the two processes' clocks one."""


def _migrated(folder: Path, count: int, every: timedelta, ahead: timedelta) -> list[Path]:
    """So many equal migrations, one ``every`` so often; the destinations' clock is ``ahead`` of the sources'."""
    paths = []
    for number in range(count):
        for role, by in _SYNCHRONISED.items():
            path = folder / f"{number:02}-{role}.log"
            more = ahead if role == "destination" else 0 * _SECOND
            path.write_bytes(_later(SCENARIOS["v52.0-wallclock"].files[f"{role}.log"], by + number * every + more))
            paths.append(path)
    return paths


@pytest.mark.parametrize(("ahead_s", "told_apart"), [(0.0, True), (0.9, True), (-0.9, True), (20.0, False)])
def test_wall_clocks_tell_equal_migrations_apart(ahead_s: float, tmp_path: Path, *, told_apart: bool) -> None:
    """Any offset is possible, but those of synchronised hosts are small: where all are large, nobody guesses."""
    findings = read_findings(_migrated(tmp_path, 2, 3_600 * _SECOND, ahead_s * _SECOND))
    wanted = {(f"0{number}-source.log", f"0{number}-destination.log") for number in range(2)}
    assert (set(pair_names(findings)) == wanted) == told_apart
    assert told_apart or all(None in pair for pair in set(pair_names(findings)))


def test_the_nearest_are_compared_first(tmp_path: Path) -> None:
    """Of more equal migrations than are compared with each source its own is among those that are."""
    paths = _migrated(tmp_path, 34, 3_600 * _SECOND, 0 * _SECOND)
    findings = read_findings(paths[::-1])
    wanted = {(f"{number:02}-source.log", f"{number:02}-destination.log") for number in range(34)}
    assert set(pair_names(findings)) == wanted


@pytest.mark.parametrize(("by_ms", "paired"), [(500, True), (5_000, False)])
def test_a_clock_that_was_set_by_much_is_another_migration_s(by_ms: int, tmp_path: Path, *, paired: bool) -> None:
    """Nothing names the VM, so what one step reconciles is one migration only if the step is a small one."""
    source, destination = _migrated(tmp_path, 1, _SECOND, 0 * _SECOND)
    log = destination.read_bytes()
    destination.write_bytes(moved_from(log, log[: log.index(b"resuming")].count(b"\n") + 1, by_ms))
    findings = read_findings([source, destination])
    assert (len(findings.migrations) == 1) == paired
    assert any("no clock offset fits" in note for note in findings.notes) != paired


def test_a_lost_command_counts_for_no_other(tmp_path: Path) -> None:
    """Until v51 the receipts of Memory are counted: with one of them lost, those after it are not taken for it."""

    def second_lost(log: bytes) -> bytes:
        lines = log.splitlines(keepends=True)
        receipts = [number for number, line in enumerate(lines) if b"Memory Command Received" in line]
        assert len(receipts) == 3
        return b"".join(line for number, line in enumerate(lines) if number != receipts[1])

    findings = read_findings(_scenario(tmp_path, "v48.0-tcp", destination=second_lost))
    assert set(pair_names(findings)) == {("source.log", "destination.log")}
    (trace,) = findings.traces(TraceOptions())
    receive = trace.first("receive")
    assert receive is not None
    assert receive.attributes["otelmig.clock.status"] == "bounded"
    lo, hi = (float(str(receive.attributes[f"otelmig.clock.offset.{end}"])) for end in ("min", "max"))
    assert lo <= SCENARIOS["v48.0-tcp"].attempts[0].clock_offset_s <= hi
