"""``otelmig trace``: logs of both hosts in, one trace per migration out."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.clock_options import add_clock_arguments, clock_options
from otelmig.cli.evidence_options import add_evidence_arguments, anchors, hosts, pairs
from otelmig.cli.log_options import add_reading_arguments, reading_options
from otelmig.errors import ExportError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from otelmig.clock.epoch import Anchor
    from otelmig.clock.options import ClockOptions
    from otelmig.pipeline import Findings
    from otelmig.reading import ReadingOptions
    from otelmig.trace.build import TraceOptions
    from otelmig.trace.span import Trace

__all__ = ["EPILOG", "HELP", "prepare_parser", "run", "trace_files"]

HELP: Final = "logs of both hosts in, one trace per migration out"
EPILOG: Final = """\
examples:
  otelmig trace source.log destination.log
  otelmig trace /var/log/ch/*.log /var/log/ch/*.events.json -o migrations.jsonl
  otelmig trace source.log destination.log --otlp http://collector:4318
  otelmig trace source.log --anchor source=2026-11-23T15:30:06Z
"""
_PIPED_WIDTH: Final = 100
_WORTH_SAYING: Final = 100 * 10**6
"""Inputs of more bytes than this take about a second: then stderr says what is going on."""
_CHECK_FAILED: Final = 1
_NOTHING_FOUND: Final = 4


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig trace``."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="source logs, destination logs, event-monitor streams, compressed or not, from a file, a journal, a "
        "container or standard input (-); any number, any order, any name",
    )
    add_reading_arguments(parser)
    add_output_arguments(parser)
    add_clock_arguments(parser)
    add_evidence_arguments(parser)
    identity = parser.add_argument_group("identity and privacy")
    identity.add_argument("--migration-id", metavar="ID", help="the orchestrator's id: names the trace")
    identity.add_argument(
        "--trace-parent",
        metavar="TRACEPARENT",
        help="put the root under this span (default: the environment variable TRACEPARENT)",
    )
    identity.add_argument(
        "--no-addresses", action="store_true", help="leave network addresses out of everything that is emitted"
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where traces go."""
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="write OTLP/JSON, one trace a line (- for stdout)")
    output.add_argument("--json", action="store_true", help="print a stable summary for scripts, not the waterfall")
    output.add_argument("--strict", action="store_true", help="exit with 1 if the clocks of a migration contradict")
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


def run(arguments: argparse.Namespace) -> int:
    """Trace the files that were named."""
    files = list(arguments.files)
    if arguments.otlp and "://" not in arguments.otlp and Path(arguments.otlp).exists():
        files.insert(0, arguments.otlp)  # `--otlp a.log`: the option took a file for its URL
        arguments.otlp = ""
    return trace_files(
        files,
        arguments,
        options=_options(arguments, os.environ),
        pairs=pairs(arguments),
        anchors=anchors(arguments),
        reading=reading_options(arguments),
        clock=clock_options(arguments),
    )


def trace_files(
    files: Iterable[str | Path],
    arguments: argparse.Namespace,
    *,
    options: TraceOptions,
    pairs: list[tuple[str, str]],
    anchors: Mapping[str, Anchor],
    reading: ReadingOptions | None = None,
    clock: ClockOptions | None = None,
) -> int:
    """Read ``files``, put the traces out as ``arguments`` say, and give the account; the result is the exit code."""
    from otelmig.pipeline import read_findings  # noqa: PLC0415 - `--help` needs none of it

    paths = [Path(file) for file in files]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > _WORTH_SAYING:
        print(f"otelmig: reading {len(paths)} files, {size / 1e9:.1f} GB", file=sys.stderr)
    findings = read_findings(paths, pairs=pairs, anchors=anchors, reading=reading, clock=clock, whole=False)
    for error in findings.errors:
        print(f"otelmig: {error}", file=sys.stderr)
    said = list(dict.fromkeys(findings.notes))
    for note in said:
        print(f"otelmig: {note}", file=sys.stderr)
    account = _put_out(findings, arguments, options)
    for note in dict.fromkeys(findings.notes):
        if note not in said:
            print(f"otelmig: {note}", file=sys.stderr)
    if not account.found and findings.inputs:
        print("otelmig: no migration in these logs; otelmig doctor FILE... says what they can tell", file=sys.stderr)
    print(account.line(findings), file=sys.stderr)
    return account.exit_code(findings, strict=arguments.strict)


class _Account:
    """What became of the traces."""

    def __init__(self) -> None:
        self.found = 0
        self.conflicts = 0
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
        if self.conflicts:
            parts.append(f"{self.conflicts} with clocks that contradict each other")
        lost = sum(findings.not_understood.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(findings.not_understood.items()))
        unread = f"; {_count(len(findings.errors), 'input')} not read" if findings.errors else ""
        return f"{', '.join(parts)}; {_count(lost, 'line')} not understood{f' ({reasons})' if reasons else ''}{unread}"

    def exit_code(self, findings: Findings, *, strict: bool) -> int:
        """What the shell is told."""
        if self.failures:
            return ExportError.exit_code
        if findings.errors:
            return UsageError.exit_code
        if strict and self.conflicts:
            return _CHECK_FAILED
        return 0 if self.found else _NOTHING_FOUND


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _put_out(findings: Findings, arguments: argparse.Namespace, options: TraceOptions) -> _Account:
    """Every trace to every output that was asked for, one after the other."""
    account = _Account()
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


def _written(traces: Iterable[Trace], target: str, account: _Account, stack: ExitStack) -> Iterator[Trace]:
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
    traces: Iterable[Trace], arguments: argparse.Namespace, account: _Account, findings: Findings
) -> Iterator[Trace]:
    """Pass the traces on, each printed as a waterfall or gathered into the summary."""
    quiet = arguments.quiet or arguments.output == "-"
    summaries: list[dict[str, object]] = []
    for trace in traces:
        account.found += 1
        account.conflicts += trace.root.attributes.get("otelmig.clock.status") == "conflict"
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


def _export(traces: Iterable[Trace], arguments: argparse.Namespace, account: _Account) -> None:
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


def _options(arguments: argparse.Namespace, environ: Mapping[str, str]) -> TraceOptions:
    """What the command line and the environment say beyond the logs."""
    from otelmig.trace.build import TraceOptions  # noqa: PLC0415 - `--help` needs none of it
    from otelmig.trace.identity import TraceParent  # noqa: PLC0415 - the same

    parent = arguments.trace_parent or environ.get("TRACEPARENT")
    return TraceOptions(
        parent=TraceParent.parse(parent) if parent else None,
        migration_id=arguments.migration_id,
        hosts=hosts(arguments),
        addresses=not arguments.no_addresses,
    )
