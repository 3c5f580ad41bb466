"""How soon a migration's trace is there: the last line written on two hosts -> its spans at a receiver.

Recorded migrations are played on two "hosts" of this machine, each with a real Collector and the shipped live.yaml
(polls every 500 ms), one after the other at random moments; `otelmig serve` sends their traces to a receiver in this
process. Prints the median, the 95th percentile and the longest of the delays (bar: a median of a second), straight from
the hosts to the service, and through the gateway of live_gateway.yaml. Needs the binaries of tests/backends/build.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from backends.backend_stack import BackendStack
from backends.build import COLLECTOR
from host_clock import HostClock
from otlp_receiver import http_receiver
from replay import Playback, Player, steps_of
from trace_invariants import CORPUS

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORDING: Final = CORPUS / "v53.0-twohosts"
_HOSTS: Final = {"source": "alpha", "destination": "beta"}
_LAST_WORDS: Final = (b"migration-finished", b"migration-receive-finished")
_SPEED: Final = 10.0
_APART_NS: Final = 60 * 10**9
_BAR_S: Final = 1.0
_PATIENCE_S: Final = 60.0
_STEP_S: Final = 0.002


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How soon a trace is there: prints each figure with its bar.")
    parser.add_argument("--migrations", type=int, default=20, metavar="N", help="played for each figure (default: 20)")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    for name, gateway in (("hosts -> service", False), ("hosts -> gateway -> service", True)):
        delays = sorted(_delays(given.migrations, gateway=gateway))
        p95 = quantiles(delays, n=20)[-1]
        bar = "" if gateway else f" (bar {_BAR_S} s: {'met' if median(delays) <= _BAR_S else 'MISSED'})"
        print(
            f"{name}: p50 {median(delays):.2f} s{bar}, p95 {p95:.2f} s, longest {delays[-1]:.2f} s; {len(delays)} times"
        )


def _delays(count: int, *, gateway: bool) -> Iterator[float]:
    """Yield the seconds from the last line of each migration to its spans."""
    with tempfile.TemporaryDirectory() as folder, http_receiver() as receiver:
        stack = BackendStack(Path(folder), {"otelcol": COLLECTOR.binary()})
        try:
            stack.service("--otlp", receiver.url, "--no-spool")
            if gateway:
                stack.collector(stack.place("live_gateway.yaml"), health=23143)
            for host in _HOSTS.values():
                stack.host(host, service=4329 if gateway else 4319)
            for number in range(count):
                time.sleep(random.random())
                before = len(receiver.spans)
                ended = _play(stack, number)
                deadline = ended + _PATIENCE_S
                while len(receiver.spans) == before and time.monotonic() < deadline:
                    time.sleep(_STEP_S)
                yield time.monotonic() - ended
        finally:
            stack.close()


def _play(stack: BackendStack, number: int) -> float:
    """Play a migration of a VM of its own; return when its last line was written."""
    folders = {role: stack.folder(f"/var/log/{host}") for role, host in _HOSTS.items()}
    playback = Playback(
        begin_ns=time.time_ns() + number * _APART_NS,  # a playback is faster than its timestamps
        speed=_SPEED,
        clocks={"destination": HostClock(ahead_ns=1_500_000_000)},
        names=dict.fromkeys(_HOSTS, f"vm-{number}"),
    )
    steps = steps_of(_RECORDING, folders, playback)
    (path, record) = [(step.path, step.record) for step in steps if any(word in step.data for word in _LAST_WORDS)][-1]
    # what the processes write later is of no migration
    last = max(index for index, step in enumerate(steps) if (step.path, step.record) == (path, record))
    player = Player()
    player.play(steps[: last + 1])
    player.close()
    return time.monotonic()


if __name__ == "__main__":
    if not COLLECTOR.binary().exists():
        raise SystemExit("no Collector: run tests/backends/build.py")
    main()
