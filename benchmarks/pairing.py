"""What pairing costs, without reading: fleets of equal migrations, with and without what tells them apart.

Prints one line per figure: CPU time a migration, how many are paired right, how many wrong, how many sides stand alone.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fleet import Fleet, Move, at_once, in_turn, lasts_ns, outcome

from otelmig.hypervisors import hypervisors
from otelmig.pairing.pairing import pair_sides

_S = 10**9
_HOSTS = 40
_RECORDING = "v52.0-basic"
_BEHIND_PROXIES = "tcp:127.0.0.1:{port}"


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    dice = Random(1)
    lasts = lasts_ns(_RECORDING)
    ahead = [dice.randrange(-(10**7), 10**7) for _ in range(_HOSTS)]
    known = Fleet(recording=_RECORDING, ahead_ns=ahead)
    hidden = Fleet(recording=_RECORDING, ahead_ns=ahead, lists_addresses=False, url=_BEHIND_PROXIES)
    in_a_row = [Move(begin_ns=number * 60 * _S, source=1, destination=2) for number in range(3_000)]
    turns, heap = in_turn(_HOSTS, 300, _S // 5, lasts, dice), at_once(_HOSTS, 300, 15 * _S, lasts, dice)
    for text, fleet, moves in (
        ("3 000, one a minute, addresses known", known, in_a_row),
        ("3 000, one a minute, no address known", hidden, in_a_row),
        ("300 on 40 hosts, one port, 0.2 s apart, addresses known", known, turns),
        ("300 on 40 hosts, one port, 0.2 s apart, no address known", hidden, turns),
        ("300 on 40 hosts within 15 s, eight ports, addresses known", known, heap),
        ("300 on 40 hosts within 15 s, eight ports, no address known", hidden, heap),
        ("500, no times: all fit all", Fleet(recording=_RECORDING, timed=False), in_a_row[:500]),
    ):
        _measure(text, fleet, moves)


def _measure(text: str, fleet: Fleet, moves: list[Move]) -> None:
    by_system = {each.system: each for each in hypervisors()}
    times = []
    for _ in range(3):
        sides = fleet.sides(moves)
        began = time.process_time()
        right, wrong, alone = outcome(pair_sides(sides, by_system, ()).migrations)
        times.append(time.process_time() - began)
    each_ms = sorted(times)[1] / len(moves) * 1_000
    print(f"{text}: {each_ms:.2f} ms each, {sorted(times)[1]:.2f} s; {right} right, {wrong} wrong, {alone} alone")


if __name__ == "__main__":
    main()
