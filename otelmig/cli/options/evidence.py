"""Options that add what the logs do not say: which sides are a pair, when a clock read zero, which host it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.cli.parser import CommandLineError

if TYPE_CHECKING:
    import argparse

    from otelmig.clock.epoch import Anchor
    from otelmig.migration.side import Role

__all__ = ["add_evidence_arguments", "anchors", "hosts", "pairs"]

_FIRST_YEAR: Final = 1971
_LAST_YEAR: Final = 2200
"""OTLP's times are unsigned ns since 1970, in 64 bits."""


def add_evidence_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    evidence = parser.add_argument_group("what the logs do not say")
    evidence.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="SOURCE=DESTINATION",
        help="treat these two sides as one migration; use the names that the notes print, such as a.log or a.log@2 "
        "(repeatable)",
    )
    evidence.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="SIDE=TIME",
        help="when a log's clock read zero, in RFC 3339 (repeatable); SIDE is source, destination or a log's name",
    )
    evidence.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="SIDE=NAME",
        help="name of the source or destination host, for host.name (repeatable)",
    )


def pairs(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the pairs that were asserted.

    Raises:
        CommandLineError: one is malformed.
    """
    return [_split(text, "--pair", "SOURCE=DESTINATION") for text in arguments.pair]


def anchors(arguments: argparse.Namespace) -> dict[str, Anchor]:
    """Return when clocks read zero, by side or log.

    Raises:
        CommandLineError: one is malformed.
    """
    return dict(_anchor(text) for text in arguments.anchor)


def hosts(arguments: argparse.Namespace) -> dict[Role, str]:
    """Return the host names, by side.

    Raises:
        CommandLineError: one is malformed, or is for no side.
    """
    from otelmig.migration.side import Role

    names: dict[Role, str] = {}
    for text in arguments.host:
        side, name = _split(text, "--host", "SIDE=NAME")
        if side not in set(Role):
            raise CommandLineError(f"--host {text}: want source=NAME or destination=NAME", unknown=side, known=Role)
        names[Role(side)] = name
    return names


def _split(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise CommandLineError(f"{option} {text}: want {form}")
    return name, value


def _anchor(text: str) -> tuple[str, Anchor]:
    from datetime import UTC, datetime, timedelta

    from otelmig.clock.epoch import Anchor
    from otelmig.units import MICROSECOND_NS

    side, value = _split(text, "--anchor", "SIDE=TIME")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise CommandLineError(f"--anchor {text}: want a time in RFC 3339, such as 2026-11-23T15:30:06Z") from None
    if instant.tzinfo is None:
        raise CommandLineError(f"--anchor {text}: want a time with its zone (Z or +01:00)")
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise CommandLineError(f"--anchor {text}: want a time between {_FIRST_YEAR} and {_LAST_YEAR}")
    ns = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * MICROSECOND_NS
    digits = len(value.partition(".")[2].rstrip("Zz").partition("+")[0].partition("-")[0])
    return side, Anchor(ns=ns, error_ns=10 ** (9 - min(digits, 6)))
