"""``journalctl`` as a child process: what it is started with, the lines that it prints, and how it ended.

Its output is a pipe that this process alone reads. ``journalctl`` ends when nobody reads it any more: one that prints
is killed by SIGPIPE, one that waits for entries polls its output, too. So none is left, however this process ends.
(systemd 252, ``wait_for_change`` in ``src/journal/journalctl.c``)
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, cast

from otelmig.errors import InputError
from otelmig.inputs.framing.journal import WRITER_FIELDS
from otelmig.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Journalctl", "check_journal", "how_it_ended"]

_PROGRAM: Final = "journalctl"
_FIELDS: Final = (
    *("MESSAGE", "_MACHINE_ID", *WRITER_FIELDS, "_SYSTEMD_UNIT"),
    *("MESSAGE_ID", "UNIT", "OBJECT_SYSTEMD_UNIT", "N_DROPPED", "_TRANSPORT"),
)
"""What is read of an entry; ``journalctl`` adds its cursor, its times and its boot."""
_OUTPUT: Final = ("-o", "json", "-q", "--all", "--no-pager", f"--output-fields={','.join(_FIELDS)}")
_PIPE: Final = 1 << 20
"""Bytes that the child may be ahead, where the system lets it."""
_BLOCK: Final = 1 << 20
_LONGEST: Final = 1 << 24
"""Bytes of an entry; one that is longer is cut, and so is none."""
_ENDING_S: Final = 1.0
_CHECK_S: Final = 30.0


class Journalctl:
    """One child."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are ours, and the names in them were checked
            [_program(), *_OUTPUT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # a signal from the terminal is for this process, which ends the child itself
        )
        self._out = cast("IO[bytes]", self._process.stdout)
        self._errors = cast("IO[bytes]", self._process.stderr)
        for stream in (self._out, self._errors):
            os.set_blocking(stream.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE)
        self._rest = b""
        self._last_error = b""
        self.is_over = False
        """Whether it has said everything."""

    def fileno(self) -> int:
        """Return the descriptor that can be read when it printed something, or ended."""
        return self._out.fileno()

    def lines(self) -> list[bytes]:
        """Return the lines that are there; none if it waits, or :attr:`is_over`."""
        self._read_errors()
        try:
            data = os.read(self._out.fileno(), _BLOCK)
        except BlockingIOError:
            return []
        if not data:
            self.is_over = True
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest = b"\0"  # what comes until the end of the line makes no entry of it
        return lines

    def end(self) -> tuple[int, str]:
        """End it, if it still runs; return its exit code (negative: a signal's number) and what it said last."""
        if self._process.poll() is None and not self.is_over:
            self._process.terminate()
        self._out.close()
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._read_errors()
        self._errors.close()
        return code, _shown(self._last_error)

    def _read_errors(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._errors.fileno(), _BLOCK):
                self._last_error = (self._last_error + data)[-_BLOCK:]


def check_journal() -> str:
    """Return what ``journalctl`` remarks about what may be read of the journal; empty if there is nothing to say.

    Raises:
        InputError: there is no ``journalctl``, or the journal may not be read.
    """
    try:
        done = subprocess.run(  # noqa: S603 - as above
            [_program(), "-o", "json", "--no-pager", "--lines=1", "--output-fields=_PID"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            timeout=_CHECK_S,
            check=False,
        )
    except OSError as error:
        raise InputError(f"the journal: {_PROGRAM}: {os.strerror(error.errno or 0)}") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"the journal: {_PROGRAM} said nothing for {_CHECK_S:.0f} s") from error
    if done.returncode:
        raise InputError(f"the journal: {_shown(done.stderr) or how_it_ended(done.returncode)}")
    return printable(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])


def how_it_ended(code: int) -> str:
    """Return in words what an exit code means; a negative one is a signal's number."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _program() -> str:
    path = shutil.which(_PROGRAM)
    if path is None:
        raise FileNotFoundError(2, os.strerror(2))
    return path


def _environment() -> dict[str, str]:
    """Return what the child is told of this process's environment: no secrets, and errors in one language."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _shown(errors: bytes) -> str:
    """Return the last line of what was printed."""
    return printable(errors.decode("utf-8", "replace").strip().rpartition("\n")[2])
