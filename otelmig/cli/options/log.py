"""The options that say how the logs were written: for every command that reads logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo

    from otelmig.hypervisors.log_options import LogOptions

__all__ = ["add_reading_arguments", "reading_options"]


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how the logs were written."""
    written = parser.add_argument_group("how the logs were written")
    written.add_argument(
        "--log-format",
        action="append",
        default=[],
        metavar="FORMAT",
        help="the hypervisor's own --log-format, if it is none of the common ones (may be given several times)",
    )
    written.add_argument("--log-year", type=int, metavar="YEAR", help="of times that print no year ({glog})")
    written.add_argument(
        "--log-zone",
        metavar="ZONE",
        help="of times that print no zone ({localglog}): +02:00 or a name such as Europe/Berlin (default: UTC)",
    )


def reading_options(arguments: argparse.Namespace) -> LogOptions:
    """What the command line says about how the logs were written.

    Raises:
        UsageError: the zone is none.
    """
    from otelmig.hypervisors.log_options import LogOptions  # noqa: PLC0415 - `--help` needs none of it

    return LogOptions(
        log_formats=tuple(arguments.log_format),
        year=arguments.log_year,
        zone=None if arguments.log_zone is None else _zone(arguments.log_zone),
    )


def _zone(text: str) -> tzinfo:
    from datetime import datetime  # noqa: PLC0415 - only where it is asked for
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - the same

    try:
        found = datetime.fromisoformat(f"2000-01-01T00:00:00{text}").tzinfo
    except ValueError:
        found = None
    if found is not None:
        return found
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        raise UsageError(f"--log-zone {text}: neither an offset such as +02:00 nor a known zone") from None
