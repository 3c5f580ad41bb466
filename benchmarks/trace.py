"""What tracing costs: `make bench`. Prints one line per figure, with the bar it is held against.

- logs in hand -> OTLP bytes, per migration (bar: 5 ms);
- `otelmig --help` against a bare `import argparse` (bar: 1.5x + 30 ms);
- peak memory of tracing 1 GB of log with 1 000 migrations inside (bar: 100 MB).
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from otelmig.otlp.json_lines import json_line
from otelmig.pipeline import trace_migrations

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
_SIZE = 10**9
_MIGRATIONS = 1_000
_RUNS = 7


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    print(f"logs in hand -> OTLP bytes: {_per_migration_ms():.1f} ms per migration (bar 5 ms)")
    bare = _wall_ms([sys.executable, "-c", "import argparse"])
    helped = _wall_ms([sys.executable, "-m", "otelmig", "--help"])
    print(f"otelmig --help: {helped:.0f} ms, import argparse: {bare:.0f} ms (bar {1.5 * bare + 30:.0f} ms)")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "fleet.log"
        _write_large_log(log)
        begin = time.perf_counter()
        peak, account = _peak_mb([sys.executable, "-m", "otelmig", "trace", str(log), "-q", "-o", f"{folder}/out"])
        print(
            f"{log.stat().st_size / 1e9:.2f} GB with {_MIGRATIONS} migrations: peak {peak:.0f} MB (bar 100 MB), "
            f"{time.perf_counter() - begin:.1f} s; {account}"
        )


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


def _write_large_log(path: Path) -> None:
    """Real source logs one after the other, padded with real lines that say nothing of a migration."""
    source = (CORPUS / "v53.0-dirty" / "source.log").read_bytes()
    noise = re.findall(rb"[^\r\n]*Guest MMIO[^\r\n]*\r\n", (CORPUS / "v53.0-local" / "destination.log").read_bytes())
    padding = b"".join(noise[: len(noise) // 16])
    with path.open("wb") as file:
        for _ in range(_MIGRATIONS):
            file.write(source)
            for _ in range(max((_SIZE // _MIGRATIONS - len(source)) // len(padding), 0)):
                file.write(padding)


def _peak_mb(command: list[str]) -> tuple[float, str]:
    """Largest resident set of a finished command, in MB, and the last line that it printed on stderr."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        errors.seek(0)
        return usage.ru_maxrss * 1024 / 1e6, errors.read().strip().splitlines()[-1]


if __name__ == "__main__":
    main()
