"""A command as benchmarks run it: what it used, and what it said last."""

from __future__ import annotations

import compileall
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "compile_package", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run of a command used."""

    wall_s: float
    cpu_s: float
    """User and system time, which depends less than ``wall_s`` on what else the machine does."""
    peak_mb: float
    """Its largest resident set."""
    account: str
    """The last line that it printed on standard error."""


def run(command: list[str]) -> Usage:
    """Run ``command`` to its end.

    Raises:
        SystemExit: it failed.
    """
    # not /dev/null: grep looks no further than the first match if nobody reads what it prints
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | {"LC_ALL": "C"})
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().strip()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[:5])} ... ends with {process.returncode}: {said}")
    return Usage(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * 1024 / 1e6,
        account=said.rpartition("\n")[2],
    )


def compile_package() -> None:
    """Compile the package, as an installation does: with PYTHONDONTWRITEBYTECODE every run would do it again."""
    compileall.compile_dir(Path(__file__).parent.parent / "otelmig", quiet=1)
