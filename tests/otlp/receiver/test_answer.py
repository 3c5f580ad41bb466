"""A receiver's proper answer: it proves what was accepted, and names what was not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery_cases import PROTOCOLS, check_delivered, delivered, delivery_to, payloads
from otlp_receiver import Reply, json_rejection, receiver_of, rejection

from otelmig.otlp.account import Reason

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rejected_spans(protocol: str, tmp_path: Path) -> None:
    """A partial success is a failure: not sent again by itself, kept, and said with the receiver's words."""
    traces = payloads(2)
    said: list[str] = []
    with receiver_of(protocol)() as receiver:
        receiver.replies = [Reply(body=json_rejection(3) if protocol == "http/json" else rejection(3))]
        account = delivered(traces, receiver.url, tmp_path, said, protocol=protocol)
        assert account.reasons[Reason.REJECTED_SPANS].traces == account.spooled.traces > 0
        assert "rejected 3 spans: too old" in said[0]
        sent = len(receiver.requests)
        assert delivered([], receiver.url, tmp_path, protocol=protocol).words() == "0 exported"
        assert len(receiver.requests) == sent
        with delivery_to(receiver.url, tmp_path, said, protocol=protocol) as explicit:
            explicit.deliver_spool()
        assert explicit.account.exported.traces == explicit.account.re_sent.traces == account.spooled.traces
        check_delivered(traces, receiver, [account, explicit.account])
