"""One place that results are written to; when it fails it is given up, and the work goes on without it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Sink", "counted"]

_STDOUT: Final = "stdout"


class Sink:
    """Standard output, or a file, by its name in messages."""

    def __init__(self, name: str = _STDOUT) -> None:
        self.name = name
        self.alive = True
        self.failed = False
        """It was given up, and not because whoever read it had seen enough."""

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Do some writing: what the operating system says against it becomes one line, once."""
        try:
            yield
        except OSError as error:
            if self.alive and not isinstance(error, BrokenPipeError):
                self.failed = True
                print(f"otelmig: cannot write {self.name}: {os.strerror(error.errno or 0)}", file=sys.stderr)
            self.alive = False
            if self.name == _STDOUT:  # the buffer still has what could not be written: let it go
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, sys.stdout.fileno())
                os.close(null)

    def print(self, text: str, *, flush: bool = False) -> None:
        """Print a text to standard output."""
        if self.alive:
            with self.guarded():
                print(text, flush=flush)

    def flush(self) -> None:
        """Have everything that was printed out of the buffer: only then it is known whether that works."""
        with self.guarded():
            sys.stdout.flush()


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
