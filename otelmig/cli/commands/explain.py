"""``otelmig explain``: where the numbers come from, and what would make them surer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import PIPED_WIDTH, say, say_last
from otelmig.cli.options.clock import add_clock_arguments, clock_options
from otelmig.cli.options.evidence import add_evidence_arguments, anchors, hosts, pairs
from otelmig.cli.options.log import add_reading_arguments, reading_options
from otelmig.cli.sink import Stdout, counted
from otelmig.errors import ExitCode
from otelmig.trace import attributes as names

if TYPE_CHECKING:
    import argparse

    from otelmig.pairing.explanation import Explanation
    from otelmig.pairing.pairing import Migration

__all__ = ["EPILOG", "HELP", "prepare_parser", "run"]

HELP: Final = "where the numbers come from: the proof of the clock offset line by line, and what would tighten it"
EPILOG: Final = """\
examples:
  otelmig explain source.log destination.log
  otelmig explain source.log destination.log --probes before.txt --probes after.txt
  otelmig explain source.log destination.log --max-drift steady --json
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig explain``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the same inputs as for otelmig trace")
    add_reading_arguments(parser)
    add_clock_arguments(parser)
    add_evidence_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the explanations for scripts")
    output.add_argument("--strict", action="store_true", help="exit with 1 if the clocks of a migration contradict")
    output.add_argument("--width", type=int, metavar="COLUMNS", help="of the text (default: the terminal's)")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Explain every migration in the files that were named."""
    from otelmig.pipeline import read_findings  # noqa: PLC0415 - `--help` needs none of it
    from otelmig.trace.options import TraceOptions  # noqa: PLC0415 - the same
    from otelmig.views.explain_text import explanation_document, render_explanation  # noqa: PLC0415 - the same

    findings = read_findings(
        [Path(file) for file in arguments.files],
        pairs=pairs(arguments),
        anchors=anchors(arguments),
        reading=reading_options(arguments),
        clock=clock_options(arguments),
    )
    for error in findings.errors:
        say(str(error))
    for note in dict.fromkeys(findings.notes):
        say(note)
    width = arguments.width or shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
    documents: list[dict[str, object]] = []
    stdout = Stdout()
    count = conflicts = 0
    for found, trace in findings.traced(TraceOptions(hosts=hosts(arguments))):
        count += 1
        conflicts += trace.root.attributes.get(names.OTELMIG_CLOCK_STATUS) == "conflict"
        if arguments.json:
            documents.append(explanation_document(trace, _explained(found)))
        else:
            text = render_explanation(trace, _explained(found), width=width)
            stdout.print(("" if count == 1 else "\n") + text.removesuffix("\n"))
    if arguments.json:
        document = {
            "schema": "otelmig.explain/1",
            "migrations": documents,
            "notes": list(findings.notes),
            "errors": [str(error) for error in findings.errors],
        }
        stdout.print(json.dumps(document, indent=2, ensure_ascii=False))
    stdout.flush()
    contradict = f", {conflicts} with clocks that contradict each other" if conflicts else ""
    say_last(f"{counted(count, 'migration')} explained{contradict}")
    if stdout.failed:
        return ExitCode.NOT_EXPORTED
    if findings.errors:
        return ExitCode.USAGE
    if arguments.strict and conflicts:
        return ExitCode.CHECK_FAILED
    return ExitCode.DONE if count else ExitCode.NOTHING_FOUND


def _explained(found: Migration) -> Explanation | None:
    from otelmig.hypervisors import hypervisors  # noqa: PLC0415 - the same
    from otelmig.pairing.explanation import explain  # noqa: PLC0415 - `--help` needs none of it

    system = found.sides[0].vmm.system
    return explain(found, next(each for each in hypervisors() if each.system == system))
