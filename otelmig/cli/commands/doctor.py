"""``otelmig doctor``: what logs can and cannot tell, and which flags would tell it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import say
from otelmig.cli.envelope import RunReport
from otelmig.cli.options.log import add_log_arguments, log_options
from otelmig.cli.options.output import add_output_arguments
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from otelmig.cli.envelope import Envelope
    from otelmig.hypervisors.diagnosis import Diagnosis

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "prepare_parser", "run"]

OPERANDS: Final = "FILE..."
DESCRIPTION: Final = """\
Say what each log can and cannot tell, which flags of the hypervisor would tell
more, and what they cost. Every line is accounted for: it was used, it is about
something else, or it was not understood."""
EXAMPLES: Final = """\
  otelmig doctor source.log destination.log source.events.json
  journalctl -o json -t cloud-hypervisor | otelmig doctor -
"""


class _Report(RunReport):
    schema: ClassVar[str] = "otelmig.doctor/1"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self.envelope = envelope
        self.diagnoses: list[Diagnosis] = []

    def account(self) -> str:
        """Return how many lines there are, and what they are about."""
        accounts = [diagnosis.account for diagnosis in self.diagnoses]
        total, used = sum(account.total for account in accounts), sum(account.used for account in accounts)
        unknown = sum(account.unknown.total() for account in accounts)
        return (
            f"{plural(len(accounts), 'input')}, {plural(total, 'line')}: {used} used, "
            f"{total - used - unknown} about other things, {unknown} not understood{self.envelope.unread()}"
        )

    def account_so_far(self) -> str:
        """Return what was examined until an interrupt."""
        return self.account() if self.diagnoses else "no input was examined to its end"

    def document(self) -> Mapping[str, object]:
        """Return the diagnosis of each input."""
        from otelmig.views.doctor_text import diagnosis_document

        return {"inputs": [diagnosis_document(diagnosis) for diagnosis in self.diagnoses]}


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig doctor``."""
    parser.add_argument_group("inputs").add_argument(
        "files", nargs="+", metavar="FILE", help="the same files or directories as for otelmig trace"
    )
    add_log_arguments(parser)
    add_output_arguments(
        parser,
        json="print the diagnoses as JSON",
        width="width of the text in columns, at least 40 (default: terminal width)",
        strict=False,
    )


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Examine the files that were named."""
    from otelmig.pipeline import diagnoses, read_findings
    from otelmig.views.doctor_text import render_advice, render_doctor

    report = envelope.report = _Report(envelope)
    reading = log_options(arguments)
    envelope.progress.expect(arguments.files, times=2)  # to find migrations, then line by line
    paths = [Path(file) for file in arguments.files]
    findings = read_findings(paths, reading=reading, progress=envelope.progress.on_read, on_wait=say)
    envelope.error(findings.errors)
    envelope.note(findings.notes)
    envelope.note_last(findings.left_out)
    for diagnosis in diagnoses(findings, reading):
        report.found += 1
        report.diagnoses.append(diagnosis)
        text = render_doctor(diagnosis, width=envelope.width)
        envelope.show(("" if report.found == 1 else "\n") + text.rstrip("\n"))
    envelope.error(findings.errors)
    for advice in dict.fromkeys(diagnosis.recommendation for diagnosis in report.diagnoses):
        envelope.show(f"\n{render_advice(advice, width=envelope.width)}")
