"""``otelmig send``: archives and the spool to a receiver, each trace once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import say, say_last
from otelmig.cli.options.export import add_export_arguments, given_files, open_delivery, say_waiting
from otelmig.cli.sink import Stdout, counted
from otelmig.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.otlp.delivery import Delivery
    from otelmig.otlp.payload import Payload

__all__ = ["EPILOG", "HELP", "prepare_parser", "run"]

HELP: Final = "send archives, or what the spool holds, to a receiver: each trace once"
EPILOG: Final = """\
An archive is OTLP/JSON, one request a line, as otelmig trace -o and the Collector's file exporter write it. What was
delivered is remembered in the spool, so an interrupted run goes on where it was.

examples:
  otelmig send --otlp http://collector:4318                 # what the spool holds
  otelmig send migrations.jsonl.gz --otlp http://collector:4318
  otelmig send migrations.jsonl --dry-run
"""
_LONGEST_LINE: Final = 64 << 20
_TOO_LONG: Final = "the line is too long"
_CUT_OFF: Final = "the line is cut off"
_SAID: Final = 10
"""So many broken lines are named one by one."""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig send``."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="archives, compressed or not (- for standard input), or the directory of a spool (default: the spool)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    parser.add_argument("--json", action="store_true", help="print the account for scripts")
    add_export_arguments(parser)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Send what was named."""
    from otelmig.otlp.background import carrier  # noqa: PLC0415 - `--help` needs none of it
    from otelmig.otlp.delivery import Origin  # noqa: PLC0415 - the same

    files = [Path(file) for file in given_files(arguments)]
    spools = [path for path in files if path.is_dir()]
    if spools and (len(files) > 1 or arguments.spool):
        raise UsageError("want one spool, or archives and at most --spool DIR")
    if spools:
        arguments.spool = str(spools[0])
        files = []
    if not files and arguments.no_spool:
        raise UsageError("nothing to send: want archives, or a spool")
    delivery = open_delivery(arguments, os.environ)
    archives = _Archives(files, delivery)
    if arguments.dry_run:
        return _dry_run(arguments, delivery, archives, from_spool=not files)
    delivery.preflight()
    with delivery, carrier(delivery) as carry:
        delivery.open_spool()
        if files:
            carry(delivery.deliver, archives.payloads(), Origin.ARCHIVE).result()
        readable = bool(files) or carry(delivery.deliver_spool).result()
    account = delivery.account
    given = sum(each.traces for each in account.given)
    stdout = Stdout()
    if arguments.json:
        document = {
            "schema": "otelmig.send/1",
            "delivery": delivery.document(),
            "errors": [str(error) for error in archives.errors],
        }
        stdout.print(json.dumps(document, indent=2, ensure_ascii=False))
    stdout.flush()
    say_waiting(delivery)
    say_last(f"{counted(given, 'line' if files else 'trace')} found, {account.words()}{archives.words()}")
    complete = account.complete and readable and not (stdout.failed or account.evicted.traces)
    return archives.exit_code(given, complete=complete)


class _Archives:
    """The lines of the files that were named."""

    def __init__(self, paths: Sequence[Path], delivery: Delivery) -> None:
        self.errors: list[InputError] = []
        self._paths = paths
        self._delivery = delivery
        self._broken = 0

    def payloads(self) -> Iterator[Payload]:
        """What can be sent; what cannot is counted, and the first of it named."""
        from otelmig.inputs import open_input  # noqa: PLC0415 - `--help` needs none of it
        from otelmig.otlp.payload import Payload  # noqa: PLC0415 - the same

        for path in self._paths:
            try:
                file = open_input(path)
            except InputError as error:
                self.errors.append(error)
                say(str(error))
                continue
            for number, (line, flaw) in enumerate(_lines(file.chunks()), 1):
                if not line.strip() and flaw != _TOO_LONG:
                    continue
                try:
                    yield Payload.of_line(line)
                except InputError as error:
                    self._break(f"{file.name}:{number}: {flaw or error}")
            for damage in file.damage:
                self.errors.append(InputError(damage))
                say(damage)

    def _break(self, what: str) -> None:
        self._broken += 1
        self._delivery.account.break_line()
        if self._broken <= _SAID:
            say(f"{what}{'; more such lines are only counted' if self._broken == _SAID else ''}")

    def words(self) -> str:
        """What the account line says of inputs that were not read."""
        return f"; {counted(len(self.errors), 'input')} not read" if self.errors else ""

    def exit_code(self, found: int, *, complete: bool) -> ExitCode:
        """What the shell is told of a run that found so many; ``complete``: nothing of it is, or would be, left."""
        if not complete:
            return ExitCode.NOT_EXPORTED
        if self.errors:
            return ExitCode.USAGE
        return ExitCode.DONE if found or not self._paths else ExitCode.NOTHING_FOUND


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    """Each line without its end, and what is wrong with it if it cannot be used; one that is too long is left out."""
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for each in whole:
            yield (b"", _TOO_LONG) if size + len(each) > _LONGEST_LINE else (b"".join([*pieces, each]), "")
            pieces, size = [], 0
        size += len(last)
        if size > _LONGEST_LINE:
            pieces = []
        else:
            pieces.append(last)
    if size:
        yield (b"", _TOO_LONG) if size > _LONGEST_LINE else (b"".join(pieces), _CUT_OFF)


def _dry_run(arguments: argparse.Namespace, delivery: Delivery, archives: _Archives, *, from_spool: bool) -> ExitCode:
    found, known = delivery.plan(None if from_spool else archives.payloads())
    broken = delivery.account.not_exported.traces
    stdout = Stdout()
    if arguments.json:
        plan = {"endpoint": delivery.place, "found": found + broken, "already_delivered": known, "broken_line": broken}
        document = {"schema": "otelmig.send/1", "dry_run": plan, "errors": [str(error) for error in archives.errors]}
        stdout.print(json.dumps(document, indent=2, ensure_ascii=False))
    stdout.flush()
    say_last(
        f"{counted(found + broken, 'trace' if from_spool else 'line')} found, {found - known} would be sent to "
        f"{delivery.place}, {known} already delivered{f', {broken} broken' if broken else ''}{archives.words()}"
    )
    return archives.exit_code(found + broken, complete=not (broken or stdout.failed))
