"""Equal VMs of many hosts, migrated one after the other and at once: each becomes one trace, with its own partner.

Half as many of them as `make fuzz` takes.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from fleet import at_once, in_turn, lasts_ns
from fleet_lines import fleet_requests
from live_run import LiveRun
from sample import FULL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fleet import Move

    from otelmig.inputs.record import LogRecord

_S = 10**9
_HOSTS = 40
_COUNT = 60 if FULL else 30
_RECORDING = "v53.0-postcopy"


def _moves(*, turns: bool, count: int) -> list[Move]:
    random = Random(7)
    lasts = lasts_ns(_RECORDING)
    return in_turn(_HOSTS, count, _S // 5, lasts, random) if turns else at_once(_HOSTS, count, 15 * _S, lasts, random)


def _outcome(run: LiveRun) -> tuple[int, int, int]:
    """How many are paired right, paired wrong, and how many sides stand alone."""
    right = wrong = alone = 0
    for finished in run.finished:
        sides = finished.migration.sides
        logs = {side.vmm.inputs[0].rpartition("/")[2] for side in sides}
        right += len(sides) > 1 and len(logs) == 1
        wrong += len(logs) > 1
        alone += len(sides) == 1
    return right, wrong, alone


def _play(run: LiveRun, requests: Sequence[tuple[int, list[LogRecord]]]) -> None:
    begin_ns = requests[0][0]
    for at_ns, records in requests:
        run.wait(max((at_ns - begin_ns) / _S - run.now_s, 0.0))
        run.take(records)
    run.wait(100.0)


@pytest.mark.parametrize("turns", [True, False])
def test_addresses_tell_equal_vms_apart(*, turns: bool, tmp_path: Path) -> None:
    """Each log is called alike on both of its hosts, and begins with the same lines on all."""
    with LiveRun(directory=tmp_path / "state") as run:
        _play(run, fleet_requests(_RECORDING, _moves(turns=turns, count=_COUNT)))
        assert _outcome(run) == (_COUNT, 0, 0)
        assert len({finished.trace.trace_id for finished in run.finished}) == _COUNT
        assert all("/" in str(span.attributes["otelmig.evidence.start"]) for span in run.finished[0].trace.spans[:1])


def test_nothing_is_guessed_behind_proxies(tmp_path: Path) -> None:
    """Where every source connects to loopback and no address is known, none is paired wrong."""
    with LiveRun(directory=tmp_path / "state") as run:
        moves = _moves(turns=False, count=_COUNT * 2 // 3)
        _play(run, fleet_requests(_RECORDING, moves, lists_addresses=False, nat=True))
        right, wrong, alone = _outcome(run)
        assert wrong == 0
        assert 2 * right + alone == 2 * len(moves)
