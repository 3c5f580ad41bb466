"""What feeding costs: a migration's lines, one by one, alone and among ten thousand streams that are idle.

Prints one line per figure, with the bar it is held against; CPU times are the fastest of seven runs:

- a stream that begins;
- a migration, filtered by nothing, alone and among 10 000 idle streams (bar: 1.2 times).
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.log_options import LogOptions
from otelmig.inputs.opening import open_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors import Reader
    from otelmig.inputs import InputLog, Line, Stream

_RECORDING = Path(__file__).parent.parent / "tests" / "corpus" / "v53.0-basicv"
_RUNS = 7
_IDLE = 10_000
_BAR = 1.2
_OPTIONS = LogOptions()


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}; fastest of {_RUNS}")
    (hypervisor,) = hypervisors()
    logs = open_inputs(path for path in _RECORDING.iterdir() if path.name.endswith((".log", ".events.json")))[0]
    alone, among = hypervisor.reader(_OPTIONS), hypervisor.reader(_OPTIONS)
    opened_s = 0.0
    for number in range(_IDLE):
        first = _lines(logs[number % len(logs)], f"idle-{number}")[:3]
        begin = time.process_time()
        for line in first:
            among.take(line)
        opened_s += time.process_time() - begin
    print(f"{_IDLE} streams, opened: {opened_s / _IDLE * 1e6:.0f} us a stream (no bar)")
    # in turns, so that whatever else the machine does falls on both
    times: dict[int, list[float]] = {0: [], 1: []}
    lines = 0
    for run in range(_RUNS):
        for which, reader in enumerate((alone, among)):
            fed = [_lines(log, f"run-{run}-{log.name}") for log in logs]
            lines = sum(map(len, fed))
            times[which].append(_cpu_s(reader, fed))
    ratio = min(times[1]) / min(times[0])
    met = "met" if ratio <= _BAR else "MISSED"
    print(f"a migration alone: {min(times[0]) * 1e3:.2f} ms, {min(times[0]) / lines * 1e6:.1f} us a line")
    print(f"among {_IDLE} idle streams: {min(times[1]) * 1e3:.2f} ms, {ratio:.2f} times (bar {_BAR} times: {met})")


def _lines(log: InputLog, key: str) -> Sequence[Line]:
    """All lines of a log, as a stream of its own that grows."""
    head = replace(log.stream.head, search=None)
    stream: Stream = replace(log.stream, key=key, stem=key, head=head, mtime_ns=None)
    return [replace(line, lookahead=None) for line in log.lines(None, stream)]


def _cpu_s(reader: Reader, fed: Sequence[Sequence[Line]]) -> float:
    begin = time.process_time()
    for lines in fed:
        for line in lines:
            reader.take(line)
        reader.end(lines[0].stream)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
