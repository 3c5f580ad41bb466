"""What tracing costs: `make bench`. Prints one line per figure, with the bar it is held against.

- logs in hand -> OTLP bytes, per migration (bar: 5 ms), and what of it is reading, building and encoding; garbage is
  looked for as seldom as the command has it, and as often as Python does unless it is told;
- `otelmig --help` against a bare `import argparse` (bar: 1.5x + 30 ms).

All of it is CPU time, which depends little on what else the machine does. `benchmarks/scan.py` measures large logs.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from child import compile_package, run
from sample_logs import CORPUS

from otelmig.cli.main import GARBAGE_THRESHOLDS
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

_RUNS = 9
_ROUNDS = 10**7
_HELP_RUNS = 15


def main() -> None:
    """Measure and print."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}, "
        f"empty loop {_loop_s():.2f} s"
    )
    compile_package()
    for whose, thresholds in (("the command's", GARBAGE_THRESHOLDS), ("Python's own", gc.get_threshold())):
        gc.set_threshold(*thresholds)
        lowest, median = _per_migration_ms()
        read, built, encoded = lowest
        print(
            f"logs in hand -> OTLP bytes, {whose} thresholds for garbage: {sum(lowest):.1f} ms per migration at best, "
            f"{sum(median):.1f} ms by the median (bar 5 ms): read and paired {read:.1f} ms, built {built:.1f} ms, "
            f"encoded {encoded:.1f} ms"
        )
    bare = _cpu_ms([sys.executable, "-c", "import argparse"])
    helped = _cpu_ms([sys.executable, "-m", "otelmig", "--help"])
    print(f"otelmig --help: {helped:.0f} ms, import argparse: {bare:.0f} ms (bar {1.5 * bare + 30:.0f} ms)")


def _loop_s() -> float:
    """Return the CPU time of an empty loop, which tells machines, and hours of one machine, apart."""
    begin = time.process_time()
    for _ in range(_ROUNDS):
        pass
    return time.process_time() - begin


def _per_migration_ms() -> tuple[list[float], list[float]]:
    """Return the cost of a migration in the middle of all recordings, by the lowest and by the median of all runs.

    Each is what reading, building and encoding take. The runs of one recording lie apart, so that not all of them fall
    into a spell in which the machine is slow.
    """
    folders = [path for path in sorted(CORPUS.iterdir()) if path.is_dir()]
    runs: list[list[tuple[float, ...]]] = [[] for _ in folders]
    for _ in range(_RUNS):
        for own, folder in zip(runs, folders, strict=True):
            own.append(_one_run_ms(folder))
    lowest = sorted((min(own, key=sum) for own in runs), key=sum)
    median = sorted((sorted(own, key=sum)[_RUNS // 2] for own in runs), key=sum)
    return _middle(lowest), _middle(median)


def _one_run_ms(folder: Path) -> tuple[float, ...]:
    """Return what reading, building and encoding of a recording take, for each of its migrations."""
    files = [path for path in folder.iterdir() if path.name.endswith((".log", ".events.json"))]
    begin = time.process_time()
    findings = read_findings(files)
    read = time.process_time()
    traces = list(findings.traces(TraceOptions()))
    built = time.process_time()
    count = sum(bool(json_line(trace)) for trace in traces)
    return tuple((end - start) * 1000 / count for start, end in pairwise((begin, read, built, time.process_time())))


def _middle(costs: list[tuple[float, ...]]) -> list[float]:
    """Return the mean of the tenth of ``costs`` around the median: the parts of one are too short to be measured."""
    half = max(len(costs) // 20, 1)
    around = costs[len(costs) // 2 - half : len(costs) // 2 + half]
    return [statistics.mean(part) for part in zip(*around, strict=True)]


def _cpu_ms(command: list[str]) -> float:
    return statistics.median(run(command).cpu_s for _ in range(_HELP_RUNS)) * 1000


if __name__ == "__main__":
    main()
