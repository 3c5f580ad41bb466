"""Standard input and pipes are read like files."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING

from carried_logs import logs_of

if TYPE_CHECKING:
    from pathlib import Path


def test_standard_input_and_pipes(tmp_path: Path) -> None:
    """``-`` is standard input; a pipe works like a file."""
    logs = logs_of("v53.0-basicv")
    (tmp_path / "destination.log").write_bytes(logs["destination"])
    done = subprocess.run(
        [sys.executable, "-m", "otelmig", "trace", "-", str(tmp_path / "destination.log")],
        input=gzip.compress(logs["source"]),
        capture_output=True,
        check=True,
    )
    assert b"446 ms" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(b"1 migration found")
