"""The directory of a spool: where it is, whether it is one, and that only one process uses it."""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolVersionError, UsageError
from otelmig.otlp.spool.segment import spool_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_spool", "default_spool", "open_directory"]

_FORMAT: Final = 1
_HEADLINE: Final = "otelmig-spool "
_LOCK_WAIT_S: Final = 60.0
_LOCK_PAUSE_S: Final = 0.1


def default_spool(environ: Mapping[str, str]) -> Path:
    """Where the spool is if nobody says: with the user's state (XDG Base Directory Specification).

    Raises:
        UsageError: there is no home directory.
    """
    given, state, home = (environ.get(name, "") for name in ("OTELMIG_SPOOL", "XDG_STATE_HOME", "HOME"))
    if given:
        return Path(given)
    if not state.startswith("/"):  # a relative one is to be ignored
        state = f"{home or _home()}/.local/state"
    return Path(state) / "otelmig" / "spool"


def _home() -> str:
    """The user's home directory where no variable says it, as for a service."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise UsageError("no home directory for the spool: want `Delivery.directory`") from None


def check_spool(directory: Path) -> bool:
    """Whether there is a spool; nothing is changed.

    Raises:
        SpoolVersionError: a newer otelmig wrote it.
        SpoolError: it is something else, or cannot be read.
    """
    try:
        text = (directory / "format").read_text("utf-8", "replace")
    except FileNotFoundError:
        if _names(directory) - {"lock", "format.partial"}:
            raise SpoolError(f"{directory} is no spool, and it is not empty") from None
        return False
    except OSError as error:
        raise spool_error(directory, error) from error
    number = text.removeprefix(_HEADLINE).strip()
    if not text.startswith(_HEADLINE) or not number.isdecimal():
        raise SpoolError(f"{directory}/format does not say what a spool's does")
    if int(number) > _FORMAT:
        raise SpoolVersionError(
            f"a newer otelmig wrote the spool {directory} (format {number}): see `Delivery.directory`"
        )
    return True


def _names(directory: Path) -> set[str]:
    try:
        return {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise spool_error(directory, error) from error


def open_directory(directory: Path, waiting: Callable[[str], None]) -> int:
    """Make the directory a spool, if it is none yet, and lock it: the descriptor that holds the lock.

    ``waiting`` is told once, in one line, if another process uses it.

    Raises:
        SpoolError: it cannot be used, or another process did not let go of it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        existed = check_spool(directory)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise spool_error(directory, error) from error
    try:
        _acquire(lock, directory, waiting)
        if not existed:
            partial = directory / "format.partial"
            partial.write_text(f"{_HEADLINE}{_FORMAT}\n")
            partial.replace(directory / "format")
    except OSError as error:
        os.close(lock)
        raise spool_error(directory, error) from error
    except SpoolError:
        os.close(lock)
        raise
    return lock


def _acquire(lock: int, directory: Path, waiting: Callable[[str], None]) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            if time.monotonic() > deadline:
                raise SpoolError(f"process {owner} uses the spool {directory}: waited in vain") from None
            if not said:
                waiting(f"process {owner} uses the spool {directory}: waiting for it")
                said = True
            time.sleep(_LOCK_PAUSE_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return
