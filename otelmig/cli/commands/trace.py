"""``otelmig trace``: logs of both hosts in, one trace for each migration out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import say
from otelmig.cli.links import add_link_arguments
from otelmig.cli.options.clock import add_clock_arguments, clock_options
from otelmig.cli.options.environment import resource_attributes
from otelmig.cli.options.evidence import add_evidence_arguments, anchors, hosts, pairs
from otelmig.cli.options.export import add_export_arguments, files_to_read
from otelmig.cli.options.log import add_log_arguments, log_options
from otelmig.cli.options.output import add_output_arguments
from otelmig.cli.outputs import Outputs, TraceReport
from otelmig.cli.parser import CommandLineError
from otelmig.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from otelmig.cli.envelope import Envelope
    from otelmig.clock.epoch import Anchor
    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.trace.options import TraceOptions

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "add_trace_output_arguments", "prepare_parser", "run", "trace_files"]

OPERANDS: Final = "FILE..."
DESCRIPTION: Final = """\
Turn the logs of both hosts into one trace for each migration attempt. Each
trace is drawn as a waterfall, and written or exported where the options ask
for it. The last line on stderr says what was found and what became of it."""
EXAMPLES: Final = """\
  otelmig trace source.log destination.log
  otelmig trace logs/*.log logs/*.events.json -o migrations.jsonl
  otelmig trace source.log destination.log --otlp http://collector:4318
  otelmig trace source.log --anchor source=2026-11-23T15:30:06Z
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig trace``."""
    parser.add_argument_group("inputs").add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="logs and event-monitor streams of sources and destinations, or directories of them, in any number and "
        "order, compressed, archived or not, as written by the hypervisor, the journal, syslog, a container runtime or "
        "a log store (-: standard input)",
    )
    add_log_arguments(parser)
    add_trace_output_arguments(parser)
    add_clock_arguments(parser)
    add_evidence_arguments(parser)
    identity = parser.add_argument_group("identity and privacy")
    identity.add_argument(
        "--migration-id", metavar="ID", help="the orchestrator's id of this migration; the trace id is derived from it"
    )
    identity.add_argument(
        "--trace-parent",
        metavar="TRACEPARENT",
        help="put the root span under this span (default: the environment variable TRACEPARENT)",
    )
    identity.add_argument(
        "--no-addresses", action="store_true", help="leave network addresses out of everything that is written or sent"
    )


def add_trace_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that makes traces: what is printed, written and exported."""
    add_output_arguments(
        parser,
        json="print a JSON summary instead of the waterfall",
        width="width of the waterfall in columns, at least 60 (default: terminal width)",
        traces="write OTLP/JSON to FILE, one trace per line (-: standard output)",
    )
    add_export_arguments(parser)
    add_link_arguments(parser)


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Trace the files that were named."""
    trace_files(
        files_to_read(arguments),
        arguments,
        envelope,
        options=_options(arguments, os.environ),
        pairs=pairs(arguments),
        anchors=anchors(arguments),
        reading=log_options(arguments),
        clock=clock_options(arguments),
        environ=os.environ,
    )


def trace_files(
    files: Iterable[str | Path],
    arguments: argparse.Namespace,
    envelope: Envelope,
    *,
    options: TraceOptions,
    pairs: list[tuple[str, str]],
    anchors: Mapping[str, Anchor],
    reading: LogOptions | None = None,
    clock: ClockOptions | None = None,
    environ: Mapping[str, str],
) -> None:
    """Read ``files`` and give each trace to the outputs that ``arguments`` ask for."""
    from otelmig.pipeline import read_findings

    paths = [Path(file) for file in files]
    if arguments.output is not None and any(_same(Path(arguments.output), path) for path in paths):
        raise UsageError(f"-o {arguments.output} would replace a log that is read")
    report = envelope.report = TraceReport(envelope)
    with Outputs(arguments, envelope, report, environ) as outputs:
        envelope.progress.expect(paths)
        findings = read_findings(
            paths,
            pairs=pairs,
            anchors=anchors,
            reading=reading,
            clock=clock,
            whole=False,
            progress=envelope.progress.on_read,
            on_wait=say,
        )
        report.findings = findings
        envelope.error(findings.errors)
        envelope.note(findings.notes)
        envelope.note_last(findings.left_out)
        for trace in findings.traces(options):
            outputs.put(trace)
        outputs.finish()
    envelope.note(findings.notes)
    envelope.error(findings.errors)
    if not report.found and findings.inputs:
        say("no migration in these logs; otelmig doctor FILE... says what they can tell")


def _same(output: Path, path: Path) -> bool:
    return output.is_file() and path.is_file() and output.samefile(path)


def _options(arguments: argparse.Namespace, environ: Mapping[str, str]) -> TraceOptions:
    """Return what the command line and the environment say beyond the logs.

    Raises:
        CommandLineError: a value is malformed.
    """
    from otelmig.trace.identity import TraceParent
    from otelmig.trace.options import TraceOptions

    text, parent = arguments.trace_parent or environ.get("TRACEPARENT"), None
    if text:
        try:
            parent = TraceParent.parse(text)
        except UsageError as error:
            option = "--trace-parent" if arguments.trace_parent else "TRACEPARENT"
            wanted = "want 00-<32 hex digits>-<16 hex digits>-01, neither of them zero"
            raise CommandLineError(f"{option} {text}: {wanted}") from error
    return TraceOptions(
        parent=parent,
        migration_id=arguments.migration_id,
        hosts=hosts(arguments),
        resource=resource_attributes(environ),
        addresses=not arguments.no_addresses,
    )
