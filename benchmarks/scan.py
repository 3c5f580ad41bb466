"""What reading costs: a gigabyte of log with few migrations inside, and a log that is nothing but migrations.

Prints one line per figure, with the bar it is held against; times are the fastest and the median of five runs:

- 1 GB of log -> its migrations (bars: 1.2 GB/s; twice the time of `grep -F` with four literals; 100 MB at its peak);
- 10 000 migrations -> spans, and -> OTLP/JSON (bars: 1 000 migrations/s; 100 MB).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
_RUNS = 5
_BLOCK = 1 << 20
_BAR_GB_PER_S = 1.2
_BAR_GREP = 2.0
_BAR_PEAK_MB = 100
_BAR_PER_S = 1_000
_LITERALS = ("Migration ", "Precopy: ", "Sending migration", "Event: source = vm event = migration")
_STAMP = re.compile(rb"(?m)^cloud-hypervisor: +(\d+)\.(\d{6})s: ")
_RECORD = re.compile(rb"(?m)^cloud-hypervisor: +[\d.]+s: <[^>\r\n]+> [A-Z]+:([^ \r\n]+) -- ([^\r\n]*)\r\n")
_TELLING = re.compile(
    rb"(?i)migrat|precopy|postcopy|downtime|dirty|GPA: |command|pausing|resuming|restor|event|api request|incoming"
    rb"|starting$|exited|booting vm|guest cpuid|incompatib|mapping at|accepting|connect|uffd|nested|tls"
)
"""What lines that otelmig may want to read have in them, and then some."""
_MOST_OF_A_KIND = 150
"""Lines printed at one place of the hypervisor's source, so that a chatty one does not crowd out the others."""
_SHUFFLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What five runs of a command took, and the last line that it printed on stderr."""

    times_s: list[float]
    peak_mb: float
    account: str

    @property
    def fastest_s(self) -> float:
        """The fastest run."""
        return min(self.times_s)

    @property
    def median_s(self) -> float:
        """The run that bars are held against."""
        return statistics.median(self.times_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What reading costs: prints each figure with its bar.")
    parser.add_argument("--size", type=float, default=1.0, metavar="GB", help="of the log with few migrations")
    parser.add_argument("--migrations", type=int, default=10_000, metavar="N", help="in the log that has nothing else")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}; min/median of {_RUNS}")
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.log"
        _write_few(few, round(arguments.size * 10**9))
        _report_few(few)
        few.unlink()
        many = Path(folder) / "many.log"
        _write_many(many, arguments.migrations)
        _report_many(many, arguments.migrations, Path(folder) / "out.jsonl")


def _report_few(log: Path) -> None:
    """The figures of the log with few migrations."""
    size_gb = _warm(log) / 1e9
    found = _cost([sys.executable, "-m", "otelmig", "trace", str(log), "-q"])
    _check(found, 3)
    print(
        f"{size_gb:.2f} GB with 3 migrations, trace -q: {_times(found)}, {_speeds(found, size_gb, 'GB/s')} "
        f"{_bar(f'{_BAR_GB_PER_S} GB/s', met=size_gb / found.median_s >= _BAR_GB_PER_S)}"
    )
    literals = [argument for literal in _LITERALS for argument in ("-e", literal)]
    grep = _cost(["grep", "-c", "-F", *literals, str(log)])
    ratio = found.median_s / grep.median_s
    print(
        f"grep -c -F, the four literals: {_times(grep)}, {_speeds(grep, size_gb, 'GB/s')}; "
        f"trace takes {ratio:.2f} times as long {_bar(f'{_BAR_GREP:.0f} times', met=ratio <= _BAR_GREP)}"
    )
    if shutil.which("rg") is None:
        print("rg -c -F, the four literals: not installed")
    else:
        rg = _cost(["rg", "-c", "-F", *literals, str(log)])
        print(
            f"rg -c -F, the four literals: {_times(rg)}, {_speeds(rg, size_gb, 'GB/s')}; "
            f"trace takes {found.median_s / rg.median_s:.2f} times as long (no bar)"
        )
    print(f"trace -q, peak memory: {found.peak_mb:.0f} MB {_peak_bar(found)}")


def _report_many(log: Path, migrations: int, output: Path) -> None:
    """The figures of the log that is nothing but migrations."""
    size_mb = _warm(log) / 1e6
    command = [sys.executable, "-m", "otelmig", "trace", str(log), "-q"]
    for what, rest in (("trace -q", []), ("trace -q -o FILE", ["-o", str(output)])):
        found = _cost(command + rest)
        _check(found, migrations)
        print(
            f"{migrations} migrations in {size_mb:.0f} MB, {what}: {_times(found)}, "
            f"{_speeds(found, migrations, 'migrations/s')} "
            f"{_bar(f'{_BAR_PER_S} migrations/s', met=migrations / found.median_s >= _BAR_PER_S)}"
        )
        print(f"{what}, peak memory: {found.peak_mb:.0f} MB {_peak_bar(found)}")


def _times(cost: Cost) -> str:
    return f"{cost.fastest_s:.2f}/{cost.median_s:.2f} s"


def _speeds(cost: Cost, amount: float, unit: str) -> str:
    digits = 0 if amount / cost.fastest_s > _BAR_PEAK_MB else 2
    return f"{amount / cost.fastest_s:.{digits}f}/{amount / cost.median_s:.{digits}f} {unit}"


def _bar(text: str, *, met: bool) -> str:
    return f"(bar {text}: {'met' if met else 'MISSED'})"


def _peak_bar(cost: Cost) -> str:
    return _bar(f"{_BAR_PEAK_MB} MB", met=cost.peak_mb <= _BAR_PEAK_MB)


def _check(cost: Cost, migrations: int) -> None:
    """Figures of a log that was not read as it was meant are worth nothing."""
    if not cost.account.startswith((f"{migrations} migrations found", f"{migrations} migration found")):
        raise SystemExit(f"the log holds {migrations} migrations, but otelmig says: {cost.account or 'nothing'}")


def _cost(command: list[str]) -> Cost:
    """Run ``command`` five times."""
    times, peaks, account = [], [], ""
    for _ in range(_RUNS):
        begin = time.perf_counter()
        peak, account = _peak_mb(command)
        times.append(time.perf_counter() - begin)
        peaks.append(peak)
    return Cost(times_s=times, peak_mb=max(peaks), account=account)


def _peak_mb(command: list[str]) -> tuple[float, str]:
    """Largest resident set of a finished command, in MB, and the last line that it printed on stderr."""
    # not /dev/null: grep looks no further than the first match if nobody reads what it prints
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | {"LC_ALL": "C"})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().strip()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[:4])} ... ends with {process.returncode}: {said}")
    return usage.ru_maxrss * 1024 / 1e6, said.rpartition("\n")[2]


def _warm(path: Path) -> int:
    """Read all of ``path``, so that the page cache has it; its size."""
    with path.open("rb", buffering=0) as file:
        while file.read(_BLOCK):
            pass
    return path.stat().st_size


def _write_few(path: Path, size: int) -> None:
    """A migration at the beginning and two later, between real lines that say nothing of one."""
    source = Source()
    padding = _padding()
    with path.open("wb") as file:
        for number in range(3):
            file.write(source.migration(number))
            at = 0
            while file.tell() < size * (number + 1) // 3:
                file.write(padding[at % len(padding)])
                at += 1


def _write_many(path: Path, migrations: int) -> None:
    """One process after the other that appends to the same file, each with a migration of its own."""
    source = Source()
    with path.open("wb") as file:
        for number in range(migrations):
            file.write(source.migration(number))


class Source:
    """A real source log that can be told again at other times, which makes it another migration."""

    def __init__(self, recording: str = "v53.0-basicv") -> None:
        log = (CORPUS / recording / "source.log").read_bytes()
        self._between = _STAMP.split(log)[3::3]
        self._stamps = [int(match[1]) * 10**6 + int(match[2]) for match in _STAMP.finditer(log)]

    def migration(self, number: int) -> bytes:
        """The log of a process that did everything ``number`` microseconds later."""
        parts: list[bytes] = []
        for stamp, rest in zip(self._stamps, self._between, strict=True):
            whole, fraction = divmod(stamp + number, 10**6)
            parts += (b"cloud-hypervisor: %3d.%06ds: " % (whole, fraction), rest)
        return b"".join(parts)


def _padding() -> list[bytes]:
    """Real lines of many kinds in several orders, from all v53 recordings; none speaks of a migration."""
    kinds: dict[bytes, list[bytes]] = {}
    for log in sorted(CORPUS.glob("v53*/*.log")):
        for match in _RECORD.finditer(log.read_bytes()):
            if not _TELLING.search(match[2]):
                kinds.setdefault(match[1], []).append(match[0])
    shuffle = random.Random(1)  # noqa: S311 - no secret
    lines = [line for kind in kinds.values() for line in shuffle.sample(kind, min(len(kind), _MOST_OF_A_KIND))]
    orders = []
    for _ in range(_SHUFFLES):
        shuffle.shuffle(lines)
        orders.append(b"".join(lines))
    return orders


if __name__ == "__main__":
    main()
