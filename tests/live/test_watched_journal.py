"""`otelmig watch journald:UNIT` as a process of its own: killed, ended, refused; and what it leaves behind: nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import fork_server
import pytest
from journal_host import JournalHost, recorded_entries, remote, running
from output_schemas import validated
from replay import Playback, Player, steps_of
from sample import dealt
from trace_invariants import CORPUS

from otelmig.cli.live.watching import this_host
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONG_S = 30.0
_UNITS = {"source": "ch@1.service", "destination": "ch@2.service"}


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("real", marks=pytest.mark.skipif(remote() is None, reason="no systemd-journal-remote")),
    ]
)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JournalHost]:
    """A host whose `journalctl` is the one that is found."""
    with JournalHost(folder=tmp_path / "host", is_real=request.param == "real") as made:
        yield made


def _start(host: JournalHost, tmp_path: Path, *arguments: str) -> fork_server.Process:
    command = ["watch", *arguments, "--state", str(tmp_path / "state"), "--json"]
    return fork_server.start(*command, cwd=tmp_path, environ={"PATH": host.path})


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + _LONG_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.03)


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


_ENDS = [
    (number, units)
    for units in (["journald:ch@*.service"], ["journald:ch@1", "journald:ch@2"])
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
]


@pytest.mark.parametrize(
    ("host", "number", "units"),
    [
        pytest.param(host, number, units, id=f"{host}-{number.name}-{len(units)}")
        for (number, units), host in dealt(_ENDS, ["stand-in", "real"] if remote() else ["stand-in"])
    ],
    indirect=["host"],
)
def test_ended_and_begun_again(number: signal.Signals, units: list[str], host: JournalHost, tmp_path: Path) -> None:
    """However it ends, no `journalctl` is left, and the migration under way is traced by the next run, once.

    A sample where there are real journals: each signal with both, for one unit or two; `make fuzz` tries all.
    """
    entries = recorded_entries(CORPUS / "v53.0-wallclock", _UNITS)
    half = len(entries) // 2
    with _start(host, tmp_path, *units) as watcher:
        host.write(entries[:half])
        _until(lambda: len(running("--follow", parent=watcher.pid)) == len(units))
        children = running(parent=watcher.pid)
        os.kill(watcher.pid, number)
        watcher.communicate()
        assert watcher.returncode == (-number if number is signal.SIGKILL else 0)
    _until(lambda: not any(map(_alive, children)))
    host.write(entries[half:])
    with _start(host, tmp_path, *units, "--once", "--end-after", "60") as watcher:
        out, _ = watcher.communicate()
        assert watcher.returncode == 0
    (tmp_path / "dumps").mkdir()
    for unit in _UNITS.values():
        (tmp_path / "dumps" / f"journald:{unit}").write_bytes(host.dump(unit))
    (trace,) = trace_migrations([tmp_path / "dumps"])
    traced = [event for event in map(validated, out.splitlines()) if event["event"] == "traced"]
    assert [event["migration"]["trace_id"] for event in traced] == [trace.trace_id]
    with _start(host, tmp_path, *units, "--once", "--end-after", "2") as watcher:
        watcher.communicate()
        assert watcher.returncode == 4, "what was traced is not traced again"


def test_a_unit_beside_a_file(host: JournalHost, tmp_path: Path) -> None:
    """One side's log is a file, the other's a unit of the same machine."""
    (tmp_path / "logs").mkdir()
    recording = CORPUS / "v53.0-wallclock"
    here = this_host()
    begin_ns = time.time_ns()
    entries = recorded_entries(recording, _UNITS, begin_ns, _HOSTNAME=here.name or "", _MACHINE_ID=here.id or "")
    with _start(host, tmp_path, str(tmp_path / "logs"), "journald:ch@2", "--once", "--end-after", "60") as watcher:
        host.write([each for each in entries if each["_SYSTEMD_UNIT"] == _UNITS["destination"]])
        player = Player()
        for step in steps_of(recording, dict.fromkeys(_UNITS, tmp_path / "logs"), Playback(begin_ns=begin_ns)):
            if step.path.name.startswith("source"):
                player.do(step)
        player.close()
        out, _ = watcher.communicate()
        assert watcher.returncode == 0
    progress = [event["logs"] for event in map(json.loads, out.splitlines()) if event["event"] == "progress"]
    assert {"source": "source.log", "destination": "journald:ch@2.service"} in progress, out


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            "insufficient permissions",
        ),
        (None, "journalctl: No such file or directory"),
    ],
)
def test_no_journal(script: str | None, said: str, tmp_path: Path) -> None:
    """It is said in one line, and is an input that cannot be read."""
    made = JournalHost(folder=tmp_path / "host")
    if script is None:
        (made.programs / "journalctl").unlink()
    else:
        made.offers(script)
    command = ["watch", "journald:ch", "--state", str(tmp_path / "state")]
    run = fork_server.finished(*command, cwd=tmp_path, environ={"PATH": str(made.programs)})
    assert (run.returncode, run.stdout) == (2, "")
    assert said in run.stderr
    assert len(run.stderr.splitlines()) == 1
