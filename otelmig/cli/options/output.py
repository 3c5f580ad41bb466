"""The options that say what is printed and how."""

from __future__ import annotations

import argparse
import re
from typing import Final

from otelmig.cli.console import WIDEST

__all__ = ["add_output_arguments"]

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def add_output_arguments(
    parser: argparse.ArgumentParser, *, json: str, width: str, strict: bool = True, traces: str | None = None
) -> None:
    """Add the arguments; ``json`` and ``width`` are help texts, and so is ``traces`` of what makers of traces write."""
    output = parser.add_argument_group("output")
    if traces is not None:
        output.add_argument("-o", "--output", metavar="FILE", help=traces)
    output.add_argument("--json", action="store_true", help=json)
    if strict:
        output.add_argument(
            "--strict", action="store_true", help="exit with 1 if the clocks of a migration contradict each other"
        )
    if traces is not None:
        output.add_argument("-q", "--quiet", action="store_true", help="print no waterfall")
        output.add_argument(
            "--color",
            choices=("auto", "always", "never"),
            default="auto",
            help="colour the waterfall (default: auto, which means on a terminal, unless NO_COLOR is set)",
        )
    output.add_argument("--width", type=_columns, metavar="COLUMNS", help=width)


def _columns(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 0 < int(text) <= WIDEST:
        raise argparse.ArgumentTypeError(f"{text}: want a number of columns from 1 to {WIDEST}")
    return int(text)
