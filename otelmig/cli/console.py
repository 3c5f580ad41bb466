"""Standard input, output and error: there whatever the caller did, and no work is lost when nobody listens."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

__all__ = ["PIPED_WIDTH", "flush_stderr", "open_missing", "redirect_to_null", "say", "say_last"]

PIPED_WIDTH: Final = 100
"""Columns, where standard output is no terminal."""
_MISSING: Final = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_RDWR, "w"))
"""What a closed stream is opened as: reading it, or writing results to it, fails as it should."""


def open_missing() -> None:
    """Open the streams that the caller closed (``>&-``), before a file or a socket gets their descriptors."""
    for number, (name, flags, mode) in enumerate(_MISSING):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, flags)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays


def say(text: str) -> None:
    """Tell the user something in one line on standard error."""
    say_last(f"otelmig: {text}")


def say_last(text: str) -> None:
    """The last line, which does not say who speaks. If nobody can hear, the work and its exit code are the same."""
    with suppress(OSError):
        print(text, file=sys.stderr)
    flush_stderr()


def flush_stderr() -> None:
    """Have what was said out of the buffer, to wherever."""
    try:
        sys.stderr.flush()
    except OSError:
        redirect_to_null(sys.stderr.fileno())


def redirect_to_null(number: int) -> None:
    """Whatever is written to this descriptor, now in a buffer or later, is gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
