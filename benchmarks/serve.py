"""What a live service costs, without sockets: migrations a second on one core, memory, and growth over a day.

A fleet of equal VMs, whose lines come in as requests by way of the disk; the day is compressed: time passes as the
lines say, and one VM in ten lives on on its destination while the others are shut down there. Prints one line per
figure, each with its bar.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fleet import at_once, in_turn, lasts_ns
from fleet_lines import fleet_requests
from live_run import LiveRun
from sent_files import SentFile, protobuf_bodies
from trace_invariants import CORPUS

if TYPE_CHECKING:
    from otelmig.inputs.record import FileKey, LogRecord

_S = 10**9
_HOSTS = 40
_RECORDING = "v53.0-basicv"
_LIVES_ON = 10
"""One VM of so many is not shut down on its destination within the day."""
_SHUTDOWN = "API request event: VmmShutdown"
_PAGE = resource.getpagesize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=10_000, help="attempts under way")
    parser.add_argument("--late", type=int, default=8_000, help="lines that had been rotated before")
    parser.add_argument("--day", type=int, default=8_800, help="migrations of the day")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    _rate()
    _late(arguments.late)
    _open(arguments.open)
    _day(arguments.day)


def _memory_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def _rate() -> None:
    """300 migrations within 15 seconds, from requests in protobuf to traces that are safe."""
    moves = at_once(_HOSTS, 300, 15 * _S, lasts_ns(_RECORDING), Random(1))
    requests = fleet_requests(_RECORDING, moves)
    bodies = protobuf_bodies([records for _, records in requests])
    with tempfile.TemporaryDirectory() as folder, LiveRun(directory=Path(folder) / "state") as run:
        began = time.process_time()
        for (at_ns, _), body in zip(requests, bodies, strict=True):
            at_s = (at_ns - requests[0][0]) / _S
            if at_s >= run.now_s + 1.0:  # as the service does once a second
                run.wait(at_s - run.now_s)
            run.take_body(body, flush=False)
        run.flush()
        run.wait(100.0)
        took = time.process_time() - began
        right = sum(len({side.vmm.inputs[0].rpartition("/")[2] for side in each.migration.sides}) == 1
                    and len(each.migration.sides) > 1 for each in run.finished)  # fmt: skip
    print(
        f"300 within 15 s: {300 / took:.0f} migrations/s of CPU (bar 40), {len(bodies)} requests, {right} paired right"
    )


def _late(count: int) -> None:
    """Lines of attempts of one VM that had been rotated, in requests of 20 that come after the log's newest lines."""
    log = (CORPUS / "v53.0-retry" / "source.log").read_bytes().splitlines(keepends=True)
    for lines in (count // 4, count):
        rotated = SentFile(data=b"".join(islice(cycle(log), lines)), path="/var/log/ch/vm.log.1")
        newest = SentFile(data=(CORPUS / _RECORDING / "source.log").read_bytes(), path="/var/log/ch/vm.log")
        with tempfile.TemporaryDirectory() as folder, LiveRun(directory=Path(folder) / "state") as run:
            began = time.process_time()
            run.feed([*newest.batches(20), *rotated.batches(20)])
            took, read_again = time.process_time() - began, run.assembly.logs.counts.read_again
        print(f"{lines} lines that come late: {took:.2f} s, the log is read again {read_again} times")


def _open(count: int) -> None:
    """Sources in the middle of their migration, each in a log of its own."""
    moves = in_turn(_HOSTS, 1, 0, lasts_ns(_RECORDING), Random(1))
    lines = [record for _, records in fleet_requests(_RECORDING, moves) for record in records]
    begun = next(record for record in lines if "Sending migration" in record.text)
    source = [record for record in lines if record.host == begun.host]
    half = source[: source.index(begun) + 20]
    with tempfile.TemporaryDirectory() as folder, LiveRun(directory=Path(folder) / "state") as run:
        before_mb = _memory_mb()
        for number in range(count):
            file = half[0].file._replace(path=f"/var/log/ch/vm{number}.log")
            run.take([record._replace(file=file) for record in half])
        under_way = sum(1 for _ in run.assembly.sides)
        own_mb, all_mb = _memory_mb() - before_mb, _memory_mb()
        print(f"{under_way} attempts under way: {all_mb:.0f} MB in all (bar 300), {own_mb:.0f} MB of them their own")


def _lives_on(record: LogRecord, silent: set[FileKey]) -> bool:
    """Return whether a record is not written, because its VM is not shut down; ``silent`` are the logs of those."""
    number = int("".join(filter(str.isdecimal, record.file.path)))
    if number % _LIVES_ON == 0 and _SHUTDOWN in record.text:
        silent.add(record.file)
    return record.file in silent


def _day(count: int) -> None:
    """Migrations every few seconds; at the end of each quarter: memory, and what the state takes."""
    chance = Random(3)
    lasts = lasts_ns(_RECORDING)
    with tempfile.TemporaryDirectory() as folder, LiveRun(directory=Path(folder) / "state") as run:
        number = 0
        for quarter in range(1, 5):
            while number < count * quarter // 4:
                moves = at_once(_HOSTS, 20, 200 * _S, lasts, chance)
                requests = fleet_requests(_RECORDING, moves)
                begin_s = run.now_s + 1
                silent: set[FileKey] = set()
                for at_ns, records in requests:
                    run.wait(max(begin_s + (at_ns - requests[0][0]) / _S - run.now_s, 0.0))
                    run.take(
                        [
                            record._replace(
                                file=record.file._replace(path=record.file.path.replace("/vm", f"/{number}-vm")),
                                received_ns=(record.received_ns or 0) + int(begin_s * _S),
                            )
                            for record in records
                            if not _lives_on(record, silent)
                        ]
                    )
                number += 20
            run.wait(300.0)
            run.finished.clear()
            run.lines.clear()
            logs = len(run.state.logs())
            print(
                f"after {number} migrations, {run.now_s / 3600:.1f} h: {_memory_mb():.0f} MB of memory, "
                f"{run.state.bytes_used / 1e6:.1f} MB of state, {logs} logs known"
            )


if __name__ == "__main__":
    main()
