"""The quick part of the tests with every other Python that is supported and installed (``make test-pythons``).

Interpreters are looked for on the PATH and among pyenv's versions. One that is not installed is named, not downloaded.
The arguments are pytest's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPOSITORY = Path(__file__).parents[1]


def supported() -> list[str]:
    """Return the versions of Python that the package's metadata names, such as ``3.12``."""
    metadata: dict[str, Any] = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())
    found = (
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in metadata["project"]["classifiers"]
    )
    return [match[1] for match in found if match is not None]


def interpreter(version: str) -> Path | None:
    """Return an interpreter of ``version`` that runs; None if there is none."""
    for candidate in _candidates(version):
        command = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted((pyenv / "versions").glob(f"{version}.*/bin/python"), reverse=True)


def _test(version: str, python: Path, arguments: list[str]) -> bool:
    """Install the package and what its tests need into an environment of its own, and run them."""
    home = _REPOSITORY / "build" / f"python{version}"
    shutil.rmtree(home, ignore_errors=True)
    commands = (
        [str(python), "-m", "venv", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "pip>=25.1"],
        [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "-e", ".", "--group", "test"],
        [str(home / "bin" / "python"), "-m", "pytest", *arguments],
    )
    return all(subprocess.run(command, cwd=_REPOSITORY, check=False).returncode == 0 for command in commands)


def main() -> int:
    """Test with each of them; the result is the exit code."""
    failed, missing = [], []
    this = "{}.{}".format(*sys.version_info[:2])
    for version in supported():
        python = None if version == this else interpreter(version)
        if python is not None:
            sys.stdout.write(f"Python {version}: {python}\n")
            sys.stdout.flush()
            if not _test(version, python, sys.argv[1:]):
                failed.append(version)
        elif version != this:
            missing.append(version)
    for version in missing:
        sys.stdout.write(f"Python {version} is not installed: NOT TESTED\n")
    for version in failed:
        sys.stdout.write(f"Python {version}: FAILED\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
