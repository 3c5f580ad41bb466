"""A playback is what the recorded processes wrote, call by call, on hosts whose clocks are as chosen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from host_clock import HostClock
from replay import Action, Playback, Player, Step, killed, played, restarted, rotated, steps_of
from trace_invariants import CORPUS, RECORDINGS

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

_WALL_CLOCK = re.compile(rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_BEGIN_NS = 1_800_000_000 * 10**9
_S = 10**9


def _steps(name: str, folder: Path, **chosen: object) -> list[Step]:
    folders = {role: folder / role for role in ("source", "destination")}
    return steps_of(CORPUS / name, folders, Playback(**{"begin_ns": _BEGIN_NS} | chosen))  # type: ignore[arg-type] # of each field its type


@pytest.mark.parametrize("name", RECORDINGS)
def test_files_are_those_of_the_recording(name: str, tmp_path: Path) -> None:
    """Every byte is there in the end, CR, blank lines and cut ends too; only wall clocks say another time."""
    steps = _steps(name, tmp_path)
    assert [step.at_ns for step in steps] == sorted(step.at_ns for step in steps)
    played(steps)
    written = sorted(path for folder in tmp_path.iterdir() for path in folder.iterdir())
    recorded = sorted(path for path in (CORPUS / name).iterdir() if path.name.endswith((".log", ".events.json")))
    assert sorted(path.name for path in written) == sorted(path.name for path in recorded)
    for path in written:
        content = (CORPUS / name / path.name).read_bytes()
        assert _WALL_CLOCK.sub(b"", path.read_bytes()) == _WALL_CLOCK.sub(b"", content)


@pytest.mark.parametrize("drift_ppb", [0, 300_000])
def test_the_skew_is_the_chosen_one(drift_ppb: int, tmp_path: Path) -> None:
    """The skew that was recorded is taken out as it was measured, to a millisecond, and the chosen one is put in."""
    clock = HostClock(ahead_ns=2_500_000_000, drift_ppb=drift_ppb)
    played(_steps("v53.0-twohosts", tmp_path, clocks={"destination": clock}))
    (trace,) = trace_migrations([tmp_path])
    receive = trace.first("receive")
    assert receive is not None
    low, high = (float(str(receive.attributes[f"otelmig.clock.offset.{bound}"])) for bound in ("min", "max"))
    # over the 23 s of the recording the drift adds up to 7 ms
    assert low - 0.0015 <= 2.5 + drift_ppb * 23e-9
    assert high + 0.0015 >= 2.5
    assert high - low < 0.02


def test_drift_stretches_every_clock_of_a_host(tmp_path: Path) -> None:
    """Times since the process began are longer on a clock that runs faster, in the log and in the event stream."""
    played(_steps("v53.0-basicv", tmp_path, clocks={"source": HostClock(drift_ppb=10**8)}))
    log, events = ((tmp_path / "source" / f"source{suffix}").read_text() for suffix in (".log", ".events.json"))
    assert log.startswith("cloud-hypervisor:   0.006796s: ")  # 0.006179 in the recording
    assert '"nanos": 15677475' in events  # 14252250


def test_a_record_is_written_in_several_calls(tmp_path: Path) -> None:
    """The formatter writes its arguments one by one, the serialiser its tokens."""
    steps = _steps("v53.0-basicv", tmp_path)
    first = [step.data for step in steps if step.path.name == "source.log" and step.record == 1]
    assert first[:8] == [
        b"cloud-hypervisor:   0.006179s",
        b": <",
        b"main",
        b"> ",
        b"INFO:cloud-hypervisor/src/main.rs",
        b":",
        b"631",
        b" -- ",
    ]
    assert first[8:] == [b"v53.0-dirty starting", b"\r\n"]
    event = [step.data for step in steps if step.path.name == "source.events.json" and step.record == 1]
    assert len(event) > 20


def test_a_torn_record_has_a_pause_in_it(tmp_path: Path) -> None:
    """One record of five, in a log."""
    plain, torn = (_split_records(_steps("v53.0-basicv", tmp_path, **chosen)) for chosen in _TORN)
    assert plain == []
    assert torn == list(range(5, 5 * len(torn) + 1, 5))
    assert len(torn) == 10


_TORN: Final[tuple[dict[str, int], ...]] = ({}, {"torn_every": 5, "torn_ns": 2 * _S})


def _split_records(steps: list[Step]) -> list[int]:
    """Return the numbers of the source log's records that are not written at one instant."""
    instants: dict[int, set[int]] = {}
    for step in steps:
        if step.path.name == "source.log" and step.record:
            instants.setdefault(step.record, set()).add(step.at_ns)
    return [record for record, times in instants.items() if len(times) > 1]


