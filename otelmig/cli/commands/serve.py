"""``otelmig serve``: the logs of a fleet in, as Collectors send them; the trace of each migration out, as it ends."""

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

OPERANDS: Final = ""
DESCRIPTION: Final = """\
Take the hypervisors' logs from OpenTelemetry Collectors, as OTLP logs, and
trace each migration as soon as it has ended. What was taken is on the disk
before its sender is told so, and after a restart the service resumes where it
stopped. SIGINT and SIGTERM end it."""
EXAMPLES: Final = """\
  otelmig serve --otlp http://collector:4318
  otelmig serve --listen 0.0.0.0:4319 --token-file token -o migrations.jsonl
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig serve``."""
    add_intake_arguments(parser, "intake (OTLP logs)", always=True)
    add_live_arguments(parser, "serve")
    add_log_arguments(parser)
    add_output_arguments(
        parser,
        json="print a line of JSON for each migration instead of the waterfall",
        width="width of the waterfall in columns, at least 60 (default: terminal width)",
        strict=False,
        traces="append OTLP/JSON to FILE, one trace per line",
    )
    parser.add_argument(
        "--status-file", metavar="FILE", help="file that is replaced with what GET /status says, about once a second"
    )
    add_export_arguments(parser)
    told = parser.add_argument_group("what is told besides traces")
    told.add_argument(
        "--metrics",
        nargs="?",
        const="",
        metavar="URL",
        help="export metrics of the service to this OTLP receiver (default: none; without URL: where the traces go)",
    )
    told.add_argument(
        "--progress",
        type=seconds,
        metavar="SECONDS",
        help="send a log record of each migration under way every so many seconds (default: none)",
    )
    told.add_argument(
        "--heartbeat",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="say on stderr every so many seconds how the service is (default: 60)",
    )
    privacy = parser.add_argument_group("privacy")
    privacy.add_argument(
        "--no-addresses", action="store_true", help="leave network addresses out of everything that is written or sent"
    )


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Serve until a signal says that it is enough."""
    from otelmig.cli.live.serving import serve

    serve(arguments, envelope)
