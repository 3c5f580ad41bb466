"""The options that say how the logs were written: for every command that reads logs."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

from otelmig.cli.parser import CommandLineError

if TYPE_CHECKING:
    from datetime import tzinfo

    from otelmig.hypervisors.log_options import LogOptions

__all__ = ["add_log_arguments", "log_options"]

_LAST_YEAR: Final = 9999
"""The last year that a timestamp can have."""


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    written = parser.add_argument_group("how the logs were written")
    written.add_argument(
        "--log-format",
        action="append",
        default=[],
        metavar="FORMAT",
        help="the --log-format that the hypervisor was started with, unless it is a common one (repeatable)",
    )
    written.add_argument(
        "--log-year",
        type=_year,
        metavar="YEAR",
        help="year to assume for dates without one ({glog}, the journal, syslog)",
    )
    written.add_argument(
        "--log-zone",
        metavar="ZONE",
        help="time zone to assume for dates without one ({localglog}, the journal, syslog): +02:00, or a name such "
        "as Europe/Berlin (default: UTC)",
    )


def log_options(arguments: argparse.Namespace) -> LogOptions:
    """Return what the command line says about how the logs were written.

    Raises:
        CommandLineError: the time zone is unknown.
    """
    from otelmig.hypervisors.log_options import LogOptions

    return LogOptions(
        log_formats=tuple(arguments.log_format),
        year=arguments.log_year,
        zone=None if arguments.log_zone is None else _zone(arguments.log_zone),
    )


def _year(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text}: want a year, such as 2026")
    return int(text)


def _zone(text: str) -> tzinfo:
    from datetime import datetime
    from zoneinfo import ZoneInfo, available_timezones

    try:
        offset = datetime.fromisoformat(f"2000-01-01T00:00:00{text}").tzinfo
    except ValueError:
        offset = None
    if offset is not None:
        return offset
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        wrong = f"--log-zone {text}: want an offset such as +02:00, or the name of a time zone"
        raise CommandLineError(wrong, unknown=text, known=available_timezones()) from None
