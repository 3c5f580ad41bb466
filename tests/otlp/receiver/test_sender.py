"""Retries to one receiver: how often, how long, and when it is not asked at all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from delivery_cases import Clock, check_delivered, delivery_to, payloads
from otlp_receiver import free_port, http_receiver

from otelmig.otlp.delivery import PER_BATCH, Origin
from otelmig.otlp.receiver.sender import Sender
from otelmig.otlp.receiver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelmig.otlp.payload import Payload


def test_dead_receiver_is_asked_now_and_then(tmp_path: Path) -> None:
    """It is not tried for every batch; once some seconds have passed it is asked without spans, and goes on."""
    port, clock = free_port(), Clock()
    traces = payloads(6 * PER_BATCH)
    with delivery_to(f"http://127.0.0.1:{port}", tmp_path, [], clock=clock) as delivery:

        def slowly(batch: list[Payload]) -> Iterator[Payload]:
            for payload in batch:
                clock.now += 0.1
                yield payload

        delivery.deliver(slowly(traces[: 3 * PER_BATCH]), Origin.TRACED)
        assert delivery.account.spooled.traces == 3 * PER_BATCH
        assert sum(clock.pauses) <= 2.0, "patience once, not for every batch"
        with http_receiver(port) as receiver:
            delivery.deliver(slowly(traces[3 * PER_BATCH :]), Origin.TRACED)
            assert receiver.requests
            delivery.deliver_leftovers()
            assert delivery.account.words() == f"{6 * PER_BATCH} exported"
            check_delivered(traces, receiver, [])


def test_pauses_grow_and_differ() -> None:
    """Each pause is about twice the one before, drawn from the random source, and all of them fit into the timeout."""
    settings = Settings.of({}, url=f"http://127.0.0.1:{free_port()}", timeout_s=10)
    pauses = []
    for seed in (1, 1, 2):
        clock = Clock()
        jitter = random.Random(seed).random
        sender = Sender(settings, sleep=clock.sleep, clock=clock, jitter=jitter)
        assert sender.send(b"").answer.failure is not None
        sender.close()
        assert sum(clock.pauses) < 10
        assert all(0.125 <= pause / 2**number < 0.375 for number, pause in enumerate(clock.pauses))
        pauses.append(clock.pauses)
    assert pauses[0] == pauses[1] != pauses[2]
    assert len(pauses[0]) >= 4
