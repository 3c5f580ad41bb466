"""``otelmig doctor``: what logs can and cannot tell, and which flags would tell it."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import PIPED_WIDTH, say, say_last
from otelmig.cli.options.log import add_reading_arguments, reading_options
from otelmig.cli.sink import Stdout, counted
from otelmig.errors import ExitCode

if TYPE_CHECKING:
    import argparse

__all__ = ["EPILOG", "HELP", "prepare_parser", "run"]

HELP: Final = "what these logs can and cannot tell, and which flags of the hypervisor would tell it"
EPILOG: Final = """\
Every line is accounted for: used, about something else, or not understood.

examples:
  otelmig doctor source.log destination.log source.events.json
  journalctl -o json -t cloud-hypervisor | otelmig doctor -
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig doctor``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the same inputs as for otelmig trace")
    add_reading_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the diagnoses for scripts")
    output.add_argument("--width", type=int, metavar="COLUMNS", help="of the text (default: the terminal's)")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Examine the files that were named."""
    from otelmig.pipeline import diagnoses, read_findings  # noqa: PLC0415 - `--help` needs none of it
    from otelmig.views.doctor_text import checkup, render_doctor  # noqa: PLC0415 - the same

    reading = reading_options(arguments)
    findings = read_findings([Path(file) for file in arguments.files], reading=reading)
    for error in findings.errors:
        say(str(error))
    for note in findings.notes:
        say(note)
    found = list(diagnoses(findings, reading))
    stdout = Stdout()
    if arguments.json:
        document = {
            "schema": "otelmig.doctor/1",
            "inputs": [checkup(each) for each in found],
            "notes": list(findings.notes),
            "errors": [str(error) for error in findings.errors],
        }
        stdout.print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        width = arguments.width or shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
        stdout.print("\n".join(render_doctor(each, width=width) for each in found).rstrip("\n"))
        for advice in dict.fromkeys(each.recommendation for each in found):
            stdout.print(f"\n{textwrap.fill(advice, max(width, 40), break_long_words=False, break_on_hyphens=False)}")
    total = sum(each.account.total for each in found)
    used = sum(each.account.used for each in found)
    unknown = sum(each.account.unknown.total() for each in found)
    stdout.flush()
    say_last(
        f"{counted(len(found), 'input')}, {total} lines: {used} used, {total - used - unknown} about other things, "
        f"{unknown} not understood"
    )
    if stdout.failed:
        return ExitCode.NOT_EXPORTED
    if findings.errors:
        return ExitCode.USAGE
    return ExitCode.DONE if found else ExitCode.NOTHING_FOUND
