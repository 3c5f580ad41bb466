"""``otelmig demo``: the main job, on a recorded migration that ships with the package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from otelmig.cli.commands.trace import add_trace_output_arguments, trace_files
from otelmig.cli.options.environment import resource_attributes

if TYPE_CHECKING:
    import argparse

    from otelmig.cli.envelope import Envelope

__all__ = ["DESCRIPTION", "EXAMPLES", "OPERANDS", "prepare_parser", "run"]

OPERANDS: Final = ""
DESCRIPTION: Final = """\
Trace a recorded migration that ships with otelmig: Cloud Hypervisor v53.0
moved a running guest between two hosts whose clocks disagree by 3.81 s. The
trace is exported only with --otlp; the environment alone does not export it."""
EXAMPLES: Final = """\
  otelmig demo
  otelmig demo --otlp http://localhost:4318
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig demo``."""
    add_trace_output_arguments(parser)


def run(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Trace the recording."""
    from importlib.resources import as_file, files

    from otelmig.trace.options import TraceOptions

    with as_file(files("otelmig") / "recordings") as folder:
        logs = [folder / "source.log", folder / "destination.log"]
        environ = {} if arguments.otlp is None else os.environ  # a recording is exported where that was asked for
        options = TraceOptions(resource=resource_attributes(environ))
        trace_files(logs, arguments, envelope, options=options, pairs=[], anchors={}, environ=environ)
