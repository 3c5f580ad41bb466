"""What tracing costs: `make bench`. Prints one line per figure, with the bar it is held against.

- logs in hand -> OTLP bytes, per migration (bar: 5 ms), and what of it is reading, building and encoding;
- `otelmig --help` against a bare `import argparse` (bar: 1.5x + 30 ms).

All of it is CPU time, which depends little on what else the machine does. `benchmarks/scan.py` measures large logs.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from itertools import pairwise

from child import compile_package, run
from sample_logs import CORPUS

from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

_RUNS = 7
_HELP_RUNS = 15


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    compile_package()
    read, built, encoded = _per_migration_ms()
    print(
        f"logs in hand -> OTLP bytes: {read + built + encoded:.1f} ms per migration (bar 5 ms): "
        f"read and paired {read:.1f} ms, built {built:.1f} ms, encoded {encoded:.1f} ms"
    )
    bare = _cpu_ms([sys.executable, "-c", "import argparse"])
    helped = _cpu_ms([sys.executable, "-m", "otelmig", "--help"])
    print(f"otelmig --help: {helped:.0f} ms, import argparse: {bare:.0f} ms (bar {1.5 * bare + 30:.0f} ms)")


def _per_migration_ms() -> tuple[float, float, float]:
    """Return the cost of a migration in the middle of all recordings, each traced several times."""
    costs = []
    for folder in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        files = [path for path in folder.iterdir() if path.name.endswith((".log", ".events.json"))]
        for _ in range(_RUNS):
            begin = time.process_time()
            findings = read_findings(files)
            read = time.process_time()
            traces = list(findings.traces(TraceOptions()))
            built = time.process_time()
            count = sum(bool(json_line(trace)) for trace in traces)
            ends = (begin, read, built, time.process_time())
            costs.append([(end - start) * 1000 / count for start, end in pairwise(ends)])
    costs.sort(key=sum)
    read_ms, built_ms, encoded_ms = (statistics.mean(part) for part in zip(*_middle(costs), strict=True))
    return read_ms, built_ms, encoded_ms


def _middle(costs: list[list[float]]) -> list[list[float]]:
    """Return the tenth of ``costs`` around the median: the parts of a single one are too short to be measured well."""
    half = max(len(costs) // 20, 1)
    return costs[len(costs) // 2 - half : len(costs) // 2 + half]


def _cpu_ms(command: list[str]) -> float:
    return statistics.median(run(command).cpu_s for _ in range(_HELP_RUNS)) * 1000


if __name__ == "__main__":
    main()
