"""Lines that nothing orders: whichever comes first, no constraint is made of them, and what is proved stays true.

Nothing is printed on the source when its ``connect`` returns (which it may do before the destination accepts), so that
pair can only be seen through the lines around it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from scenarios import SCENARIOS
from trace_invariants import CORPUS, check_traces

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from otelmig.clock.proof import ClockProof
    from otelmig.trace.span import Trace

_S: Final = 10**9
_AHEAD_MS: Final = {"source.log": 0, "destination.log": -1_250}
"""What a process's clock shows at the source's zero: in the scenarios the destination started later."""
_STAMP: Final = re.compile(rb"cloud-hypervisor: +(\d+\.\d{6})s: ")


def _head(seconds: float) -> bytes:
    printed: float = struct.unpack("<f", struct.pack("<f", seconds))[0]
    return f"cloud-hypervisor: {printed:>10.6f}s: ".encode()


def _records(log: bytes) -> list[tuple[float, bytes]]:
    """The records of a log, the lines that continue one with it, and their times."""
    found: list[tuple[float, bytes]] = []
    for line in log.splitlines(keepends=True):
        stamp = _STAMP.match(line)
        if stamp is None:
            found[-1] = found[-1][0], found[-1][1] + line
        else:
            found.append((float(stamp[1]), line[stamp.end() :]))
    return found


def _log(records: Iterable[tuple[float, bytes]]) -> bytes:
    return b"".join(_head(seconds) + text for seconds, text in sorted(records, key=lambda record: record[0]))


def _moved(files: Mapping[str, bytes], name: str, text: str, true_ms: float) -> dict[str, bytes]:
    """``files`` with the first record of one that contains ``text`` written at another time of the source's clock."""
    records = _records(files[name])
    index = next(k for k, (_, line) in enumerate(records) if text.encode() in line)
    records[index] = (true_ms + _AHEAD_MS[name]) / 1000, records[index][1]
    return {**files, name: _log(records)}


def _proved(files: Mapping[str, bytes], folder: Path) -> tuple[ClockProof, Trace]:
    """The last attempt that both logs tell of."""
    paths = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        paths.append(folder / name)
    findings = read_findings(paths)
    traces = list(findings.traces(TraceOptions()))
    check_traces(traces)
    proof = findings.migrations[-1].proof
    assert proof is not None, findings.notes
    assert traces[-1].root.attributes["otelmig.clock.status"] == "bounded"
    assert proof.required_ppb is None
    return proof, traces[-1]


def _interval(trace: Trace) -> tuple[float, float]:
    receive = trace.first("receive")
    assert receive is not None
    lo, hi = (float(str(receive.attributes[f"otelmig.clock.offset.{end}"])) for end in ("min", "max"))
    return lo, hi


def _place(files: Mapping[str, bytes], name: str, text: str) -> str:
    """``FILE:LINE`` of the first line with ``text``."""
    number = files[name][: files[name].index(text.encode())].count(b"\n") + 1
    return f"{name}:{number}"


def _time_ms(files: Mapping[str, bytes], name: str, text: str) -> float:
    """When a record was written, by the source's clock."""
    return next(at for at, line in _records(files[name]) if text.encode() in line) * 1000 - _AHEAD_MS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two lines of a scenario, the first of which is moved before and after the second, to times that can be."""

    scenario: str
    moved: tuple[str, str]
    other: tuple[str, str]
    before_ms: float
    after_ms: float


_D, _Z = "destination.log", "source.log"
_PAIRS: Final = {
    "listening, and connecting": _Pair(
        scenario="v53.0-tcp",
        moved=(_D, "migration-receive-ready"),
        other=(_Z, "Connecting to TCP"),
        before_ms=2000.9,
        after_ms=2001.9,
    ),
    "the two ends of a TLS handshake": _Pair(
        scenario="v53.0-tls",
        moved=(_D, "TLS handshake (server-side"),
        other=(_Z, "TLS handshake (client-side"),
        before_ms=2001.7,
        after_ms=2002.15,
    ),
    "received, and completed": _Pair(
        scenario="v53.0-tls",
        moved=(_D, "migration-receive-finished"),
        other=(_Z, "Migration completed after"),
        before_ms=3218.9,
        after_ms=3290.0,
    ),
    "received, and finished": _Pair(
        scenario="v52.0-tcp-debug",
        moved=(_D, "migration-receive-finished"),
        other=(_Z, "migration-finished"),
        before_ms=3219.0,
        after_ms=3290.0,
    ),
    "not received, and failed": _Pair(
        scenario="v53.0-state-rejected",
        moved=(_D, "migration-receive-failed"),
        other=(_Z, "migration-failed"),
        before_ms=3190.1,
        after_ms=3250.0,
    ),
    "the end of the connection, and the failure": _Pair(
        scenario="v53.0-timeout-cancel",
        moved=(_D, "Failed to read migration request"),
        other=(_Z, "event = migration-failed"),
        before_ms=3112.9,
        after_ms=3115.3,
    ),
    "the end of the connection, and the failure's last line": _Pair(
        scenario="v53.0-timeout-cancel",
        moved=(_D, "Failed to read migration request"),
        other=(_Z, "Migration failed: "),
        before_ms=3112.9,
        after_ms=3160.0,
    ),
    "serving pages, and the state's receipt": _Pair(
        scenario="v53.0-postcopy",
        moved=(_Z, "entering PageFault serve loop"),
        other=(_D, "Command 'State' received"),
        before_ms=2018.0,
        after_ms=2043.0,
    ),
    "serving pages, and registering them": _Pair(
        scenario="v53.0-postcopy",
        moved=(_Z, "entering PageFault serve loop"),
        other=(_D, "UFFD: spawning handler"),
        before_ms=2018.0,
        after_ms=2080.0,
    ),
}


@pytest.mark.parametrize("name", _PAIRS)
def test_neither_order_means_anything(name: str, tmp_path: Path) -> None:
    """In both orders: bounded, the truth inside, and no constraint that rests on these two lines."""
    pair = _PAIRS[name]
    files = SCENARIOS[pair.scenario].files
    other_ms = _time_ms(files, *pair.other)
    assert pair.before_ms < other_ms < pair.after_ms
    for true_ms in (pair.before_ms, pair.after_ms):
        edited = _moved(files, *pair.moved, true_ms)
        assert abs(_time_ms(edited, *pair.moved) - true_ms) < 0.01
        proof, trace = _proved(edited, tmp_path)
        lo, hi = _interval(trace)
        assert lo <= -1.25 <= hi
        unordered = {_place(edited, *pair.moved), _place(edited, *pair.other)}
        assert not [each for each in proof.constraints if {str(each.first.where), str(each.second.where)} == unordered]


def test_a_receiver_that_is_asked_late(tmp_path: Path) -> None:
    """All that it says before it accepts comes after the source's connect, which a tunnel may have let succeed."""
    files = dict(SCENARIOS["v53.0-tcp"].files)
    for text, true_ms in (
        ("VmReceiveMigration ", 2001.5),
        ("Receiving migration: ", 2001.7),
        ("receive-ready", 2001.9),
    ):
        files = _moved(files, _D, text, true_ms)
    _, trace = _proved(files, tmp_path)
    lo, hi = _interval(trace)
    assert lo <= -1.25 <= hi


