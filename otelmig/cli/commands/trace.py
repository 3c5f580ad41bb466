"""``otelmig trace``: logs of both hosts in, one trace per migration out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import say, say_last
from otelmig.cli.options.clock import add_clock_arguments, clock_options
from otelmig.cli.options.evidence import add_evidence_arguments, anchors, hosts, pairs
from otelmig.cli.options.export import given_files
from otelmig.cli.options.log import add_reading_arguments, reading_options
from otelmig.cli.outputs import Outputs, add_output_arguments
from otelmig.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from otelmig.clock.epoch import Anchor
    from otelmig.clock.options import ClockOptions
    from otelmig.errors import ExitCode
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.trace.options import TraceOptions

__all__ = ["EPILOG", "HELP", "prepare_parser", "run", "trace_files"]

HELP: Final = "logs of both hosts in, one trace per migration out"
EPILOG: Final = """\
examples:
  otelmig trace source.log destination.log
  otelmig trace /var/log/ch/*.log /var/log/ch/*.events.json -o migrations.jsonl
  otelmig trace source.log destination.log --otlp http://collector:4318
  otelmig trace source.log --anchor source=2026-11-23T15:30:06Z
"""
_WORTH_SAYING: Final = 100 * 10**6
"""Inputs of more bytes than this take about a second: then stderr says what is going on."""


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


def run(arguments: argparse.Namespace) -> ExitCode:
    """Trace the files that were named."""
    return trace_files(
        given_files(arguments),
        arguments,
        options=_options(arguments, os.environ),
        pairs=pairs(arguments),
        anchors=anchors(arguments),
        reading=reading_options(arguments),
        clock=clock_options(arguments),
        environ=os.environ,
    )


def trace_files(
    files: Iterable[str | Path],
    arguments: argparse.Namespace,
    *,
    options: TraceOptions,
    pairs: list[tuple[str, str]],
    anchors: Mapping[str, Anchor],
    reading: LogOptions | None = None,
    clock: ClockOptions | None = None,
    environ: Mapping[str, str],
) -> ExitCode:
    """Read ``files``, put the traces out as ``arguments`` say, and give the account; the result is the exit code."""
    from otelmig.pipeline import read_findings  # noqa: PLC0415 - `--help` needs none of it

    paths = [Path(file) for file in files]
    if arguments.output is not None and any(_same(Path(arguments.output), path) for path in paths):
        raise UsageError(f"-o {arguments.output} would replace a log that is read")
    outputs = Outputs(arguments, environ)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > _WORTH_SAYING:
        say(f"reading {len(paths)} files, {size / 1e9:.1f} GB")
    findings = read_findings(paths, pairs=pairs, anchors=anchors, reading=reading, clock=clock, whole=False)
    for error in findings.errors:
        say(str(error))
    said = list(dict.fromkeys(findings.notes))
    for note in said:
        say(note)
    account = outputs.put_out(findings, options)
    for note in dict.fromkeys(findings.notes):
        if note not in said:
            say(note)
    if not account.found and findings.inputs:
        say("no migration in these logs; otelmig doctor FILE... says what they can tell")
    say_last(account.line(findings))
    return account.exit_code(findings, strict=arguments.strict)


def _same(output: Path, path: Path) -> bool:
    return output.is_file() and path.is_file() and output.samefile(path)


def _options(arguments: argparse.Namespace, environ: Mapping[str, str]) -> TraceOptions:
    """What the command line and the environment say beyond the logs."""
    from otelmig.trace.identity import TraceParent  # noqa: PLC0415 - the same
    from otelmig.trace.options import TraceOptions  # noqa: PLC0415 - `--help` needs none of it

    parent = arguments.trace_parent or environ.get("TRACEPARENT")
    return TraceOptions(
        parent=TraceParent.parse(parent) if parent else None,
        migration_id=arguments.migration_id,
        hosts=hosts(arguments),
        addresses=not arguments.no_addresses,
    )
