"""kill -9 of `otelmig serve` and of the hosts' Collectors at any instants: Jaeger has each migration once, and whole.

``OTELMIG_FULL=1`` makes 200 rounds of it; ``-rP`` shows what happened in them.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
from replay import Player

from backends.jaeger_api import IN_MEMORY, Jaeger
from backends.live_hosts import HOSTS, migration_steps
from backends.live_traces import afterwards, documents, of_lines
from backends.otlp_spans import spans_by_id
from backends.retry import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from conftest import Otelmig
    from replay import Step

    from backends.backend_stack import BackendStack
    from backends.server import Server

pytestmark = pytest.mark.backend

_BATCHES, _ROUNDS = (10, 20) if os.environ.get("OTELMIG_FULL") else (1, 6)
"""Each batch on machines of its own."""
_RECORDINGS: Final = ("v53.0-twohosts", "v52.0-twohosts-connections", "v52.0-twohosts-drift")
"""Between two hosts, with wall clocks."""
_AT_ONCE: Final = 2
"""So many migrations begin in each round."""
_SPEED: Final = 20.0
_SERVICE: Final = "service"
_VICTIMS: Final = (
    *((_SERVICE,), ("alpha",), ("beta",)),
    *((_SERVICE, "alpha"), (_SERVICE, "beta"), (_SERVICE, "alpha", "beta")),
)
_LONGER_S: Final = 1.5
"""The last kill of a round is at most so long after its last line: traces are made and sent by then."""
_TRACES: Final = "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"
"""Within this time all migrations are, by the hosts' clocks."""


class _Servers:
    """The servers that are killed, and an account of it."""

    def __init__(self, stack: BackendStack, chance: random.Random) -> None:
        self._stack = stack
        self._chance = chance
        self.service: Final = stack.service(
            *("--otlp", stack.url(14317), "--protocol", "grpc"), *("--spool", stack.folder("/var/lib/spool"))
        )
        self._servers: Mapping[str, Server] = {_SERVICE: self.service} | {
            host: stack.host(host) for host in HOSTS.values()
        }
        self.kills: Final[Counter[str]] = Counter()
        self.records: Final[Counter[str]] = Counter()
        """What became of lines, by what the service said before each of its ends: at least so many."""

    def disturb(self, written: Path, longest_s: float, pool: ThreadPoolExecutor) -> None:
        """Kill one or several of them at one instant, and start them again."""
        victims = self._chance.choice(_VICTIMS)
        if _SERVICE in victims and self._chance.random() < 0.4:
            _await_growth(written, longest_s)  # a trace is on its way
            time.sleep(self._chance.uniform(0, 0.03))
        else:
            time.sleep(self._chance.uniform(0, longest_s))
        if _SERVICE in victims:
            self.take_account()
        for name in victims:
            self._servers[name].stop(signal.SIGKILL)
        self.kills.update(victims)
        for started in [pool.submit(self._servers[name].start) for name in victims]:
            started.result()

    def take_account(self) -> None:
        """Add what the present run of the service says of lines."""
        records = self._stack.status()["records"]
        self.records.update({key: records[key] for key in ("taken", "copies", "lost")})


def _await_growth(path: Path, longest_s: float) -> None:
    """Wait until a file grows, or this time is over."""

    def size() -> int:
        return path.stat().st_size if path.exists() else 0

    before, until_s = size(), time.monotonic() + longest_s
    while size() == before and time.monotonic() < until_s:
        time.sleep(0.001)


@pytest.mark.parametrize("batch", range(_BATCHES))
def test_killed_at_any_instant(batch: int, stack: BackendStack, otelmig: Otelmig) -> None:
    """In every round two migrations run, and one, two or all three servers are killed at one instant, or at two.

    The next round does not wait for the traces of the one before. In the end Jaeger has what `otelmig trace` makes of
    the finished files, nothing else, and no copy that was not counted.
    """
    chance = random.Random(batch)
    stack.jaeger(IN_MEMORY)
    servers = _Servers(stack, chance)
    written = stack.folder("/migrations.jsonl")
    with ThreadPoolExecutor() as pool:
        for number in range(_ROUNDS):
            steps = _round_steps(stack, number * _AT_ONCE, chance)
            playing = pool.submit(Player().play, steps)
            longest_s = steps[-1].at_ns / 10**9 + _LONGER_S
            for _ in range(chance.choice((1, 1, 2))):
                servers.disturb(written, longest_s, pool)
            playing.result()
    wanted = afterwards(stack, otelmig, poor=False)
    assert len(wanted) == _ROUNDS * _AT_ONCE
    eventually(lambda: _stored(stack), lambda stored: stored.keys() >= wanted.keys())
    servers.take_account()
    servers.service.stop()
    stored = _stored(stack)
    assert stored.keys() == wanted.keys(), "each migration once, and no trace of half a migration"
    for trace_id, groups in stored.items():
        assert of_lines(spans_by_id(groups)) == of_lines(wanted[trace_id])
    said = servers.service.log
    copies = sum(map(_copies, stored.values()))
    counted = sum(map(int, re.findall(r"(\d+) re-sent", said)))
    print(  # noqa: T201 - shown with -rP
        f"{_ROUNDS} rounds, {len(wanted)} migrations; kills: {dict(servers.kills)}; lines: {dict(servers.records)}; "
        f"traces that came again: {copies}, counted: {counted}"
    )
    assert copies <= counted, said
    assert servers.records["lost"] == 0
    assert sorted(_trace_id(each["resourceSpans"][0]) for each in documents(written)) == sorted(wanted)


def _round_steps(stack: BackendStack, first: int, chance: random.Random) -> Sequence[Step]:
    """What the hypervisors write in a round: several migrations of different VMs at once."""
    recordings = chance.sample(_RECORDINGS, _AT_ONCE)
    steps = [
        step
        for number, recording in enumerate(recordings, start=first + 1)
        for step in migration_steps(stack, recording, _SPEED, number)
    ]
    return sorted(steps, key=lambda step: step.at_ns)


def _stored(stack: BackendStack) -> dict[str, list[dict[str, Any]]]:
    """What Jaeger has of all traces, by their ids: with every copy, and of whichever side there are spans."""
    jaeger = Jaeger(stack.url(16686))
    stored: dict[str, list[dict[str, Any]]] = {}
    for role in HOSTS:
        traces: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for group in jaeger.raw(f"migration-{role}", *_TRACES):
            traces[_trace_id(group)].append(group)
        stored |= traces  # a search for either side gives whole traces
    return stored


def _trace_id(resource_spans: Mapping[str, Any]) -> str:
    return str(resource_spans["scopeSpans"][0]["spans"][0]["traceId"])


def _copies(resource_spans: Sequence[Mapping[str, Any]]) -> int:
    """How often a trace came again; a request has all of it, so each of its spans did."""
    scopes = [scope for group in resource_spans for scope in group["scopeSpans"]]
    counts = set(Counter(span["spanId"] for scope in scopes for span in scope["spans"]).values())
    assert len(counts) == 1
    return counts.pop() - 1
