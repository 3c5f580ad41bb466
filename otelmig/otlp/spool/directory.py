"""The directory of a spool: where it is, whether it holds a spool, and the lock that keeps other processes out."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.errors import SpoolError, SpoolVersionError, UsageError
from otelmig.otlp.spool.format import HEADLINE, VERSION, version_of
from otelmig.otlp.spool.segment import open_plain, spool_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_spool", "default_spool", "open_directory"]

_LOCK_WAIT_S: Final = 60.0
"""At most this many seconds are waited for another process to release the spool."""
_ROOT: Final = 0
"""The user who may write everywhere anyway."""
_LONGEST_HEADLINE: Final = 1 << 10
"""Bytes of the file ``format`` that are looked at."""
_LOCK_PAUSE_S: Final = 0.1
"""Seconds between two attempts to lock it."""


def default_spool(environ: Mapping[str, str]) -> Path:
    """Return where the spool is by default: with the user's state (XDG Base Directory Specification).

    Raises:
        UsageError: there is no home directory.
    """
    spool, state, home = (environ.get(name, "") for name in ("OTELMIG_SPOOL", "XDG_STATE_HOME", "HOME"))
    if spool:
        return Path(spool)
    if not state.startswith("/"):  # the XDG specification says to ignore a relative path
        state = f"{home or _home()}/.local/state"
    return Path(state) / "otelmig" / "spool"


def _home() -> str:
    """Return the user's home directory where no variable names it, as in a service.

    Raises:
        UsageError: the user has none.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise UsageError("no home directory for the spool: want `Delivery.directory`") from None


def check_spool(directory: Path) -> bool:
    """Return whether ``directory`` holds a spool; False if it is empty or missing. Nothing is changed.

    Raises:
        SpoolVersionError: a newer otelmig wrote the spool.
        SpoolError: the directory holds something else, cannot be read, or can be written to by others.
    """
    try:
        _check_owner(directory)
        with open_plain(directory / "format", os.O_RDONLY) as file:
            text = file.read(_LONGEST_HEADLINE).decode("utf-8", "replace")
    except FileNotFoundError:
        if _names(directory) - {"lock", "format.partial"}:
            raise SpoolError(f"{directory} is no spool, and it is not empty") from None
        return False
    except OSError as error:
        raise spool_error(directory, error) from error
    version = version_of(text)
    if version is None:
        raise SpoolError(f"{directory}/format does not say what a spool's does")
    if version > VERSION:
        raise SpoolVersionError(
            f"a newer otelmig wrote the spool {directory} (format {version}): see `Delivery.directory`"
        )
    return True


def _check_owner(directory: Path) -> None:
    """Check that nobody else can put anything into ``directory``: what is in it is sent, and written to.

    Raises:
        FileNotFoundError: it is not there.
        SpoolError: somebody else can.
    """
    status = directory.stat()
    if status.st_uid not in (os.geteuid(), _ROOT):
        raise SpoolError(f"the spool {directory} belongs to another user: see `Delivery.directory`")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpoolError(f"others may write to the spool {directory}: want a directory of mode 0700")


def _names(directory: Path) -> set[str]:
    """Return the names in ``directory``; none if it does not exist.

    Raises:
        SpoolError: it cannot be read.
    """
    try:
        return {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise spool_error(directory, error) from error


def open_directory(directory: Path, on_wait: Callable[[str], None], wait_s: float | None = None) -> int:
    """Make ``directory`` a spool if it is none yet, lock it, and return the descriptor that holds the lock.

    If another process has the lock, ``on_wait`` is called once, with one line for a person, and ``wait_s`` seconds
    (None: a minute) are waited at most.

    Raises:
        SpoolError: the directory cannot be used, or another process did not release it in time.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        existed = check_spool(directory)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise spool_error(directory, error) from error
    try:
        _acquire(lock, directory, on_wait, _LOCK_WAIT_S if wait_s is None else wait_s)
        if not existed:
            partial = directory / "format.partial"
            with open_plain(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
                file.write(HEADLINE.encode())
            partial.replace(directory / "format")
    except OSError as error:
        os.close(lock)
        raise spool_error(directory, error) from error
    except SpoolError:
        os.close(lock)
        raise
    return lock


def _acquire(lock: int, directory: Path, on_wait: Callable[[str], None], wait_s: float) -> None:
    """Lock the file behind ``lock``, and write the id of this process into it.

    Raises:
        SpoolError: another process did not release it in time.
        OSError: the file cannot be locked or written.
    """
    deadline_s = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            if time.monotonic() > deadline_s:
                raise SpoolError(f"process {owner} uses the spool {directory}: waited in vain") from None
            if not told:
                on_wait(f"process {owner} uses the spool {directory}: waiting for it")
                told = True
            time.sleep(_LOCK_PAUSE_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return
