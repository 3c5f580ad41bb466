"""One place that results are written to; when it fails it is given up, and the work goes on without it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelmig.cli.console import redirect_to_null, say

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Sink", "Stdout", "counted"]


class Sink:
    """A file, by its name in messages."""

    def __init__(self, name: str) -> None:
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
                say(f"cannot write {self.name}: {os.strerror(error.errno or 0)}")
            self.give_up()

    def give_up(self) -> None:
        """Write nothing more to it."""
        self.alive = False


class Stdout(Sink):
    """Standard output."""

    def __init__(self) -> None:
        super().__init__("stdout")

    def print(self, text: str, *, flush: bool = False) -> None:
        """Print a text."""
        if self.alive:
            with self.guarded():
                print(text, flush=flush)

    def flush(self) -> None:
        """Have everything that was printed out of the buffer: only then it is known whether that works."""
        with self.guarded():
            sys.stdout.flush()

    def give_up(self) -> None:
        """Write nothing more to it, nor what the buffer still has."""
        super().give_up()
        redirect_to_null(sys.stdout.fileno())


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
