"""``otelmig``: finds the command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import gc
import os
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from otelmig.cli.console import flush_stderr, open_missing, say
from otelmig.cli.sink import Stdout
from otelmig.errors import ExitCode, OtelmigError
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
        epilog=f"Exit codes: {'; '.join(f'{code} {code.meaning}' for code in ExitCode)}.",
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
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one edge at which a fault of ours becomes one line
        if os.environ.get("OTELMIG_DEBUG"):
            import traceback  # noqa: PLC0415 - only after a fault

            traceback.print_exc()
        say(f"internal error: {type(error).__name__}: {error} (OTELMIG_DEBUG=1 shows where)")
        return ExitCode.INTERNAL_ERROR
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
            raise SystemExit(ExitCode.NOT_EXPORTED) from None
        raise
