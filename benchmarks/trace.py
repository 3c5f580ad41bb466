"""What tracing costs: `make bench`. Prints one line per figure, with the bar it is held against.

- logs in hand -> OTLP bytes, per migration (bar: 5 ms);
- `otelmig --help` against a bare `import argparse` (bar: 1.5x + 30 ms).

`benchmarks/scan.py` measures large logs.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import trace_migrations

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
_RUNS = 7


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    print(f"logs in hand -> OTLP bytes: {_per_migration_ms():.1f} ms per migration (bar 5 ms)")
    bare = _wall_ms([sys.executable, "-c", "import argparse"])
    helped = _wall_ms([sys.executable, "-m", "otelmig", "--help"])
    print(f"otelmig --help: {helped:.0f} ms, import argparse: {bare:.0f} ms (bar {1.5 * bare + 30:.0f} ms)")


def _per_migration_ms() -> float:
    """Median over all recordings, each traced several times."""
    times = []
    for folder in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        files = [path for path in folder.iterdir() if path.name.endswith((".log", ".events.json"))]
        for _ in range(_RUNS):
            begin = time.perf_counter()
            count = sum(bool(json_line(trace)) for trace in trace_migrations(files))
            times.append((time.perf_counter() - begin) * 1000 / count)
    return statistics.median(times)


def _wall_ms(command: list[str]) -> float:
    times = []
    for _ in range(_RUNS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
