"""What reading costs: logs with few migrations inside, and a log that is nothing but migrations.

Prints one line per figure, with the bar it is held against. Bars of speed relative to ``grep`` are held against CPU
time, which depends little on what else the machine does: the two take turns, and the median of the ratios counts.

- 1 GB of a host's journal, and of a VM's own log, -> their migrations (bars: twice the CPU time of ``grep -c -F`` with
  four literals; 100 MB at its peak);
- one migration with 300 MB of dirty tables (bar: four times the CPU time of the same ``grep``);
- 10 000 migrations -> spans, and -> OTLP/JSON (bars: 1 000 migrations/s; 100 MB).

``--parts`` prints where the time for a VM's own log goes instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import stringzilla
from child import Usage, compile_package, run
from msgspec.structs import replace
from sample_logs import Source, write_dirty_tables, write_few, write_journal, write_many

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted
from otelmig.inputs import LineFilter, open_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_RUNS = 5
_BLOCK = 1 << 19
_BAR_FEW, _BAR_TABLES = 2.0, 4.0
_BAR_PEAK_MB = 100
_BAR_PER_S = 1_000
_LITERALS = ("Migration ", "Precopy: ", "Sending migration", "Event: source = vm event = migration")
_GREP = ["grep", "-c", "-F", *(argument for literal in _LITERALS for argument in ("-e", literal))]
_OTELMIG = [sys.executable, "-m", "otelmig", "trace", "-q"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What reading costs: prints each figure with its bar.")
    parser.add_argument("--size", type=float, default=1.0, metavar="GB", help="of each log with few migrations")
    parser.add_argument("--tables", type=float, default=0.3, metavar="GB", help="of dirty tables in one migration")
    parser.add_argument("--migrations", type=int, default=10_000, metavar="N", help="in the log that has nothing else")
    parser.add_argument("--parts", action="store_true", help="say where the time for a VM's own log goes")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}; median of {_RUNS}")
    compile_package()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vm.log"
        write_few(log, round(arguments.size * 10**9))
        if arguments.parts:
            _report_parts(log)
            return
        _report_scan("of a VM's own log with 3 migrations", log, 3, _BAR_FEW)
        write_journal(log, round(arguments.size * 10**9))
        _report_scan("of a host's journal with 3 migrations", log, 3, _BAR_FEW)
        write_dirty_tables(log, round(arguments.tables * 10**9))
        _report_scan("of one -vv migration", log, 1, _BAR_TABLES)
        write_many(log, arguments.migrations)
        _report_many(log, arguments.migrations, Path(folder) / "out.jsonl")


def _report_scan(what: str, log: Path, migrations: int, bar: float) -> None:
    """Print the figures of a log in which most is of no interest."""
    size_gb = _warm(log) / 1e9
    greps, runs = [], []
    for _ in range(_RUNS):
        greps.append(run([*_GREP, str(log)]))
        runs.append(run([*_OTELMIG, str(log)]))
        _check(runs[-1], migrations)
    ratio = statistics.median(own.cpu_s / grep.cpu_s for own, grep in zip(runs, greps, strict=True))
    print(
        f"{size_gb:.2f} GB {what}: CPU {_cpu_s(runs):.2f} s, grep -c -F with four literals {_cpu_s(greps):.2f} s: "
        f"{ratio:.2f} times {_bar(f'{bar:.0f} times', met=ratio <= bar)}; "
        f"{size_gb / min(each.wall_s for each in runs):.2f} GB/s at best, {_peak(runs)}"
    )


def _report_many(log: Path, migrations: int, output: Path) -> None:
    """Print the figures of the log that is nothing but migrations."""
    size_mb = _warm(log) / 1e6
    for what, rest in (("trace -q", []), ("trace -q -o FILE", ["-o", str(output)])):
        runs = [run([*_OTELMIG, str(log), *rest]) for _ in range(_RUNS)]
        _check(runs[-1], migrations)
        per_s = migrations / _cpu_s(runs)
        print(
            f"{migrations} migrations in {size_mb:.0f} MB, {what}: CPU {_cpu_s(runs):.2f} s, {per_s:.0f} migrations/s "
            f"{_bar(f'{_BAR_PER_S} migrations/s', met=per_s >= _BAR_PER_S)}; {_peak(runs)}"
        )


def _report_parts(log: Path) -> None:
    """Print the CPU time of each part of a scan, in seconds per GB; that of the start is one of these, too."""
    size_gb = _warm(log) / 1e9
    small = log.with_name("small.log")
    small.write_bytes(Source().migration(0))
    file, of_interest = open_input(log), wanted(("-- ",))
    nothing = replace(of_interest, pattern=re.compile(rb"\xff\xfe"))

    def scan(line_filter: LineFilter) -> None:
        for _ in file.lines(line_filter):
            pass

    def count() -> None:
        for size in _read(log, buffer):
            stringzilla.count(buffer, b"\n", 0, size)

    buffer = bytearray(_BLOCK)
    reading = _own_cpu_s(lambda: sum(_read(log, buffer)))
    counting = _own_cpu_s(count) - reading
    whole = _own_cpu_s(lambda: scan(of_interest))
    passing = _own_cpu_s(lambda: scan(nothing)) - reading - counting
    start = _cpu_s([run([*_OTELMIG, str(small)]) for _ in range(_RUNS)])
    print(f"start and end of the command: {start:.2f} s")
    for what, cpu_s in (
        ("reading", reading),
        ("counting lines", counting),
        ("a search that finds nothing", passing),
        ("stopping at each record, and turning it away", whole - reading - counting - passing),
    ):
        print(f"{what}: {cpu_s / size_gb:.2f} s/GB")


def _read(path: Path, buffer: bytearray) -> Iterator[int]:
    """Read ``path`` into ``buffer`` again and again; yield how many bytes these are."""
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            yield size


def _own_cpu_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_RUNS):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def _cpu_s(runs: Sequence[Usage]) -> float:
    return statistics.median(each.cpu_s for each in runs)


def _bar(text: str, *, met: bool) -> str:
    return f"(bar {text}: {'met' if met else 'MISSED'})"


def _peak(runs: Sequence[Usage]) -> str:
    peak_mb = max(each.peak_mb for each in runs)
    return f"peak memory {peak_mb:.0f} MB {_bar(f'{_BAR_PEAK_MB} MB', met=peak_mb <= _BAR_PEAK_MB)}"


def _check(usage: Usage, migrations: int) -> None:
    """Refuse figures of a log that was not read as it was meant: they are worth nothing."""
    if not usage.account.startswith((f"{migrations} migrations found", f"{migrations} migration found")):
        raise SystemExit(f"the log holds {migrations} migrations, but otelmig says: {usage.account or 'nothing'}")


def _warm(path: Path) -> int:
    """Read all of ``path``, so that the page cache has it; return its size."""
    return sum(_read(path, bytearray(_BLOCK)))


if __name__ == "__main__":
    main()
