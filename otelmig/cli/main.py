"""``otelmig``: finds the command, runs it, and turns errors into one line and an exit code.

Exit codes: 0 done; 1 a check failed, or a fault of otelmig itself; 2 usage or unreadable input; 3 found but not
(all) exported; 4 nothing found.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from otelmig import __version__
from otelmig.errors import OtelmigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Command", "main"]

_COMMANDS: Final = ("trace", "send", "explain", "doctor", "demo")
"""One module of this package each."""
_COLLECT: Final = (50_000, 20, 100)
"""Reading makes many small objects and few cycles: looking for cycles less often saves a third of the time."""
_INTERRUPTED: Final = 130
"""What shells report for a command that SIGINT ended."""


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
        epilog="Exit codes: 0 done; 1 a check failed; 2 usage or unreadable input; 3 found but not (all) exported; "
        "4 nothing found.",
    )
    parser.add_argument("--version", action="version", version=f"otelmig {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        module: Command = import_module(f"otelmig.cli.{name}")  # type: ignore[assignment] # modules are commands
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
    arguments = build_parser().parse_args(argv)
    gc.set_threshold(*_COLLECT)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except OtelmigError as error:
        print(f"otelmig: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # whoever read our output has seen enough; keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        # the one edge at which a fault of ours becomes one line
        if os.environ.get("OTELMIG_DEBUG"):
            raise
        print(
            f"otelmig: internal error: {type(error).__name__}: {error} (OTELMIG_DEBUG=1 shows where)", file=sys.stderr
        )
        return 1
    return code
