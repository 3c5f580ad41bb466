"""Standard input, output and error: there whatever the caller did, and no work is lost when nobody listens."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from otelmig.cli.options.flags import with_flags
from otelmig.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "WIDEST",
    "clear_status",
    "colors_wanted",
    "columns",
    "encodes_everything",
    "flush_stderr",
    "open_missing",
    "prepare_stdout",
    "redirect_to_null",
    "say",
    "say_approximated",
    "say_last",
    "say_traceback",
    "show_status",
    "styled_text",
    "terminal_columns",
]

WIDEST: Final = 10_000
"""Columns of the widest text."""
_PIPED_WIDTH: Final = 100
"""Columns of a text whose reader is no terminal."""
_UNKNOWN_WIDTH: Final = 80
"""Columns of a terminal that does not tell how wide it is: a serial line, a container's, that of ``expect``."""
_MISSING: Final = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_RDWR, "w"))
"""How a closed stream is opened: reading from it, or writing results to it, fails as it should."""

_ERASE: Final = "\r\x1b[K"
"""Moves the cursor to the beginning of the line and erases the line."""
_UP: Final = "\x1b[1A"
"""Moves the cursor one line up."""

_STAND_INS: Final = str.maketrans({"━": "=", "╸": "-", "─": "-", "╴": "-", "█": "#", "░": ":"})
"""What is drawn where the encoding of a terminal has no such characters; for all others, a question mark."""
_STAND_IN: Final = "otelmig.stand_in"
"""The name by which Python's codecs know the function that puts them in."""
_STYLE: Final = re.compile(r"(\x1b\[[\d;]{0,32}m)")
"""What our own views write to a terminal that shows colours."""


class _Stdout:
    """What became of texts on standard output."""

    was_approximated = False


class _Status:
    """The line of progress on the terminal; a delivery in the background speaks on the same terminal."""

    lock = threading.RLock()
    lines = 0
    """How many are shown."""


def open_missing() -> None:
    """Open the streams that the caller closed (``>&-``), before a file or a socket gets their descriptors."""
    for number, (name, flags, mode) in enumerate(_MISSING):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, flags)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Return what is written in place of characters that an encoding does not have.

    Raises:
        UnicodeError: the error is about something else.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    _Stdout.was_approximated = True
    text = error.object[error.start : error.end].translate(_STAND_INS)
    return "".join(character if character.isascii() else "?" for character in text), error.end


def prepare_stdout() -> None:
    """Make standard output take every text: what its encoding does not have is approximated."""
    codecs.register_error(_STAND_IN, _stand_in)
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError):  # its descriptor was replaced by one that cannot seek: it stays as it is
            sys.stdout.reconfigure(errors=_STAND_IN)


def say_approximated() -> None:
    """Say, once, if standard output could not show what was printed as it is."""
    if _Stdout.was_approximated:
        _Stdout.was_approximated = False
        say(f"stdout cannot show some characters (its encoding is {sys.stdout.encoding}): others stand for them")


def encodes_everything() -> bool:
    """Whether the encoding of standard output has every character."""
    return codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")


def styled_text(text: str) -> str:
    """Return ``text`` without what controls a terminal, but for line feeds and styles such as bold and red."""
    parts = _STYLE.split(text)
    return "".join(part if number % 2 else printable(part, keep="\n") for number, part in enumerate(parts))


def columns() -> int:
    """Return the width of the terminal, or of ``COLUMNS``; 100 where there is neither."""
    return min(terminal_columns(_PIPED_WIDTH), WIDEST)


def terminal_columns(otherwise: int) -> int:
    """Return what ``shutil.get_terminal_size`` says, without ``shutil``: that loads every compression."""
    with suppress(ValueError):
        if (told := int(os.environ.get("COLUMNS", ""))) > 0:
            return told
    with suppress(ValueError, OSError):  # standard output is closed, or no terminal
        if sys.__stdout__ is not None:
            return os.get_terminal_size(sys.__stdout__.fileno()).columns or otherwise
    return otherwise


def colors_wanted() -> bool:
    """Whether standard output is a terminal that shows colours, and nothing says that it should not."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """Tell the user something, in one line on standard error."""
    say_last(f"otelmig: {printable(text)}")


def say_last(text: str) -> None:
    """Write one line on stderr as it is. Where nobody can read it, the work goes on all the same."""
    with _Status.lock:
        clear_status()
        with suppress(OSError):
            print(printable(with_flags(text), keep="\n"), file=sys.stderr)
        flush_stderr()


def say_traceback(error: BaseException) -> None:
    """Show where ``error`` comes from, if the user asks for that."""
    if os.environ.get("OTELMIG_DEBUG"):
        import traceback

        say_last("".join(traceback.format_exception(error)).rstrip())


def show_status(*lines: Sequence[str]) -> None:
    """Show lines on the terminal of stderr, in place of those before, until anything else is said.

    Each line is given as its fields: those for which the terminal is too narrow are left out. So are lines for which it
    is too low.
    """
    with _Status.lock, suppress(OSError):
        width, height = os.get_terminal_size(sys.stderr.fileno())
        shown = [_fitting(fields, width or _UNKNOWN_WIDTH) for fields in lines[: max(height - 1, 1)]]
        sys.stderr.write(_erased() + "\n".join(shown))
        _Status.lines = len(shown)
        sys.stderr.flush()


def clear_status() -> None:
    """Erase what :func:`show_status` showed."""
    with _Status.lock:
        if _Status.lines:
            with suppress(OSError):
                sys.stderr.write(_erased())
            _Status.lines = 0
            flush_stderr()


def _fitting(fields: Sequence[str], width: int) -> str:
    line = ""
    for field in fields:
        longer = f"{line}  {field}" if line else field
        line = longer if len(longer) < width else line
    return printable(line)


def _erased() -> str:
    """Return what erases the lines that are shown, and leaves the cursor where the first one began."""
    return _ERASE + f"{_UP}{_ERASE}" * max(_Status.lines - 1, 0)


def flush_stderr() -> None:
    """Flush stderr; discard the buffer if stderr is gone."""
    try:
        sys.stderr.flush()
    except OSError:
        redirect_to_null(sys.stderr.fileno())


def redirect_to_null(number: int) -> None:
    """Discard whatever is written to this descriptor, what is still in a buffer included."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
