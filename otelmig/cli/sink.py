"""One place that results are written to; when it fails it is given up, and the work goes on without it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelmig.cli.console import clear_status, redirect_to_null, say, styled_text
from otelmig.cli.options.flags import with_flags
from otelmig.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Sink", "Stdout"]


class Sink:
    """A place that results are written to, with its name in messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.failed = False
        """Writing failed for another reason than a closed pipe."""

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Write inside this context: the first error becomes one line, and the sink is given up."""
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

    def print(self, text: str, *, flush: bool = False, styled: bool = False) -> None:
        """Print a text, with options in place of the parameters that it names; only a ``styled`` one keeps styles."""
        if self.alive:
            clear_status()
            text = styled_text(text) if styled else printable(text, keep="\n")
            with self.guarded():
                print(with_flags(text), flush=flush)

    def flush(self) -> None:
        """Flush stdout; a write error may only surface here."""
        with self.guarded():
            sys.stdout.flush()

    def give_up(self) -> None:
        """Write nothing more to it, and discard what its buffer still holds."""
        super().give_up()
        redirect_to_null(sys.stdout.fileno())
