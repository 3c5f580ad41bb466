"""Segments: whole records are read from files that are torn, damaged, copied or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_cases import payloads
from open_spool import HERE, open_spool

from otelmig.otlp.account import Reason

if TYPE_CHECKING:
    from pathlib import Path


def test_torn_at_every_byte(tmp_path: Path) -> None:
    """A file that ends anywhere: whole records count, the rest is not read, and what comes later is not harmed."""
    one, two, three = payloads(3)
    with open_spool(tmp_path) as spool:
        spool.store([one, two], HERE, lines=True, sending=True)
        spool.acknowledge([one], HERE)
        segment, receipts = tmp_path / "segment-00000001", tmp_path / "receipts"
        whole, acknowledged = segment.read_bytes(), receipts.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4
    near = {end + step for end in ends for step in (-2, -1, 0, 1)} | set(range(0, len(whole), 997))
    for cut in sorted(cut for cut in near if 0 <= cut <= len(whole)):
        segment.write_bytes(whole[:cut])
        receipts.unlink(missing_ok=True)
        with open_spool(tmp_path) as spool:
            idents = [entry.ident for entry in spool.waiting()]
            assert idents == [payload.ident for payload, end in zip((one, two), ends, strict=False) if cut >= end]
            assert [spool.line(entry) for entry in spool.waiting()] == [one.line, two.line][: len(idents)]
            spool.store([three], HERE, lines=True, sending=False)
        with open_spool(tmp_path) as spool:
            assert [entry.ident for entry in spool.waiting()] == [*idents, three.ident]
            spool.acknowledge([three], HERE)
        for path in tmp_path.glob("segment-*"):
            path.unlink()
    for cut in range(len(acknowledged) - 1):
        receipts.write_bytes(acknowledged[:cut])
        segment.write_bytes(whole)
        with open_spool(tmp_path) as spool:
            assert len(spool.waiting()) == 2
            spool.acknowledge([two], HERE)
        with open_spool(tmp_path) as spool:
            assert spool.delivered(two.ident, HERE) == two.digest
            assert [entry.ident for entry in spool.waiting()] == [one.ident]
        for path in tmp_path.glob("segment-*"):
            path.unlink()


def test_any_byte_of_a_head_may_be_damaged(tmp_path: Path) -> None:
    """A trace whose record is damaged is counted once, and gone; the other one stays what it is."""
    one, two = payloads(2)
    with open_spool(tmp_path) as spool:
        spool.store([one, two], HERE, lines=True, sending=False)
    (segment,) = tmp_path.glob("segment-*")
    whole = segment.read_bytes()
    for at in range(whole.index(b" {")):
        segment.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        evicted: list[tuple[str, Reason]] = []
        with open_spool(tmp_path, evicted=evicted) as spool:
            assert (spool.lost, [entry.ident for entry in spool.waiting()]) == (1, [two.ident])
            spool.tidy()
            spool.tidy()
            assert evicted == [("", Reason.BROKEN_LINE)]
        with open_spool(tmp_path) as spool:
            assert (spool.lost, [spool.line(entry) for entry in spool.waiting()]) == (0, [two.line])
        for path in tmp_path.glob("segment-*"):
            path.unlink()


def test_names_of_others_are_left_alone(tmp_path: Path) -> None:
    """A copy that somebody made of a segment is neither read nor removed, and gives no segment its number."""
    with open_spool(tmp_path) as spool:
        spool.store(payloads(1), HERE, lines=True, sending=False)
    copy = tmp_path / "segment-00000001.bak"
    copy.write_bytes((tmp_path / "segment-00000001").read_bytes())
    with open_spool(tmp_path) as spool:
        spool.store(payloads(1, 2), HERE, lines=True, sending=False)
        assert len(spool.waiting()) == 2
        spool.acknowledge(payloads(2), HERE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["format", "lock", "receipts", copy.name]


def test_segment_that_is_removed(tmp_path: Path) -> None:
    """Also of what earlier runs left it is known whether it is there."""
    with open_spool(tmp_path) as spool:
        spool.store(payloads(1), HERE, lines=True, sending=False)
    with open_spool(tmp_path) as spool:
        assert spool.exists
        (tmp_path / "segment-00000001").unlink()
        assert not spool.exists
