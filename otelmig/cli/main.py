"""``otelmig``: finds the command, runs it, and turns errors into one line and an exit code.

``otelmig`` alone prints how it is used, on stderr, and ends with 2: a script that lost its arguments did not succeed.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, cast

from otelmig.cli.commands import COMMANDS
from otelmig.cli.console import open_missing, prepare_stdout, say, say_last, say_traceback
from otelmig.cli.envelope import Envelope
from otelmig.cli.parser import CommandLineError, Parser, answer
from otelmig.errors import ExitCode, OtelmigError, UsageError, suggestion
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["GARBAGE_THRESHOLDS", "Command", "build_parser", "main"]

_USAGE: Final = "otelmig COMMAND [OPTION]... [FILE]..."
_DESCRIPTION: Final = """\
Turn the logs of both hosts into one OpenTelemetry trace for each live
migration of a virtual machine."""
_MORE: Final = "otelmig help COMMAND shows the options of a command."
_ANSWERS: Final = ("help", "--version", "--help")
"""What may stand in place of a command."""
_COMMAND_MODULES: Final = "otelmig.cli.commands"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""How a service manager, a container runtime or a closed terminal ends a process."""
GARBAGE_THRESHOLDS: Final = (50_000, 20, 100)
"""Thresholds of the garbage collector: reading makes many small objects and few cycles, so looking for cycles less
often saves a third of the time."""


class Command(Protocol):
    """What the module of a command offers; importing it must be cheap, ``run`` loads what the work needs."""

    OPERANDS: str
    """What follows the options on the usage line."""
    DESCRIPTION: str
    EXAMPLES: str
    """Lines of a shell."""

    @staticmethod
    def prepare_parser(parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    @staticmethod
    def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
        """Do the work: set the report of ``envelope`` first, then tell and show everything through it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command with ``argv`` (default: the arguments of the process); return the exit code."""
    open_missing()
    prepare_stdout()
    with _signals_as_interrupts():
        code = _main(argv)
    if argv is None and code == ExitCode.INTERRUPTED and threading.active_count() > 1:
        _leave_at_once(code)
    if argv is None:
        gc.freeze()  # the process ends now: what is still there need not be looked through for cycles once more
    return code


def _leave_at_once(code: int) -> NoReturn:
    """End the process without its threads: the user interrupted the wait for what one of them does."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Make the signals that end a process by default interrupt the run, so that it says how far it came."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup has the first of them ignored
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _main(argv: Sequence[str] | None) -> int:
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    envelope: Envelope | None = None
    parser: Parser | None = None
    try:
        parser, command, arguments = _read(list(sys.argv[1:] if argv is None else argv))
        envelope = Envelope(arguments)
        command.run(arguments, envelope)
        return envelope.finish()
    except UsageError as error:
        for unread in getattr(error, "__notes__", ()):
            say(unread)
        usage = error.usage if isinstance(error, CommandLineError) else None
        if error.is_miswritten or isinstance(error, CommandLineError):
            say_last(usage or (f"usage: {_USAGE}" if parser is None else parser.format_usage().rstrip()))
        say(str(error))
        return error.exit_code
    except OtelmigError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted(envelope)
    except SystemExit as leaving:  # help or the version was printed
        return int(leaving.code or 0)
    except Exception as error:  # noqa: BLE001 - the one edge at which a fault of ours becomes one line
        say_traceback(error)
        say(f"internal error: {type(error).__name__}: {error} (OTELMIG_DEBUG=1 shows where)")
        return ExitCode.INTERNAL_ERROR


def _interrupted(envelope: Envelope | None) -> ExitCode:
    """Say how far the run came, unless that is interrupted, too."""
    with suppress(KeyboardInterrupt):
        if envelope is None:
            say_last("interrupted")
        else:
            envelope.interrupt()
    return ExitCode.INTERRUPTED


def build_parser() -> Parser:
    """Return the parser of everything, for documents and tests."""
    parser = _outer_parser()
    commands = parser.add_subparsers(dest="command", prog="otelmig", help=argparse.SUPPRESS, parser_class=Parser)
    for name in COMMANDS:
        _prepare(commands.add_parser(name), name)
    return parser


def _outer_parser() -> Parser:
    """Return the parser of ``otelmig`` itself, which knows what the commands do, but not their options."""
    listed = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    codes = "\n".join(f"  {code:>3}  {code.meaning}" for code in ExitCode)
    parser = Parser(
        prog="otelmig",
        usage=_USAGE,
        description=f"{_DESCRIPTION}\n\ncommands:\n{listed}\n\n{_MORE}",
        epilog=f"exit codes:\n{codes}",
    )
    parser.add_argument("-V", "--version", action="version", help="show the version and exit")
    return parser


def _prepare(parser: Parser, name: str) -> Command:
    """Make ``parser`` that of the command ``name``."""
    command = cast("Command", import_module(f"{_COMMAND_MODULES}.{name}"))  # modules are commands
    parser.usage = f"otelmig {name} [OPTION]... {command.OPERANDS}".rstrip()
    parser.description = command.DESCRIPTION
    parser.epilog = f"examples:\n{command.EXAMPLES}\nExit codes: see otelmig --help."
    command.prepare_parser(parser)
    return command


def _read(argv: list[str]) -> tuple[Parser, Command, argparse.Namespace]:
    """Find the command, make its parser and parse its arguments.

    Raises:
        CommandLineError: there is no such command, or its arguments cannot be understood.
        SystemExit: help or the version was asked for, or nothing at all; the answer is printed.
    """
    match argv:
        case []:
            say_last(_outer_parser().format_help().partition("\n\noptions:")[0])
            raise SystemExit(ExitCode.USAGE)
        case ["-h" | "--help", *_] | ["help"] | ["help", "help" | "-h" | "--help", *_]:
            _outer_parser().print_help()
        case ["-V" | "--version", *_]:
            answer(f"otelmig {__version__}")
        case ["help", name, *_]:
            argv = [name, "--help"]
    name, *rest = argv
    if name not in COMMANDS:
        raise _no_command(name, argv)
    parser = Parser(prog=f"otelmig {name}")
    command = _prepare(parser, name)
    return parser, command, parser.parse(rest)


def _no_command(word: str, argv: list[str]) -> CommandLineError:
    """Return the error for a first argument that is no command, with what was probably meant."""
    import shlex
    from pathlib import Path

    text, meant, known = f"there is no command {word!r}", "", [*COMMANDS, *_ANSWERS]
    if word.startswith("-") and word != "-":
        text = f"there is no option {word.partition('=')[0]} before a command"
        known.reverse()  # an option is rather an option
        parser = Parser(prog="otelmig trace")
        _prepare(parser, "trace")
        meant = "trace" if parser.has_option(word) else ""
    elif "help" not in argv and (word == "-" or "/" in word or "." in word or Path(word).exists()):
        meant = "send" if ".jsonl" in word else "trace"
    hint = f"; did you mean: {shlex.join(['otelmig', meant, *argv])}" if meant else suggestion(word, known)
    return CommandLineError(text + (hint or "; otelmig --help lists the commands"), usage=f"usage: {_USAGE}")
