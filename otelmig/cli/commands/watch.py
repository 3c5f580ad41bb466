"""``otelmig watch``: logs of this machine are followed, and each migration is shown and traced as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.cli.options.export import add_export_arguments, seconds
from otelmig.cli.options.intake import add_intake_arguments
from otelmig.cli.options.live import add_live_arguments
from otelmig.cli.options.log import add_log_arguments
from otelmig.cli.options.output import add_output_arguments

if TYPE_CHECKING:
    import argparse

    from otelmig.cli.envelope import Envelope

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "prepare_parser", "run"]

OPERANDS: Final = "PATH|GLOB|DIR|journald:UNIT..."
DESCRIPTION: Final = """\
Follow hypervisors' logs on this machine, and trace each migration as soon as
it has ended. A terminal shows a line for each migration under way. A path
stands for the log and its rotations, a directory for every file below it, and
journald:UNIT for what a unit, or all units that match a pattern, wrote to the
journal. What is not there yet may come later. After a restart the command
resumes where it stopped. SIGINT and SIGTERM end it."""
EXAMPLES: Final = """\
  otelmig watch /var/log/cloud-hypervisor/
  otelmig watch 'journald:cloud-hypervisor@*.service'
  otelmig watch logs/ --listen --otlp http://localhost:4318
  otelmig watch 'logs/*' --once --end-after 300 --otlp http://localhost:4318
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig watch``."""
    parser.add_argument_group("inputs").add_argument(
        "targets",
        nargs="+",
        metavar="PATH|GLOB|DIR|journald:UNIT",
        help="log, pattern, directory of logs, or unit of the journal",
    )
    ending = parser.add_argument_group("when it ends by itself")
    ending.add_argument(
        "--once",
        action="store_true",
        help="end after the first migration: with 0 if it succeeded, with 1 if not, with 4 if none came in time",
    )
    ending.add_argument("--end-after", type=seconds, metavar="SECONDS", help="end after this time (default: never)")
    parser.set_defaults(strict=True)  # what --once asks for is a check
    add_intake_arguments(parser, "whose request a migration was (OTLP logs)", always=False)
    add_live_arguments(parser, "watch")
    add_log_arguments(parser)
    add_output_arguments(
        parser,
        json="print a line of JSON for each event instead of the waterfall",
        width="width of the waterfall in columns, at least 60 (default: terminal width)",
        strict=False,
        traces="append OTLP/JSON to FILE, one trace per line",
    )
    add_export_arguments(parser)
    privacy = parser.add_argument_group("privacy")
    privacy.add_argument(
        "--no-addresses", action="store_true", help="leave network addresses out of everything that is written or sent"
    )


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Watch until a signal says that it is enough."""
    from otelmig.cli.live.watching import watch

    watch(arguments, envelope)
