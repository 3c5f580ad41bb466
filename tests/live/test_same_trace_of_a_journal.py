"""Whenever the journal is read while it grows, the trace is that of what `journalctl -o json` prints afterwards."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from journal_host import JournalHost, recorded_entries, remote
from journal_run import JournalRun
from live_run import without_times_and_hosts
from sample import every
from trace_invariants import CORPUS

from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

_LONG_S = 2000.0
"""Longer than anything is waited for."""
_UNITS = {"source": "ch@vm.1.service", "destination": "ch@vm.2.service"}
"""Instances of one template."""
_ONE_UNIT = dict.fromkeys(_UNITS, "ch.service")


def _followed(
    recording: str,
    units: dict[str, str],
    targets: list[str],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kills: float,
    is_real: bool = False,
) -> None:
    """Play a recording into a journal that is followed; compare the traces with those of the dumps of its units."""
    with JournalHost(folder=path / "host", is_real=is_real) as host:
        monkeypatch.setenv("PATH", host.path)
        with JournalRun(directory=path / "state", host=host, units=targets) as run:
            entries = recorded_entries(CORPUS / recording, units)
            run.play(entries, Random(recording), kills=kills)
            run.wait(_LONG_S)
            assert not run.said
        dumps = path / "dumps"
        dumps.mkdir()
        for unit in set(units.values()):
            (dumps / f"journald:{unit}").write_bytes(host.dump(unit))
    expected = [Payload.of_trace(trace).line for trace in trace_migrations([dumps])]
    assert sorted(map(without_times_and_hosts, run.lines)) == sorted(map(without_times_and_hosts, expected))


@pytest.mark.parametrize(
    "recording", every(5, [name for name in RECORDINGS if not name.startswith(("v48", "v51"))], first=2)
)
def test_instances_of_a_template(recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two units that a pattern matches, of which neither was there when it began, by a watcher that is killed.

    A sample: every third recording; `make fuzz` plays all of them.
    """
    _followed(recording, _UNITS, ["ch@*.service"], tmp_path, monkeypatch, kills=0.3)


@pytest.mark.parametrize("recording", ["v53.0-wallclock", "v53.0-retry", "v51.1-twohosts", "v48.0-basicv"])
def test_processes_of_one_unit(recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes are told apart as in the dump."""
    _followed(recording, _ONE_UNIT, ["ch"], tmp_path, monkeypatch, kills=0.1)


@pytest.mark.parametrize("recording", ["v53.0-twohosts", "v51.1-killdst"])
def test_two_units(recording: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is followed by itself."""
    _followed(recording, _UNITS, list(_UNITS.values()), tmp_path, monkeypatch, kills=0.1)


@pytest.mark.skipif(remote() is None, reason="nothing on this machine writes real journals (systemd-journal-remote)")
@pytest.mark.parametrize("targets", [["ch@*.service"], list(_UNITS.values())])
def test_a_real_journal(targets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own `journalctl` shows what was written into a journal's file."""
    _followed("v53.0-wallclock", _UNITS, targets, tmp_path, monkeypatch, kills=0.2, is_real=True)