def test_memory_on_the_main_connection_is_not_counted_with_several(tmp_path: Path) -> None:
    """With four connections the one ``Memory`` that the main loop sees is the rest at the end, and no first pass."""
    files = {name: (CORPUS / "v53.0-conn4" / name).read_bytes() for name in (_Z, _D)}
    plain, trace = _proved(files, tmp_path)
    records = _records(files[_D])
    index, at = next((k, at) for k, (at, line) in enumerate(records) if b"Command 'State' received" in line)
    line = records[index][1].replace(b"'State'", b"'Memory'")
    records.insert(index, (at - 0.0005, line))
    more, other = _proved({**files, _D: _log(records)}, tmp_path)
    assert len(more.constraints) == len(plain.constraints)
    assert _interval(other) == _interval(trace)


@pytest.mark.parametrize("scenario", ["v53.0-tls", "v52.0-tcp-debug"])
def test_threads_of_one_process_may_be_written_out_of_order(scenario: str, tmp_path: Path) -> None:
    """A line that another thread overtook on its way to the file counts by its own stamp."""
    files = SCENARIOS[scenario].files
    _, trace = _proved(files, tmp_path)
    lines = files[_D].splitlines(keepends=True)
    index = next(k for k, line in enumerate(lines) if b"Stopped accepting" in line)
    lines[index : index + 2] = lines[index + 1], lines[index]
    _, swapped = _proved({**files, _D: b"".join(lines)}, tmp_path)
    assert _interval(swapped) == _interval(trace)


# --- what somebody else did ---------------------------------------------------------------------------------------


def _operator(log: bytes, begin_ms: float, name: str, *verbs: str) -> bytes:
    """``log`` with an operator who pauses or resumes the guest, by the source's clock."""
    records = _records(log)
    for number, verb in enumerate(verbs):
        api = "VmPause" if verb == "paus" else "VmResume"
        device = "Pausing" if verb == "paus" else "Resuming"
        for later_ms, text in (
            (0, f"<vmm> INFO:vmm/src/api/mod.rs:1384 -- API request event: {api}"),
            (0.5, f"<vmm> INFO:event_monitor/src/lib.rs:113 -- Event: source = vm event = {verb}ing "),
            (2, f"<vmm> INFO:virtio-devices/src/device.rs:313 -- {device} virtio-block"),
            (4, f"<vmm> INFO:event_monitor/src/lib.rs:113 -- Event: source = vm event = {verb}ed "),
        ):
            at = (begin_ms + 100 * number + later_ms + _AHEAD_MS[name]) / 1000
            records.append((at, text.encode() + b"\r\n"))
    return _log(records)


@pytest.mark.parametrize("scenario", ["v53.0-tcp", "v53.0-tls", "v52.0-tcp-debug", "v51.0-tcp-trace", "head-tcp"])
def test_what_an_operator_did_proves_nothing(scenario: str, tmp_path: Path) -> None:
    """Paused and resumed before the migration, and again after it: the same bounds, the same blackout."""
    files = SCENARIOS[scenario].files
    plain, trace = _proved(files, tmp_path)
    source = _operator(files[_Z], 1_000, _Z, "paus", "resum")
    destination = _operator(files[_D], 9_000, _D, "paus", "resum")
    busy, other = _proved({**files, _Z: source, _D: destination}, tmp_path)
    assert len(busy.constraints) == len(plain.constraints)
    assert _interval(other) == _interval(trace)
    for name in ("duration", "min", "max"):
        key = f"vm.migration.blackout.{name}"
        assert other.root.attributes[key] == trace.root.attributes[key]


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_is_a_conflict(name: str, tmp_path: Path) -> None:
    """Paused guests, retries, there and back, failures: what belongs to another attempt contradicts nothing."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    for found in read_findings(sorted(tmp_path.iterdir())).migrations:
        if found.proof is not None:
            assert found.proof.conflict is None
            assert found.proof.required_ppb is None
