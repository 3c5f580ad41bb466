"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Otelmig(Protocol):
    """Runs the real command in a process of its own."""

    def __call__(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run ``otelmig`` with these arguments and additional environment variables."""


@pytest.fixture(autouse=True, scope="session")
def _spool_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test exports without saying where it waits does not wait in the home of whoever runs it."""
    os.environ["OTELMIG_SPOOL"] = str(tmp_path_factory.mktemp("spool"))


@pytest.fixture
def otelmig(tmp_path: Path) -> Otelmig:
    """The command, run in an empty folder, without the caller's OpenTelemetry settings, with a spool of its own."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        of_the_caller = ("OTEL", "TRACEPARENT", "COLUMNS")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(of_the_caller)}
        return subprocess.run(
            [sys.executable, "-m", "otelmig", *map(str, arguments)],
            cwd=tmp_path,
            env=clean | {"OTELMIG_SPOOL": str(tmp_path / "spool")} | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