def test_a_playback_is_as_fast_as_it_is_told(tmp_path: Path) -> None:
    """Ten times as fast takes a tenth of the time, and the stamps stay those of the recording."""
    plain, fast = (_steps("v53.0-twohosts", tmp_path, speed=speed) for speed in (1, 10))
    assert plain[-1].at_ns == pytest.approx(10 * fast[-1].at_ns)
    assert sorted(step.data for step in plain) == sorted(step.data for step in fast)
    late = _steps("v53.0-twohosts", tmp_path, skipped_ns=5 * _S)
    assert late[-1].at_ns == plain[-1].at_ns - 5 * _S
    assert late[0].at_ns == 0


def test_the_player_waits_until_a_step_is_due(tmp_path: Path) -> None:
    """It waits for what is to come and catches up with what is late."""
    clock = [100.0]
    steps = _steps("v53.0-refused", tmp_path)

    def wait(seconds: float) -> None:
        assert seconds > 0
        clock[0] += seconds

    Player().play(steps, now=lambda: clock[0], wait=wait)
    assert clock[0] == pytest.approx(100 + steps[-1].at_ns / _S)


def test_a_killed_process_leaves_half_a_record(tmp_path: Path) -> None:
    """Its log ends in mid-record, its event stream where it was; the other host goes on."""
    steps = _steps("v53.0-basicv", tmp_path)
    log = tmp_path / "source" / "source.log"
    played(killed(steps, log, 40))
    lines = (CORPUS / "v53.0-basicv" / "source.log").read_bytes().splitlines(keepends=True)
    content = log.read_bytes()
    assert content.startswith(b"".join(lines[:39]))
    assert len(b"".join(lines[:39])) < len(content) < len(b"".join(lines[:40]))
    events = (tmp_path / "source" / "source.events.json").read_bytes()
    assert events != (CORPUS / "v53.0-basicv" / "source.events.json").read_bytes()
    destination = (tmp_path / "destination" / "destination.log").read_bytes()
    assert destination == (CORPUS / "v53.0-basicv" / "destination.log").read_bytes()


def test_a_renamed_log_is_written_to_its_end(tmp_path: Path) -> None:
    """The handle is kept: nothing appears under the old name."""
    log, old = tmp_path / "source" / "source.log", tmp_path / "source" / "source.log.1"
    played(rotated(_steps("v53.0-basicv", tmp_path), log, 40, old))
    assert old.read_bytes() == (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    assert not log.exists()


def test_a_truncated_log_begins_with_nothing(tmp_path: Path) -> None:
    """The handle keeps its place, so the rest stands behind as many NULs as bytes were there before."""
    log, old = tmp_path / "source" / "source.log", tmp_path / "source" / "source.log.1"
    played(rotated(_steps("v53.0-basicv", tmp_path), log, 40, old, copy=True))
    content = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    before = old.read_bytes()
    assert content.startswith(before)
    assert log.read_bytes() == b"\0" * len(before) + content[len(before) :]


def test_a_restart_truncates_the_log(tmp_path: Path) -> None:
    """The second run is all that is left, and it begins after the first has ended."""
    first, second = _steps("v53.0-refused", tmp_path), _steps("v53.0-retry", tmp_path)
    steps = restarted(first, second, _S)
    assert [step.at_ns for step in steps] == sorted(step.at_ns for step in steps)
    played(steps)
    log = tmp_path / "source" / "source.log"
    assert log.read_bytes() == (CORPUS / "v53.0-retry" / "source.log").read_bytes()
    assert [step.action for step in steps if step.path == log and step.action is not Action.WRITE] == [
        *(Action.OPEN, Action.CLOSE, Action.OPEN, Action.CLOSE)
    ]
