"""``otelmig demo``: the main job on a recorded migration that ships with the package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from otelmig.cli.commands.trace import trace_files
from otelmig.cli.outputs import add_output_arguments

if TYPE_CHECKING:
    import argparse

    from otelmig.errors import ExitCode

__all__ = ["EPILOG", "HELP", "prepare_parser", "run"]

HELP: Final = "trace a recorded migration that ships with otelmig"
EPILOG: Final = """\
The recording is a real migration of a running guest by Cloud Hypervisor v53.0 between two hosts whose clocks
disagree by 3.81 s. It is exported only if --otlp says so, not for the environment's sake.
"""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``otelmig demo``."""
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Trace the recording."""
    from importlib.resources import as_file, files  # noqa: PLC0415 - `--help` needs none of it

    from otelmig.trace.options import TraceOptions  # noqa: PLC0415 - the same

    with as_file(files("otelmig") / "recordings") as folder:
        logs = [folder / "source.log", folder / "destination.log"]
        environ = {} if arguments.otlp is None else os.environ  # a recording is exported where that was asked for
        return trace_files(logs, arguments, options=TraceOptions(), pairs=[], anchors={}, environ=environ)
