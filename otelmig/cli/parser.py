"""The parser of a command line: no abbreviations, a suggestion for what is misspelt, an answer in two lines."""

from __future__ import annotations

import argparse
import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NoReturn

from otelmig.cli.sink import Stdout
from otelmig.errors import ExitCode, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CommandLineError", "Parser", "answer"]

_OPTION: Final = re.compile(r"-[^\d\s]\S*")
"""What argparse takes for an option: neither ``-``, nor a negative number, nor a text with spaces in it."""


class CommandLineError(UsageError):
    """The command line cannot be understood; ``usage`` is the one line that says how it is written."""

    def __init__(self, text: str, *, usage: str, unknown: str | None = None, known: Iterable[str] = ()) -> None:
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


class Parser(argparse.ArgumentParser):
    """The parser of ``otelmig`` or of one of its commands."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - those of argparse
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

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
            self.error(f"there is no use for {rest[0]!r}")
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
        raise CommandLineError(message.removeprefix("argument "), usage=self.format_usage().rstrip())

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
            hint = suggestion(str(value), known) or f"; want one of {', '.join(known)}"
            raise argparse.ArgumentError(action, f"{value!r} is not known{hint}")
