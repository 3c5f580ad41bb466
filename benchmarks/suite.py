"""What the tests cost: runs `make test`'s command once; prints its time, its CPU time, and the ten dearest tests.

Further arguments go to pytest: `benchmarks/suite.py tests/clock` measures one folder. With the variable
OTELMIG_CPU_TIME=FILE the times of all tests are written there.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_BAR_S = 180


def main() -> None:
    """Run, measure and print."""
    environ = os.environ | {"PYTHONPATH": str(_ROOT / "tests" / "support"), "PYTEST_PLUGINS": "cpu_time"}
    environ["PYTHONDONTWRITEBYTECODE"] = ""  # as in the Makefile: what was compiled is kept
    begin = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *sys.argv[1:]]
    status = subprocess.run(command, cwd=_ROOT, env=environ, check=False).returncode
    wall_s = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}: {wall_s:.0f} s "
        f"(bar {_BAR_S} s: {'met' if wall_s <= _BAR_S else 'MISSED'}), CPU {usage.ru_utime + usage.ru_stime:.0f} s"
    )
    raise SystemExit(status)


if __name__ == "__main__":
    main()
