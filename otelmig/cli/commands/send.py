"""``otelmig send``: archives and the spool to a receiver, each trace once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import say
from otelmig.cli.envelope import RunReport
from otelmig.cli.options.export import add_export_arguments, files_to_read, open_delivery, say_waiting
from otelmig.cli.parser import CommandLineError
from otelmig.errors import InputError
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otelmig.cli.envelope import Envelope
    from otelmig.otlp.delivery import Delivery
    from otelmig.otlp.payload import Payload

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "prepare_parser", "run"]

OPERANDS: Final = "[FILE]..."
DESCRIPTION: Final = """\
Send archives, or what the spool holds, to an OTLP receiver, each trace once.
An archive holds one OTLP/JSON request on each line, as otelmig trace -o and
the Collector's file exporter write it; pretty-printed requests, and arrays of
them, are read, too. What was delivered is remembered in the spool, so an
interrupted run resumes where it stopped."""
EXAMPLES: Final = """\
  otelmig send --otlp http://collector:4318
  otelmig send migrations.jsonl.gz --otlp http://collector:4318
  otelmig send migrations.jsonl --dry-run
"""
_MOST_NAMED: Final = 10
"""At most this many broken lines are named; the others are only counted."""


class _Report(RunReport):
    schema: ClassVar[str] = "otelmig.send/1"
    has_notes: ClassVar[bool] = False

    def __init__(self, envelope: Envelope, delivery: Delivery, *, from_spool: bool, dry_run: bool) -> None:
        super().__init__()
        self.envelope, self.delivery = envelope, delivery
        self.from_spool = from_spool
        """Whether the spool is sent, and no archive."""
        self.dry_run = dry_run
        self.already_delivered = 0
        """Traces that a dry run would not send."""
        self.other_signals = 0
        """Lines of metrics, logs or profiles, which are passed over."""
        self.usable = True
        """Whether the spool could be used, where it is what is sent."""

    @property
    def unit(self) -> str:
        """What is counted: an archive of another program may hold several traces in a line."""
        return "trace" if self.from_spool else "line"

    @property
    def broken(self) -> int:
        """Lines that cannot be sent; a dry run counts nothing else as not exported."""
        return self.delivery.account.not_exported.traces

    @property
    def complete(self) -> bool:
        """Whether the receiver has, or would have, everything."""
        account = self.delivery.account
        if self.dry_run:
            return not self.broken
        return account.complete and self.usable and not account.evicted.traces

    @property
    def nothing_found(self) -> bool:
        """Whether archives held nothing; that the spool is empty is good news."""
        return not self.from_spool and not self._total()

    def account(self) -> str:
        """Return how many lines or traces were found, and what became, or would become, of them."""
        counted = f"{plural(self._total(), self.unit)} found"
        others = f"; {plural(self.other_signals, 'line')} of other signals passed over" if self.other_signals else ""
        unread = f"{others}{self.envelope.unread()}"
        if not self.dry_run:
            return f"{counted}, {self.delivery.account.words()}{unread}"
        broken = f", {self.broken} broken" if self.broken else ""
        return (
            f"{counted}, {self.found - self.already_delivered} would be sent to {self.delivery.display_url}, "
            f"{self.already_delivered} already delivered{broken}{unread}"
        )

    def document(self) -> Mapping[str, object]:
        """Return the account of the delivery, or the plan of it."""
        if not self.dry_run:
            return {"delivery": self.delivery.document(), "other_signals": self.other_signals}
        plan = {
            "endpoint": self.delivery.display_url,
            "found": self._total(),
            "already_delivered": self.already_delivered,
            "broken_line": self.broken,
        }
        return {"dry_run": plan, "other_signals": self.other_signals}

    def show_progress(self) -> None:
        """Show how many traces or lines the receiver has accepted so far."""
        self.envelope.progress.count(f"{plural(self.delivery.account.exported.traces, self.unit)} exported")

    def _total(self) -> int:
        if self.dry_run:
            return self.found + self.broken
        return sum(tally.traces for tally in self.delivery.account.totals)


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig send``."""
    parser.add_argument_group("inputs").add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="archives, compressed or not (-: standard input), or the directory of a spool (default: the spool)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")
    add_export_arguments(parser)


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Send what was named."""
    from otelmig.otlp.background import BackgroundDelivery
    from otelmig.otlp.delivery import Origin

    files = [Path(file) for file in files_to_read(arguments)]
    spools = [path for path in files if path.is_dir()]
    if spools and (len(files) > 1 or arguments.spool):
        raise CommandLineError("want one spool, or archives and at most --spool DIR")
    if spools:
        arguments.spool = str(spools[0])
        files = []
    if not files and arguments.no_spool:
        raise CommandLineError("nothing to send: want archives, or a spool")
    delivery = open_delivery(arguments, os.environ)
    report = _Report(envelope, delivery, from_spool=not files, dry_run=arguments.dry_run)
    envelope.report = report
    if arguments.dry_run:
        payloads = _payloads(files, report, delivery.account.count_broken_line) if files else None
        report.found, report.already_delivered = delivery.plan(payloads)
        return
    try:
        with BackgroundDelivery(
            delivery, origin=Origin.ARCHIVE, while_waiting=report.show_progress, on_wait=say
        ) as background:
            if files:
                for number, payload in enumerate(_payloads(files, report, background.add_broken_line)):
                    if not number:  # before that it is not known whether there is anything to send
                        delivery.preflight()
                    background.add(payload)
                    report.show_progress()
                background.finish()
            else:
                if delivery.may_hold_traces():
                    delivery.preflight()
                report.usable = background.deliver_spool()
    finally:
        say_waiting(delivery)


def _payloads(paths: Sequence[Path], report: _Report, count_broken: Callable[[], None]) -> Iterator[Payload]:
    """Yield the requests in archives that can be sent; count those that cannot, and name the first of them."""
    from otelmig.inputs import open_input
    from otelmig.otlp.archive import documents
    from otelmig.otlp.payload import NotJsonError, OtherSignalError, Payload

    broken = 0
    envelope = report.envelope
    envelope.progress.expect(paths)
    for path in paths:
        try:
            file = open_input(path, envelope.progress.on_read, say)
        except InputError as error:
            envelope.error([error])
            continue
        for document in documents(file.chunks()):
            try:
                payload = Payload.of_line(document.line)
            except OtherSignalError:
                report.other_signals += 1
                continue
            except InputError as error:
                broken += 1
                count_broken()
                if broken <= _MOST_NAMED:
                    why = document.flaw if document.flaw and isinstance(error, NotJsonError) else error
                    more = "; more such lines are only counted" if broken == _MOST_NAMED else ""
                    say(f"{file.name}:{document.number}: {why}{more}")
                continue
            yield payload
        envelope.error(InputError(damage) for damage in file.damage)
