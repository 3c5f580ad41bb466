"""The parser of a command line: no abbreviations, a suggestion for what is misspelt, an answer in two lines."""

from __future__ import annotations

import argparse
import re
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NoReturn

from otelmig.cli.console import terminal_columns
from otelmig.cli.sink import Stdout
from otelmig.errors import ExitCode, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CommandLineError", "Parser", "answer"]

_WIDTH: Final = 80
"""Columns of help whose reader is no terminal."""
_OPTION: Final = re.compile(r"-[^\d\s]\S*")
"""What argparse takes for an option: neither ``-``, nor a negative number, nor a text with spaces in it."""


_MISSING_VALUE: Final = re.compile(r"expected (?:one|at least one|at most one) argument")
_NEEDLESS_VALUE: Final = re.compile(r"ignored explicit argument '(.*)'", re.DOTALL)
_MISSING_FILES: Final = "the following arguments are required: "
"""What argparse says; the rest of its sentences is not used here."""


class CommandLineError(UsageError):
    """The command line cannot be understood.

    ``usage`` is the one line that says how it is written; None stands for that of the command that runs.
    """

    def __init__(
        self, text: str, *, usage: str | None = None, unknown: str | None = None, known: Iterable[str] = ()
    ) -> None:
        super().__init__(text, unknown=unknown, known=known)
        self.usage = usage


def answer(text: str) -> NoReturn:
    """Print what was asked for instead of any work, and leave.

    Raises:
        SystemExit: always; its code says whether the text could be written.
    """
    stdout = Stdout()
    stdout.print(text)
    stdout.flush()
    raise SystemExit(ExitCode.NOT_EXPORTED if stdout.failed else ExitCode.DONE)


class _Help(argparse.RawDescriptionHelpFormatter):
    """The help as argparse writes it; it makes one for each option that is added, which would load ``shutil``."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_columns(_WIDTH) - 2)


class Parser(argparse.ArgumentParser):
    """The parser of ``otelmig`` or of one of its commands."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - those of argparse
        if sys.version_info >= (3, 14):
            settings["color"] = False  # help is read in files and pages, too, and nothing but views has colours
        super().__init__(allow_abbrev=False, formatter_class=_Help, **settings)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse options and files in any order; after ``--`` everything is a file.

        Raises:
            CommandLineError: an argument is unknown, malformed or missing.
            SystemExit: help was asked for, and printed.
        """
        before = list(takewhile(lambda word: word != "--", arguments))
        after = (f"./{word}" if _OPTION.fullmatch(word) else word for word in arguments[len(before) + 1 :])
        for word in before:
            if _OPTION.fullmatch(word) and not self.has_option(word):
                option = word.partition("=")[0]
                self.error(f"there is no option {option}{suggestion(option, self._option_string_actions)}")
        namespace, rest = self.parse_known_intermixed_args([*before, *after])
        if rest:
            self.error(f"{rest[0]!r} is one argument too many: {self.prog} takes options only")
        if "" in getattr(namespace, "files", ()):  # as a path it would be the working directory
            self.error("FILE '': want a name that is not empty")
        return namespace

    def has_option(self, word: str) -> bool:
        """Whether ``word`` is one of its options, alone or with its value (``--width=80``, ``-oFILE``)."""
        known = self._option_string_actions
        return word.partition("=")[0] in known or (not word.startswith("--") and word[:2] in known)

    def error(self, message: str) -> NoReturn:
        """Answer a command line that cannot be understood.

        Raises:
            CommandLineError: always.
        """
        if message.startswith("argument "):
            names, _, flaw = message.removeprefix("argument ").partition(": ")
            message = self._wanted(names.rpartition("/")[2], flaw)
        elif message.startswith(_MISSING_FILES):
            message = f"want at least one {message.removeprefix(_MISSING_FILES)}"
        raise CommandLineError(message, usage=self.format_usage().rstrip())

    def _wanted(self, option: str, flaw: str) -> str:
        """Return what is wrong with an option as ``OPTION VALUE: want ...``; the types below begin with the value."""
        if _MISSING_VALUE.fullmatch(flaw):
            action = self._option_string_actions[option]
            value = action.metavar or f"one of {', '.join(map(str, action.choices or ()))}"
            return f"{option}: want {value} after it"
        needless = _NEEDLESS_VALUE.fullmatch(flaw)
        return f"{option} {flaw}" if needless is None else f"{option} {needless[1]}: want no value"

    def print_help(self, file: object = None) -> NoReturn:
        """Print the help and leave.

        Raises:
            SystemExit: always; its code says whether the help could be written.
        """
        del file  # the interface of argparse
        answer(self.format_help().rstrip())

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401 - as in argparse
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action, f"{value}: want one of {', '.join(known)}{suggestion(str(value), known)}"
            )
