"""Where traces go: the options, the outputs one after the other, and the account of what became of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from otelmig.cli.atomic_file import STDOUT, AtomicFile, is_stdout
from otelmig.cli.console import PIPED_WIDTH
from otelmig.cli.options.export import add_export_arguments, open_delivery, say_waiting
from otelmig.cli.sink import Sink, Stdout, counted
from otelmig.errors import ExitCode, UsageError
from otelmig.trace import attributes as names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from otelmig.otlp.account import Account as DeliveryAccount
    from otelmig.otlp.delivery import Delivery
    from otelmig.pipeline import Findings
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.span import Trace

__all__ = ["Account", "Outputs", "add_output_arguments"]


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where traces go."""
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="write OTLP/JSON, one trace a line (- for stdout)")
    output.add_argument("--json", action="store_true", help="print a stable summary for scripts, not the waterfall")
    output.add_argument("--strict", action="store_true", help="exit with 1 if the clocks of a migration contradict")
    output.add_argument("-q", "--quiet", action="store_true", help="print no waterfall")
    output.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")
    output.add_argument("--width", type=int, metavar="COLUMNS", help="of the waterfall (default: the terminal's)")
    add_export_arguments(parser)


class Account:
    """What became of the traces."""

    def __init__(self) -> None:
        self.found = 0
        self.conflicts = 0
        self.written: tuple[int, str] | None = None
        self.delivery: DeliveryAccount | None = None
        self.output_failed = False
        """A file or standard output had to be given up."""

    def line(self, findings: Findings) -> str:
        """The last line on stderr."""
        parts = [counted(self.found, "migration") + " found"]
        if self.conflicts:
            parts.append(f"{self.conflicts} with clocks that contradict each other")
        if self.written is not None:
            parts.append(f"{self.written[0]} written to {self.written[1]}")
        if self.delivery is not None:
            parts.append(self.delivery.words())
        lost = sum(findings.not_understood.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(findings.not_understood.items()))
        unread = f"; {counted(len(findings.errors), 'input')} not read" if findings.errors else ""
        return f"{', '.join(parts)}; {counted(lost, 'line')} not understood{f' ({reasons})' if reasons else ''}{unread}"

    def exit_code(self, findings: Findings, *, strict: bool) -> ExitCode:
        """What the shell is told."""
        if self.output_failed or (self.delivery is not None and not self.delivery.complete):
            return ExitCode.NOT_EXPORTED
        if findings.errors:
            return ExitCode.USAGE
        if strict and self.conflicts:
            return ExitCode.CHECK_FAILED
        return ExitCode.DONE if self.found else ExitCode.NOTHING_FOUND


class Outputs:
    """Everything that was asked for, opened before the logs are read: a wrong URL need not wait for them."""

    def __init__(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
        """Look at the options; if there is an export, ask the receiver whether it is one.

        Raises:
            UsageError: an option is malformed.
        """
        from otelmig.otlp.receiver.settings import environment_exports  # noqa: PLC0415 - `--help` needs none of it

        self._arguments = arguments
        if arguments.output is not None and is_stdout(arguments.output):
            arguments.output = STDOUT
            if arguments.json:
                raise UsageError("-o - and --json would both write to standard output")
        self._delivery: Delivery | None = None
        if arguments.otlp is not None or environment_exports(environ):
            self._delivery = open_delivery(arguments, environ)
            self._delivery.preflight()

    def put_out(self, findings: Findings, options: TraceOptions) -> Account:
        """Every trace to every output, one after the other."""
        account = Account()
        summaries: list[dict[str, object]] = []
        target = self._arguments.output
        stdout = Stdout()
        written: Sink = stdout
        traces: Iterable[Trace] = findings.traces(options)
        if target is not None:
            written = stdout if target == STDOUT else Sink(target)
            traces = _written(traces, account, written)
        traces = _printed(traces, self._arguments, account, summaries, stdout)
        if self._delivery is None:
            for _ in traces:
                pass
        else:
            account.delivery = self._delivery.account
            with self._delivery:
                _deliver(self._delivery, traces)
        if self._delivery is not None:
            say_waiting(self._delivery)
        if self._arguments.json:
            document = {
                "schema": "otelmig.summary/1",
                "migrations": summaries,
                "delivery": None if self._delivery is None else self._delivery.document(),
                "not_understood": dict(sorted(findings.not_understood.items())),
                "notes": list(findings.notes),
                "errors": [str(error) for error in findings.errors],
            }
            stdout.print(json.dumps(document, indent=2, ensure_ascii=False))
        stdout.flush()
        account.output_failed = stdout.failed or written.failed
        return account


def _deliver(delivery: Delivery, traces: Iterable[Trace]) -> None:
    """While a batch is on its way, and waits for the disk and the receiver, the next one is read and built."""
    from otelmig.otlp.background import carrier  # noqa: PLC0415 - only where there is an export
    from otelmig.otlp.delivery import PER_BATCH, Origin  # noqa: PLC0415 - the same
    from otelmig.otlp.payload import Payload  # noqa: PLC0415 - the same

    payloads = map(Payload.of_trace, traces)
    with carrier(delivery) as carry:
        on_its_way: Future[None] | None = None
        while batch := list(islice(payloads, PER_BATCH)):
            if on_its_way is None:
                delivery.open_spool()
            else:
                on_its_way.result()
            on_its_way = carry(delivery.deliver, batch, Origin.TRACED)
        if on_its_way is not None:
            on_its_way.result()
        carry(delivery.deliver_leftovers).result()


def _written(traces: Iterable[Trace], account: Account, sink: Sink) -> Iterator[Trace]:
    """Pass the traces on, each written to ``sink`` as a line."""
    from otelmig.otlp.encoding.json_lines import json_line  # noqa: PLC0415 - only where it is asked for

    count = 0
    with ExitStack() as stack:
        archive: AtomicFile | None = None
        if not isinstance(sink, Stdout):
            with sink.guarded():
                archive = stack.enter_context(AtomicFile(Path(sink.name)))
        file = sys.stdout.buffer if archive is None else archive.file
        for trace in traces:
            if sink.alive:
                line = json_line(trace)
                with sink.guarded():
                    file.write(line)
                    count += 1
            yield trace
        if sink.alive:
            with sink.guarded():
                file.flush()
                if archive is not None:
                    archive.finish()
    if sink.alive:
        account.written = (count, sink.name)


def _printed(
    traces: Iterable[Trace],
    arguments: argparse.Namespace,
    account: Account,
    summaries: list[dict[str, object]],
    stdout: Stdout,
) -> Iterator[Trace]:
    """Pass the traces on, each printed as a waterfall or summed up."""
    quiet = arguments.quiet or arguments.output == STDOUT
    for trace in traces:
        account.found += 1
        account.conflicts += trace.root.attributes.get(names.OTELMIG_CLOCK_STATUS) == "conflict"
        if arguments.json:
            from otelmig.views.summary import summary  # noqa: PLC0415 - only where it is asked for

            summaries.append(summary(trace))
        elif not quiet and stdout.alive:
            _print_waterfall(trace, arguments, stdout, first=account.found == 1)
        yield trace


def _print_waterfall(trace: Trace, arguments: argparse.Namespace, stdout: Stdout, *, first: bool) -> None:
    from otelmig.views.waterfall import render_waterfall  # noqa: PLC0415 - only where it is asked for

    terminal = sys.stdout.isatty()
    width = arguments.width or shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
    color = arguments.color == "always" or (
        arguments.color == "auto" and terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
    text = render_waterfall(trace, width=width, color=color)
    stdout.print(("" if first else "\n") + text.rstrip("\n"), flush=terminal)
