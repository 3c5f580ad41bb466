"""Many traces to deliver, a delivery as a test wants it, and what must hold after every one."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from trace_invariants import recorded

from otelmig.otlp.delivery import Delivery, Origin
from otelmig.otlp.payload import Payload
from otelmig.otlp.receiver.sender import Sender
from otelmig.otlp.receiver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from otlp_receiver import Receiver

    from otelmig.otlp.account import Account
    from otelmig.otlp.spool.spool import Bounds

__all__ = ["PROTOCOLS", "Clock", "check_delivered", "delivered", "delivery_to", "payloads"]

PROTOCOLS = ("http/protobuf", "http/json", "grpc")
_FEW_SPANS = "v48.0-refused"


def payloads(count: int, first: int = 1) -> list[Payload]:
    """Return traces that differ in nothing but their ids."""
    (trace,) = recorded(_FEW_SPANS)
    return [Payload.of_trace(replace(trace, trace_id=f"{number:032x}")) for number in range(first, first + count)]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


@contextmanager
def delivery_to(
    url: str,
    directory: Path | None,
    said: list[str],
    *,
    protocol: str = "http/protobuf",
    timeout_s: float = 2.0,
    clock: Clock | None = None,
    bounds: Bounds | None = None,
    resend: bool = False,
    **options: Any,
) -> Iterator[Delivery]:
    """A delivery whose pauses take no time."""
    time = clock or Clock()
    settings = Settings.of({}, url=url, protocol=protocol, timeout_s=timeout_s, **options)
    sender = Sender(settings, sleep=time.sleep, clock=time, jitter=random.Random(1).random)
    with Delivery(settings, sender, directory=directory, bounds=bounds, resend=resend, say=said.append) as delivery:
        yield delivery


def delivered(
    traces: Sequence[Payload],
    url: str,
    directory: Path | None,
    said: list[str] | None = None,
    **options: Any,
) -> Account:
    """Deliver as ``otelmig trace`` does; the account of it."""
    with delivery_to(url, directory, said if said is not None else [], **options) as delivery:
        delivery.preflight()
        delivery.deliver(traces, Origin.TRACED)
        delivery.deliver_leftovers()
    return delivery.account


def check_delivered(traces: Sequence[Payload], receiver: Receiver, accounts: Sequence[Account]) -> None:
    """Assert that all is there, each span with one content, and that no copy was made which no account speaks of."""
    contents = receiver.contents()
    spans = Counter(trace_id.hex() for trace_id, _ in contents)
    assert spans == {payload.ident[:32]: payload.spans for payload in traces}
    assert {len(versions) for versions in contents.values()} == {1}
    assert receiver.copies().total() <= sum(account.re_sent.traces for account in accounts)
