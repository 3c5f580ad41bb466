"""What `make demo-instrument` shows: one trace, in which the migration is below the span of who asked for it."""

from __future__ import annotations

import os
import subprocess
import sys

from document_parts import REPOSITORY


def test_the_demonstration_shows_one_trace() -> None:
    """The program's own span, the request, the migration below it, and in that the destination's part."""
    paths = [str(REPOSITORY / folder) for folder in ("tests/support", "examples")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "demo_instrument.py"), "--speed", "10"],
        capture_output=True,
        text=True,
        check=False,
        env=environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    tree = [line[:32].rstrip() for line in done.stdout.splitlines() if not line.startswith("$")]
    assert tree[:3] == ["evacuate alpha", "  request migration", "    migration"]
    assert "      receive" in tree
    assert "      downtime" in tree
