"""The logs that the benchmarks measure are read as they are meant: what is measured on others says nothing."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any, Final

import pytest
from command_run import run_command

_SAMPLES: Final = Path(__file__).parents[2] / "benchmarks" / "sample_logs.py"


@pytest.fixture(scope="module")
def samples() -> dict[str, Any]:
    """What the module of the samples defines; its folder is not among those that modules are imported from."""
    return runpy.run_path(str(_SAMPLES))


def _said_of(log: Path) -> list[str]:
    run = run_command(["trace", "-q", str(log)])
    assert run.code == 0, run.stderr
    return run.stderr.splitlines()


def test_a_few_migrations_among_other_things(tmp_path: Path, samples: dict[str, Any]) -> None:
    """Three processes write one after the other, most of it no word of a migration, and each line is understood."""
    log = tmp_path / "vm.log"
    samples["write_few"](log, 300_000)
    assert _said_of(log) == ["3 migrations found; 0 lines not understood"]
    assert log.stat().st_size > 10 * sum(len(samples["Source"]().migration(number)) for number in range(3))


def test_a_few_migrations_in_the_journal_of_a_host(tmp_path: Path, samples: dict[str, Any]) -> None:
    """Three processes write to it, and most lines are of other programs."""
    log = tmp_path / "journal.txt"
    samples["write_journal"](log, 300_000)
    assert _said_of(log) == ["3 migrations found; 0 lines not understood"]
    assert log.read_bytes().count(b" cloud-hypervisor[") < 0.4 * log.read_bytes().count(b"\n")


def test_nothing_but_migrations(tmp_path: Path, samples: dict[str, Any]) -> None:
    """Each process has its migration."""
    samples["write_many"](tmp_path / "vm.log", 5)
    assert _said_of(tmp_path / "vm.log") == ["5 migrations found; 0 lines not understood"]


def test_long_dirty_tables(tmp_path: Path, samples: dict[str, Any]) -> None:
    """One migration has them, and they are most of its log."""
    log = tmp_path / "vm.log"
    samples["write_dirty_tables"](log, 300_000)
    assert _said_of(log) == ["1 migration found; 0 lines not understood"]
    assert log.read_bytes().count(b" -- GPA: ") > 1_000
