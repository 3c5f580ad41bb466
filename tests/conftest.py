"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import fork_server
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile("otelmig", deadline=None)  # how long an example takes depends on what else the machine does
settings.load_profile("otelmig")


class Otelmig(Protocol):
    """Runs the real command in a process of its own."""

    def __call__(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run ``otelmig`` with these arguments and additional environment variables."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter of bytes after its argument: what is compressed bears the time, and no two processes agree."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have two processes more than there are processors: tests wait for a third of their time."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.fixture(autouse=True, scope="session")
def _spool_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test exports without saying where it waits does not wait in the home of whoever runs it."""
    os.environ["OTELMIG_SPOOL"] = str(tmp_path_factory.mktemp("spool"))


@pytest.fixture(autouse=True, scope="session")
def _fork_server() -> Iterator[None]:
    """The process that commands are forked from ends with the tests."""
    yield
    fork_server.close()


@pytest.fixture
def otelmig(tmp_path: Path) -> Otelmig:
    """The command, run in an empty folder, without the caller's OpenTelemetry settings, with a spool of its own."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return fork_server.finished(
            *arguments, cwd=tmp_path, environ={"OTELMIG_SPOOL": str(tmp_path / "spool")} | environ
        )

    return run
