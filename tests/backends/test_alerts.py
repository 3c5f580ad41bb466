"""The shipped alerts, by Prometheus's own engine: what counts as over target, through restarts and gaps."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from backends.backend_stack import CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.backend

_RULE: Final = re.compile(r"(?m)^ {6}- (?:record|alert): (\S+)\n {8}expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)")
_HOUR: Final = "VmMigrationDowntimeOverTarget"
_MONTH: Final = "VmMigrationDowntimeObjectiveMissed"
_SERIES: Final = "traces_span_metrics_duration_seconds"


def _expressions() -> dict[str, str]:
    """What each alert asks, with the recorded names written out."""
    text = (CONFIGURATIONS / "downtime_slo.rules.yaml").read_text()
    found = {name: " ".join((folded or plain).split()) for name, folded, plain in _RULE.findall(text)}
    assert len(found) == text.count("expr:")
    for name in [name for name in found if ":" in name]:
        recorded = found.pop(name)
        found = {other: expression.replace(name, f"({recorded})") for other, expression in found.items()}
    return found


def _process(name: str, counted: str, within: str) -> str:
    """The downtimes that one process of a gateway counted, all and those within target."""
    labels = f'span_name="downtime", collector_instance_id="{name}"'
    return f'  {_SERIES}_count{{{labels}}} {counted}\n  {_SERIES}_bucket{{{labels}, le="0.3"}} {within}\n'


def _check(binaries: dict[str, Path], step: str, series: str, alert: str, wanted: Mapping[str, str | None]) -> None:
    """Assert what the alert's value is at each time; None where it does not fire."""
    script = f"load {step}\n{series}"
    for time, value in wanted.items():
        script += f"\neval instant at {time} {_expressions()[alert]}\n" + (f"  {{}} {value}\n" if value else "")
    done = subprocess.run(
        [binaries["promqltest"]], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_over_target_for_an_hour(binaries: dict[str, Path]) -> None:
    """Two more over target at 2 h, one of three at 4 h: told for an hour each, and not before or after."""
    series = _process("a", "40x119 43x119 46x119", "40x119 41x119 43x119")
    wanted = {"119m": None, "2h": "2", "178m": "2", "181m": None, "4h": "1", "301m": None}
    _check(binaries, "1m", series, _HOUR, wanted)


def test_first_migration_of_a_new_process(binaries: dict[str, Path]) -> None:
    """A series begins with its first count, which counts; the process before it neither hides it nor is told again."""
    series = _process("old", "7x99 stale", "3x99 stale") + _process("new", "_x119 1x200", "_x119 0x200")
    wanted = {"90m": None, "100m": None, "118m": None, "2h": "1", "178m": "1", "181m": None, "200m": None}
    _check(binaries, "1m", series, _HOUR, wanted)


@pytest.mark.parametrize("minutes", [6, 59, 61, 9000])
def test_gap_in_the_scrapes(minutes: int, binaries: dict[str, Path]) -> None:
    """Nothing is told because of it but what happened in it."""
    within = f"2x99 _x{minutes - 1} 2x200"
    quiet = _process("a", f"9x99 _x{minutes - 1} 9x200", within)
    busy = _process("b", f"9x99 _x{minutes - 1} 10x200", within)
    end = 100 + minutes
    times = {f"{end + after}m": None for after in (0, 10, 55, 58, 59, 60, 61, 64, 66, 120)}
    _check(binaries, "1m", quiet, _HOUR, times)
    _check(binaries, "1m", quiet + busy, _HOUR, {f"{end}m": "1", f"{end + 58}m": "1", f"{end + 61}m": None})


def test_share_of_a_month(binaries: dict[str, Path]) -> None:
    """Of the last 30 days alone, whatever the gateway counted before, also where a gap was when they began."""
    month = 30 * 24
    series = _process("a", f"500x99 _x19 500x99 600x{month} 600x200", f"100x99 _x19 100x99 198x{month} 198x200")
    _check(binaries, "1h", series, _MONTH, {f"{month + 110}h": "0.02", f"{month + 190}h": "0.02"})
    within = _process("a", f"500x219 600x{month}", f"100x219 199x{month}")
    _check(binaries, "1h", within, _MONTH, {f"{month + 190}h": None})
