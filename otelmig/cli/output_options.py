"""Where traces go: the options, the outputs one after the other, and the account of what became of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.errors import ExportError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from otelmig.pipeline import Findings
    from otelmig.trace.build import TraceOptions
    from otelmig.trace.span import Trace

__all__ = ["Account", "add_output_arguments", "put_out"]

_PIPED_WIDTH: Final = 100
_NOTHING_FOUND: Final = 4


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where traces go."""
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="write OTLP/JSON, one trace a line (- for stdout)")
    output.add_argument("--json", action="store_true", help="print a stable summary for scripts, not the waterfall")
    output.add_argument("-q", "--quiet", action="store_true", help="print no waterfall")
    output.add_argument(
        "--otlp",
        nargs="?",
        const="",
        metavar="URL",
        help="export (default: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318)",
    )
    output.add_argument(
        "--protocol",
        choices=("http/protobuf", "grpc"),
        help="OTLP transport (default: OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf)",
    )
    output.add_argument("--timeout", type=float, metavar="SECONDS", help="for one export, with its retries")
    output.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")
    output.add_argument("--width", type=int, metavar="COLUMNS", help="of the waterfall (default: the terminal's)")


class Account:
    """What became of the traces."""

    def __init__(self) -> None:
        self.found = 0
        self.written: tuple[int, str] | None = None
        self.exported: int | None = None
        self.failures: list[str] = []

    def line(self, findings: Findings) -> str:
        """The last line on stderr."""
        parts = [_count(self.found, "migration") + " found"]
        if self.written is not None:
            parts.append(f"{self.written[0]} written to {self.written[1]}")
        if self.exported is not None:
            parts.append(f"{self.exported} exported")
            if self.exported < self.found:
                parts.append(f"{self.found - self.exported} not exported")
        lost = sum(findings.not_understood.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(findings.not_understood.items()))
        unread = f"; {_count(len(findings.errors), 'input')} not read" if findings.errors else ""
        return f"{', '.join(parts)}; {_count(lost, 'line')} not understood{f' ({reasons})' if reasons else ''}{unread}"

    def exit_code(self, findings: Findings) -> int:
        """What the shell is told."""
        if self.failures:
            return ExportError.exit_code
        if findings.errors:
            return UsageError.exit_code
        return 0 if self.found else _NOTHING_FOUND


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def put_out(findings: Findings, arguments: argparse.Namespace, options: TraceOptions) -> Account:
    """Every trace to every output that was asked for, one after the other."""
    account = Account()
    with ExitStack() as stack:
        traces: Iterable[Trace] = findings.traces(options)
        if arguments.output is not None:
            traces = _written(traces, arguments.output, account, stack)
        traces = _printed(traces, arguments, account, findings)
        if arguments.otlp is not None or any(name in os.environ for name in _ENDPOINTS):
            _export(traces, arguments, account)
        else:
            for _ in traces:
                pass
    return account


_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def _written(traces: Iterable[Trace], target: str, account: Account, stack: ExitStack) -> Iterator[Trace]:
    """Pass the traces on, each written to ``target`` as a line; a file appears only once it is whole."""
    from otelmig.otlp.json_lines import json_line  # noqa: PLC0415 - only where it is asked for

    name = "stdout" if target == "-" else target
    partial = Path(f"{target}.partial")
    count = 0
    try:
        file: BinaryIO = sys.stdout.buffer if target == "-" else stack.enter_context(partial.open("wb"))
        for trace in traces:
            file.write(json_line(trace))
            count += 1
            account.written = (count, name)
            yield trace
        file.flush()
        if target != "-":
            partial.replace(target)
    except OSError as error:
        raise ExportError(f"cannot write {name}: {os.strerror(error.errno or 0)}") from error
    account.written = (count, name)


def _printed(
    traces: Iterable[Trace], arguments: argparse.Namespace, account: Account, findings: Findings
) -> Iterator[Trace]:
    """Pass the traces on, each printed as a waterfall or gathered into the summary."""
    quiet = arguments.quiet or arguments.output == "-"
    summaries: list[dict[str, object]] = []
    for trace in traces:
        account.found += 1
        if arguments.json:
            from otelmig.views.summary import summary  # noqa: PLC0415 - only where it is asked for

            summaries.append(summary(trace))
        elif not quiet:
            _print_waterfall(trace, arguments, first=account.found == 1)
        yield trace
    if arguments.json:
        document = {
            "schema": "otelmig.summary/1",
            "migrations": summaries,
            "not_understood": dict(sorted(findings.not_understood.items())),
            "notes": list(findings.notes),
            "errors": [str(error) for error in findings.errors],
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))


def _print_waterfall(trace: Trace, arguments: argparse.Namespace, *, first: bool) -> None:
    from otelmig.views.waterfall import render_waterfall  # noqa: PLC0415 - only where it is asked for

    terminal = sys.stdout.isatty()
    width = arguments.width or shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns
    color = arguments.color == "always" or (
        arguments.color == "auto" and terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
    text = render_waterfall(trace, width=width, color=color)
    print(("" if first else "\n") + text.rstrip("\n"), flush=terminal)


def _export(traces: Iterable[Trace], arguments: argparse.Namespace, account: Account) -> None:
    from otelmig.otlp.export import export  # noqa: PLC0415 - the exporters cost more to load than a trace to make
    from otelmig.otlp.settings import Settings  # noqa: PLC0415 - the same

    settings = Settings.of(arguments.otlp, arguments.protocol, arguments.timeout, os.environ)
    account.exported = 0
    for outcome in export(traces, settings):
        if outcome.failure is None:
            account.exported += 1
        elif outcome.failure not in account.failures:
            account.failures.append(outcome.failure)
            print(f"otelmig: not exported: {outcome.failure}", file=sys.stderr)
