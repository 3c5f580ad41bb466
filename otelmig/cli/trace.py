"""``otelmig trace``: logs of both hosts in, one trace per migration out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.export_options import given_files
from otelmig.cli.log_options import add_reading_arguments, reading_options
from otelmig.cli.output_options import Outputs, add_output_arguments
from otelmig.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from otelmig.reading import ReadingOptions
    from otelmig.trace.build import TraceOptions

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
    evidence = parser.add_argument_group("what the logs do not say")
    evidence.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="SOURCE=DESTINATION",
        help="these two belong together (names as the notes print them, such as a.log or a.log@2)",
    )
    evidence.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="SIDE=RFC3339",
        help="when a log's clock read zero (its process started); SIDE is source, destination or a log's name",
    )
    evidence.add_argument(
        "--host", action="append", default=[], metavar="SIDE=NAME", help="host.name of the source or the destination"
    )
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


def run(arguments: argparse.Namespace) -> int:
    """Trace the files that were named."""
    return trace_files(
        given_files(arguments),
        arguments,
        options=_options(arguments, os.environ),
        pairs=[_split(text, "--pair") for text in arguments.pair],
        anchors=dict(_anchor(text) for text in arguments.anchor),
        reading=reading_options(arguments),
    )


def trace_files(
    files: Iterable[str | Path],
    arguments: argparse.Namespace,
    *,
    options: TraceOptions,
    pairs: list[tuple[str, str]],
    anchors: Mapping[str, int],
    reading: ReadingOptions | None = None,
) -> int:
    """Read ``files``, put the traces out as ``arguments`` say, and give the account; the result is the exit code."""
    from otelmig.pipeline import read_findings  # noqa: PLC0415 - `--help` needs none of it

    outputs = Outputs(arguments, os.environ)
    paths = [Path(file) for file in files]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > _WORTH_SAYING:
        print(f"otelmig: reading {len(paths)} files, {size / 1e9:.1f} GB", file=sys.stderr)
    findings = read_findings(paths, pairs=pairs, anchors=anchors, reading=reading, whole=False)
    for error in findings.errors:
        print(f"otelmig: {error}", file=sys.stderr)
    said = list(dict.fromkeys(findings.notes))
    for note in said:
        print(f"otelmig: {note}", file=sys.stderr)
    account = outputs.put_out(findings, options)
    for note in dict.fromkeys(findings.notes):
        if note not in said:
            print(f"otelmig: {note}", file=sys.stderr)
    if not account.found and findings.inputs:
        print("otelmig: no migration in these logs; otelmig doctor FILE... says what they can tell", file=sys.stderr)
    print(account.line(findings), file=sys.stderr)
    return account.exit_code(findings)


def _options(arguments: argparse.Namespace, environ: Mapping[str, str]) -> TraceOptions:
    """What the command line and the environment say beyond the logs."""
    from otelmig.side import Role  # noqa: PLC0415 - `--help` needs none of it
    from otelmig.trace.build import TraceOptions  # noqa: PLC0415 - the same
    from otelmig.trace.identity import TraceParent  # noqa: PLC0415 - the same

    parent = arguments.trace_parent or environ.get("TRACEPARENT")
    hosts = {}
    for side, name in (_split(text, "--host") for text in arguments.host):
        if side not in set(Role):
            raise UsageError(f"--host {side}={name}: the side is source or destination")
        hosts[Role(side)] = name
    return TraceOptions(
        parent=TraceParent.parse(parent) if parent else None,
        migration_id=arguments.migration_id,
        hosts=hosts,
        addresses=not arguments.no_addresses,
    )


def _split(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"{option} {text}: want {'SOURCE=DESTINATION' if option == '--pair' else 'SIDE=VALUE'}")
    return name, value


def _anchor(text: str) -> tuple[str, int]:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only where it is asked for

    side, value = _split(text, "--anchor")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(f"--anchor {text}: not an RFC 3339 time (such as 2026-11-23T15:30:06Z)") from None
    if instant.tzinfo is None:
        raise UsageError(f"--anchor {text}: the time needs a zone (Z or +01:00)")
    return side, (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
