"""Entries: what the spool knows of a line that an archive keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_cases import delivery_to, payloads
from open_spool import HERE, open_spool
from otlp_receiver import http_receiver

from otelmig.otlp.account import Reason
from otelmig.otlp.delivery import Origin

if TYPE_CHECKING:
    from pathlib import Path


def test_archive_in_flight(tmp_path: Path) -> None:
    """Of a line out of an archive the spool knows only that it was being sent: enough to count the second copy."""
    traces = payloads(3)
    with http_receiver() as receiver:
        place = f"{receiver.url}/v1/traces"
        with open_spool(tmp_path) as spool:
            spool.store(traces[:2], place, lines=False, sending=True)
            spool.fail(traces[1:2], place, Reason.UNREACHABLE, uncertain=[False])
            assert spool.waiting() == []
        with delivery_to(receiver.url, tmp_path, []) as delivery:
            delivery.deliver(traces, Origin.ARCHIVE)
        assert delivery.account.words() == "3 exported, 1 re-sent"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["format", "lock", "receipts"]


def test_line_that_was_delivered_does_not_come_back(tmp_path: Path) -> None:
    """Sent again out of an archive, a payload does not wait because of a line that is still in an old segment."""
    stuck, other, trace = payloads(3)
    with open_spool(tmp_path) as spool:
        spool.store([stuck, other, trace], HERE, lines=True, sending=True)
        spool.acknowledge([other, trace], HERE)
        spool.store([trace], HERE, lines=False, sending=True)
        spool.fail([trace], HERE, Reason.UNREACHABLE, uncertain=[True])
    assert trace.line in (tmp_path / "segment-00000001").read_bytes()
    with open_spool(tmp_path) as spool:
        assert [entry.ident for entry in spool.waiting()] == [stuck.ident]
        entry = spool.entry(trace.ident, HERE)
        assert entry is not None
        assert entry.uncertain
        assert (spool.delivered(other.ident, HERE), spool.delivered(trace.ident, HERE)) == (other.digest, None)
