"""What the proof of a clock offset costs: 20 000 constraints, consistent ones and ones that a step contradicts.

Prints one line per figure, with the bar it is held against (0.2 s; twice as many in less than 2.6 times as long).
"""

from __future__ import annotations

import os
import platform
import random
import time
from typing import TYPE_CHECKING

from otelmig.clock.bounds import clock_bounds
from otelmig.clock.conflict import SettableClock
from otelmig.clock.drift import DEFAULT_DRIFT_PPB
from otelmig.clock.proof import prove
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Constraint
from otelmig.migration.observation import Observation
from otelmig.migration.stamp import ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNS = 5
_LINE = Observation(
    kind=Kind.CONNECTING,
    stamp=Stamp(ns=0, error_ns=0, text="0s", domain=ClockDomain.REALTIME),
    where=Where(file="x.log", line=1),
    thread="vmm",
    text="",
)


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    some, twice = _exchanges(20_000), _exchanges(40_000)
    took = _seconds(lambda: clock_bounds(some, drift_ppb=DEFAULT_DRIFT_PPB))
    longer = _seconds(lambda: clock_bounds(twice, drift_ppb=DEFAULT_DRIFT_PPB))
    print(f"bounds of 20 000 constraints: {took:.3f} s (bar 0.2 s); of 40 000: {longer / took:.2f} times (bar 2.6)")
    by_time = SettableClock(on_source=True, order=lambda each: each.at_ns)
    stepped = _exchanges(20_000, step_ns=50_000_000)
    took = _seconds(lambda: prove(stepped, drift_ppb=DEFAULT_DRIFT_PPB, settable=[by_time]))
    print(f"proof of 20 000 with one step inside, located: {took:.2f} s")


def _exchanges(count: int, *, step_ns: int = 0) -> list[Constraint]:
    """Messages both ways over half an hour, each of which took some time; the offset drifts by 20 ppm."""
    dice = random.Random(count)
    found = []
    for index in range(count):
        at = index * 1_800_000_000_000 // count
        offset = at // 50_000 + (step_ns if index > count // 2 else 0)
        upper = bool(index % 2)
        bound = offset + int(dice.expovariate(1 / 50_000)) * (1 if upper else -1)
        found.append(Constraint(at_ns=at, bound_ns=bound, upper=upper, rule="", first=_LINE, second=_LINE))
    return found


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_RUNS):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


if __name__ == "__main__":
    main()
