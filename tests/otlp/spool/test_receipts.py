"""Receipts: bounded in number and age, and not forgotten before what they speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_cases import payloads
from open_spool import HERE, open_spool

from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_delivered_long_ago_is_not_evicted(tmp_path: Path) -> None:
    """A receipt that is about to be forgotten still says that nothing was lost, and that nothing need be sent."""
    old, new = payloads(2)
    (tmp_path / "kept").mkdir()
    with open_spool(tmp_path / "kept") as spool:
        spool.store([old, new], HERE, lines=True, sending=True)
        (segment,) = (tmp_path / "kept").glob("segment-*")
        content = segment.read_bytes()
        spool.acknowledge([old], HERE)
    for path in (tmp_path / "kept").glob("segment-*"):
        path.unlink()
    segment.write_bytes(content)
    later = segment.stat().st_mtime + 1000
    gone: list[str] = []
    bounds = Bounds(age_s=100)
    spool = Spool(tmp_path / "kept", bounds, on_evicted=lambda entry, _: gone.append(entry.ident), now_s=lambda: later)
    spool.tidy()
    spool.close()
    assert gone == [new.ident], "it is too old, and was never delivered"
    with open_spool(tmp_path / "kept") as spool:
        assert spool.waiting() == []


def test_receipts_are_bounded(tmp_path: Path) -> None:
    """Of very many receipts the newer ones stay."""
    traces = payloads(2000)
    with open_spool(tmp_path, Bounds(size=1 << 20)) as spool:
        for at in range(0, len(traces), 100):
            spool.acknowledge(traces[at : at + 100], HERE)
        assert (tmp_path / "receipts").stat().st_size > 1 << 17
        spool.tidy()
        assert (tmp_path / "receipts").stat().st_size <= 1 << 17
        assert spool.delivered(traces[-1].ident, HERE)
        assert not spool.delivered(traces[0].ident, HERE)
        spool.acknowledge(traces[:1], HERE)
    with open_spool(tmp_path) as spool:
        assert spool.delivered(traces[-1].ident, HERE)
        assert spool.delivered(traces[0].ident, HERE)


def test_expired_receipt_and_a_receiver_that_is_down(tmp_path: Path) -> None:
    """A trace whose receipt is forgotten is sent once more, and if that fails, it waits all the same."""
    (trace,) = payloads(1)
    now = [1_000_000.0]

    def opened() -> Spool:
        return Spool(tmp_path, Bounds(age_s=100), now_s=lambda: now[0])

    spool = opened()
    spool.acknowledge([trace, *payloads(3, 2)], "http://here/v1/traces")
    now[0] += 90
    spool.acknowledge(payloads(9, 20), "http://here/v1/traces")
    spool.close()
    now[0] += 20
    spool = opened()
    spool.tidy()
    assert spool.delivered(trace.ident, "http://here/v1/traces") is None
    spool.store([trace], "http://here/v1/traces", lines=True, sending=False)
    spool.close()
    spool = opened()
    assert [(entry.ident, entry.uncertain) for entry in spool.waiting()] == [(trace.ident, True)]
    spool.close()
