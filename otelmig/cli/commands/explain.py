"""``otelmig explain``: where the numbers come from, and what would make them surer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import say
from otelmig.cli.envelope import RunReport
from otelmig.cli.options.clock import add_clock_arguments, clock_options
from otelmig.cli.options.evidence import add_evidence_arguments, anchors, hosts, pairs
from otelmig.cli.options.log import add_log_arguments, log_options
from otelmig.cli.options.output import add_output_arguments
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from otelmig.cli.envelope import Envelope
    from otelmig.pairing.explanation import Explanation
    from otelmig.pairing.migration import Migration

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "prepare_parser", "run"]

OPERANDS: Final = "FILE..."
DESCRIPTION: Final = """\
Show where the numbers of each migration come from: why two logs were paired,
what the downtime was spent on, the proof of the offset between the two clocks,
line by line, and what would make that offset better known."""
EXAMPLES: Final = """\
  otelmig explain source.log destination.log
  otelmig explain *.log --probes before.txt --probes after.txt
  otelmig explain source.log destination.log --max-drift steady --json
"""


class _Report(RunReport):
    schema: ClassVar[str] = "otelmig.explain/1"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self.envelope = envelope
        self.conflicts = 0
        """Migrations whose clocks contradict each other."""
        self.documents: list[dict[str, object]] = []

    @property
    def check_failed(self) -> bool:
        """Whether the clocks of a migration contradict each other."""
        return bool(self.conflicts)

    def account(self) -> str:
        """Return how many migrations were explained."""
        contradict = f", {self.conflicts} with clocks that contradict each other" if self.conflicts else ""
        return f"{plural(self.found, 'migration')} explained{contradict}{self.envelope.unread()}"

    def document(self) -> Mapping[str, object]:
        """Return the explanation of each migration."""
        return {"migrations": self.documents}


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig explain``."""
    parser.add_argument_group("inputs").add_argument(
        "files", nargs="+", metavar="FILE", help="the same files or directories as for otelmig trace"
    )
    add_log_arguments(parser)
    add_clock_arguments(parser)
    add_evidence_arguments(parser)
    add_output_arguments(
        parser,
        json="print the explanations as JSON, with every constraint",
        width="width of the text in columns, at least 60 (default: terminal width)",
    )


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Explain every migration in the files that were named."""
    from otelmig.clock.proof import ClockStatus
    from otelmig.pipeline import read_findings
    from otelmig.trace import attributes as names
    from otelmig.trace.options import TraceOptions
    from otelmig.views.explain_text import explanation_document, render_explanation

    report = envelope.report = _Report(envelope)
    envelope.progress.expect(arguments.files)
    findings = read_findings(
        [Path(file) for file in arguments.files],
        pairs=pairs(arguments),
        anchors=anchors(arguments),
        reading=log_options(arguments),
        clock=clock_options(arguments),
        progress=envelope.progress.on_read,
        on_wait=say,
    )
    envelope.error(findings.errors)
    envelope.note(findings.notes)
    envelope.note_last(findings.left_out)
    for migration, trace in findings.traced(TraceOptions(hosts=hosts(arguments))):
        report.found += 1
        total = len(findings.migrations)
        envelope.progress.count(f"{report.found} of {plural(total, 'migration')}", share=report.found / total)
        report.conflicts += trace.root.attributes.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.CONFLICT
        explanation = _explanation(migration)
        if envelope.as_json:
            report.documents.append(explanation_document(trace, explanation))
        else:
            text = render_explanation(trace, explanation, width=envelope.width)
            envelope.show(("" if report.found == 1 else "\n") + text.removesuffix("\n"))
    envelope.error(findings.errors)


def _explanation(migration: Migration) -> Explanation | None:
    from otelmig.hypervisors import hypervisors
    from otelmig.pairing.explanation import explain

    system = migration.sides[0].vmm.system
    return explain(migration, next(hypervisor for hypervisor in hypervisors() if hypervisor.system == system))
