"""Simulated migrations whose logs lost lines: the true offset and the true blackout lie in what is still claimed."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final

import pytest
from simulator import Setup, Simulated, simulate

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace

_RUNS: Final = 400 if os.environ.get("OTELMIG_FULL") else 15
_SHARES: Final = (0.02, 0.1, 0.3)
_SETUPS: Final = {
    "v48": Setup(release=48, verbosity=1, copying_s=5),
    "v51": Setup(release=51, verbosity=3, copying_s=5),
    "v52": Setup(release=52, verbosity=3, copying_s=5, wall=False),
    "v53": Setup(release=53, verbosity=2, copying_s=5),
    "v53-slewed": Setup(release=53, verbosity=2, copying_s=30, slew_ppm=400, uptime_s=3600, wall=False),
}


def _lost(log: bytes, share: float, chance: random.Random) -> bytes:
    return b"".join(line for line in log.splitlines(keepends=True) if chance.random() >= share)


def _one_of_memory(log: bytes, chance: random.Random) -> bytes:
    """The log without one of its ``Memory`` lines."""
    lines = log.splitlines(keepends=True)
    of_memory = [at for at, line in enumerate(lines) if b"Memory" in line and b"ommand" in line]
    if of_memory:
        del lines[chance.choice(of_memory)]
    return b"".join(lines)


def _check(run: Simulated, trace: Trace, case: str) -> int:
    """Hold what is claimed against the truth; return how many claims there were."""
    received, root = trace.first("receive"), trace.root
    truths = {"vm.migration.blackout": (root, run.blackout_ns)}
    if received is not None and len(trace.resources) > 1:  # of one side alone nothing is said of the other's clock
        assert received.attributes["otelmig.clock.status"] != "conflict", case
        truths["otelmig.clock.offset"] = received, run.offset_ns
    claims = 0
    for name, (span, true_ns) in truths.items():
        for end, sign in (("min", 1), ("max", -1)):
            bound = span.attributes.get(f"{name}.{end}")
            if isinstance(bound, float):
                claims += 1
                assert sign * bound <= sign * true_ns / 1e9 + 1e-6, f"{case}: {name}.{end}"
    return claims


@pytest.mark.parametrize("setup", _SETUPS.values(), ids=_SETUPS)
def test_lost_lines_make_no_claim_false(setup: Setup, tmp_path: Path) -> None:
    """Lines of both logs are lost by chance."""
    claims = 0
    for seed in range(_RUNS):
        run = simulate(setup, seed)
        for share in _SHARES:
            chance = random.Random(f"{seed} {share}")
            (tmp_path / "source.log").write_bytes(_lost(run.source_log, share, chance))
            (tmp_path / "destination.log").write_bytes(_lost(run.destination_log, share, chance))
            traces = list(trace_migrations([tmp_path / "source.log", tmp_path / "destination.log"]))
            claims += sum(_check(run, trace, f"seed {seed}, {share}") for trace in traces if len(traces) == 1)
    assert claims > _RUNS, "claims are still made"


@pytest.mark.parametrize("setup", _SETUPS.values(), ids=_SETUPS)
def test_a_lost_receipt_of_memory_shifts_no_other(setup: Setup, tmp_path: Path) -> None:
    """The destination does not number its iterations: one line less is no other number."""
    for seed in range(_RUNS):
        run = simulate(setup, seed)
        chance = random.Random(seed)
        (tmp_path / "source.log").write_bytes(run.source_log)
        (tmp_path / "destination.log").write_bytes(_one_of_memory(run.destination_log, chance))
        (trace,) = trace_migrations([tmp_path / "source.log", tmp_path / "destination.log"])
        assert _check(run, trace, f"seed {seed}") >= 2, seed
