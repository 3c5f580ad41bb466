"""The spool on real files and file systems: what is in it stays, whoever writes, crashes, or fills the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery_cases import payloads
from open_spool import HERE, THERE, open_spool

from otelmig.errors import SpoolFullError
from otelmig.otlp.account import Reason
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Lines, whom they are for, whether they were sent and why they failed: all of it survives the process."""
    one, two, three, four = payloads(4)
    with open_spool(tmp_path / "a" / "spool") as spool:
        spool.store([one, two, three], HERE, lines=True, sending=False)
        spool.store([two, three, four], HERE, lines=True, sending=True)
        spool.store([one], THERE, lines=True, sending=False)
        spool.fail([three], HERE, Reason.TIMEOUT, uncertain=[False])
        spool.acknowledge([four], HERE)
    with open_spool(tmp_path / "a" / "spool") as spool:
        waiting = spool.waiting(HERE)
        assert [Payload.of_line(spool.line(entry)) for entry in waiting] == [one, two, three]
        assert [(entry.uncertain, entry.reason) for entry in waiting] == [(False, ""), (True, ""), (False, "timeout")]
        assert [entry.ident for entry in spool.waiting(THERE)] == [one.ident]
        assert spool.delivered(four.ident, HERE) == four.digest
        assert spool.delivered(four.ident, THERE) is None
        spool.drop(spool.waiting(THERE))
        spool.acknowledge([one, two, three], HERE)
    left = sorted(path.name for path in (tmp_path / "a" / "spool").iterdir())
    assert left == ["format", "lock", "receipts"], "what was delivered is not left behind"
    with open_spool(tmp_path / "a" / "spool") as spool:
        assert spool.waiting() == []
    assert (tmp_path / "a" / "spool").stat().st_mode & 0o077 == 0


def test_size_is_bounded(tmp_path: Path) -> None:
    """The oldest go first, each counted; the directory stays within the bound; the newest is there."""
    bounds = Bounds(size=1 << 20)
    evicted: list[tuple[str, Reason]] = []
    traces = payloads(400)
    assert sum(len(payload.line) for payload in traces) > 1.2 * (1 << 20)
    with open_spool(tmp_path, bounds, evicted) as spool:
        for at in range(0, len(traces), 20):
            spool.store(traces[at : at + 20], HERE, lines=True, sending=False)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bounds.size
        left = [entry.ident for entry in spool.waiting()]
    assert {reason for _, reason in evicted} == {Reason.EVICTED_SIZE}
    assert [ident for ident, _ in evicted] + left == [payload.ident for payload in traces]
    assert len(left) > 100
    with open_spool(tmp_path, bounds) as spool:
        assert [entry.ident for entry in spool.waiting()] == left
        assert Payload.of_line(spool.line(spool.waiting()[-1])) == traces[-1]


def test_one_stuck_trace_does_not_keep_the_delivered_ones(tmp_path: Path) -> None:
    """What was delivered makes room, also behind a trace that nobody takes."""
    bounds = Bounds(size=1 << 20)
    evicted: list[tuple[str, Reason]] = []
    traces = payloads(400)
    with open_spool(tmp_path, bounds, evicted) as spool:
        spool.store(traces[:1], HERE, lines=True, sending=True)
        spool.fail(traces[:1], HERE, Reason.REJECTED_SPANS, uncertain=[True])
        for at in range(1, len(traces), 19):
            spool.store(traces[at : at + 19], HERE, lines=True, sending=True)
            spool.acknowledge(traces[at : at + 19], HERE)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bounds.size
    assert evicted == []
    with open_spool(tmp_path, bounds) as spool:
        (entry,) = spool.waiting()
        assert (entry.ident, entry.uncertain, entry.reason) == (traces[0].ident, True, "rejected_spans")
        assert spool.line(entry) == traces[0].line
        assert all(spool.delivered(payload.ident, HERE) for payload in traces[1:])


def test_age_is_bounded(tmp_path: Path) -> None:
    """What is too old goes, counted; its receipts are forgotten, too."""
    old, new = payloads(2)
    now = [1_000_000.0]
    evicted: list[tuple[str, Reason]] = []
    bounds = Bounds(age_s=100)

    def opened() -> Spool:
        return Spool(
            tmp_path, bounds, on_evicted=lambda entry, why: evicted.append((entry.ident, why)), now_s=lambda: now[0]
        )

    spool = opened()
    spool.store([old], HERE, lines=True, sending=False)
    spool.acknowledge([old], THERE)
    now[0] += 60
    spool.store([new], HERE, lines=True, sending=False)
    spool.close()
    now[0] += 60
    spool = opened()
    spool.tidy()
    assert [entry.ident for entry in spool.waiting()] == [new.ident]
    assert evicted == [(old.ident, Reason.EVICTED_AGE)]
    assert spool.delivered(old.ident, THERE) is None
    spool.close()
    spool = opened()
    spool.tidy()
    assert [entry.ident for entry in spool.waiting()] == [new.ident]
    assert len(evicted) == 1
    spool.close()


def test_spool_that_fills_up_by_its_own_bound(tmp_path: Path) -> None:
    """One trace that is larger than the whole spool may be is not kept; it is said."""
    with (
        open_spool(tmp_path, Bounds(size=1000)) as spool,
        pytest.raises(SpoolFullError, match="may not grow beyond 1000"),
    ):
        spool.store(payloads(1), HERE, lines=True, sending=False)
