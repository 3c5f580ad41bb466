"""``otelmig``: finds the command, runs it, and turns errors into one line and an exit code.

Exit codes: 0 done; 1 a check failed, or a fault of otelmig itself; 2 usage or unreadable input; 3 found but not
(all) exported; 4 nothing found; 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import os
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from otelmig.cli.console import flush_stderr, open_missing, say
from otelmig.cli.exit_codes import INTERNAL_ERROR, INTERRUPTED
from otelmig.cli.sink import Stdout
from otelmig.errors import ExportError, OtelmigError
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Command", "main"]

_COMMANDS: Final = ("trace", "send", "explain", "doctor", "demo")
"""One module of this package each."""
_COLLECT: Final = (50_000, 20, 100)
"""Reading makes many small objects and few cycles: looking for cycles less often saves a third of the time."""


class Command(Protocol):
    """What the module of a command offers; importing it must be cheap, ``run`` loads what the work needs."""

    HELP: str
    EPILOG: str

    @staticmethod
    def prepare_parser(parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    @staticmethod
    def run(arguments: argparse.Namespace) -> int:
        """Do the work; the result is the exit code."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="otelmig",
        description="One OpenTelemetry trace per live migration, across both hosts, from the logs that are there.",
        epilog="Exit codes: 0 done; 1 a check failed (--strict), or a fault of otelmig itself; 2 usage or unreadable "
        "input; 3 found but not (all) exported; 4 nothing found; 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"otelmig {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        module: Command = import_module(f"otelmig.cli.commands.{name}")  # type: ignore[assignment] # modules are commands
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.prepare_parser(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    open_missing()
    gc.set_threshold(*_COLLECT)
    try:
        arguments = _parsed(argv)
        code: int = arguments.run(arguments)
    except OtelmigError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # the one edge at which a fault of ours becomes one line
        if os.environ.get("OTELMIG_DEBUG"):
            raise
        say(f"internal error: {type(error).__name__}: {error} (OTELMIG_DEBUG=1 shows where)")
        return INTERNAL_ERROR
    return code


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; where they ask for help, or are wrong, that is printed and the command is over."""
    try:
        return build_parser().parse_args(argv)
    except SystemExit:
        flush_stderr()
        stdout = Stdout()
        stdout.flush()
        if stdout.failed:
            raise SystemExit(ExportError.exit_code) from None
        raise
