"""Options that say what may be assumed of the hosts' clocks, what was measured, and what to do about their offset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.parser import CommandLineError
from otelmig.errors import InputError, UsageError

if TYPE_CHECKING:
    import argparse

    from otelmig.clock.measurement import Measurement
    from otelmig.clock.options import ClockOptions
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Role

__all__ = ["add_clock_arguments", "clock_options"]

_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a measurement's file; a larger one is something else."""


def add_clock_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about clocks."""
    clock = parser.add_argument_group("clocks")
    clock.add_argument(
        "--clock",
        choices=("auto", "annotate", "correct", "off"),
        default="auto",
        help="what to do about the offset between the hosts: auto (the default) removes it unless the wall clocks may "
        "agree, correct always removes it, annotate leaves timestamps as they are and says what is known, off leaves "
        "them and says nothing",
    )
    clock.add_argument(
        "--max-drift",
        metavar="PPM",
        help="how fast the two clocks may drift against each other: a number of ppm, or steady (100), conservative "
        "(400), ntp-slew (1000, the default) or chrony-slew (181819)",
    )
    clock.add_argument(
        "--probes",
        action="append",
        default=[],
        metavar="FILE",
        help="file of timed exchanges between the two wall clocks, one per line: t1 t2 t3 t4 in ns, where the source "
        "sends at t1 and has the answer at t4, the destination receives at t2 and answers at t3 (repeatable); they "
        "apply to every migration of this run",
    )
    clock.add_argument(
        "--clock-status",
        action="append",
        default=[],
        metavar="SIDE=FILE",
        help="output of `chronyc -c tracking` on SIDE, taken within about a minute of the migration (once for each "
        "side)",
    )


def clock_options(arguments: argparse.Namespace) -> ClockOptions:
    """Return what the command line says about clocks.

    Raises:
        CommandLineError: a value is malformed.
        InputError: a measurement cannot be read.
    """
    from otelmig.clock.drift import DEFAULT_DRIFT_PPB, TIERS, drift_ppb
    from otelmig.clock.options import ClockOptions
    from otelmig.clock.placement import ClockMode

    drift: int | None = DEFAULT_DRIFT_PPB
    if arguments.max_drift is not None:
        drift = drift_ppb(arguments.max_drift)
    if drift is None:
        text = f"--max-drift {arguments.max_drift}: want a number of ppm up to 181819, or {', '.join(TIERS)}"
        raise CommandLineError(text, unknown=arguments.max_drift, known=TIERS)
    measured = _measured(arguments, drift) if arguments.clock_status or arguments.probes else ()
    return ClockOptions(mode=ClockMode(arguments.clock), drift_ppb=drift, measured=measured)


def _measured(arguments: argparse.Namespace, drift_ppb: int) -> tuple[Constraint, ...]:
    """Read what was measured between the two hosts' clocks."""
    from otelmig.clock.measurement import measured_constraints

    statuses = _statuses(arguments.clock_status)
    exchanges = [_measurement(file) for file in arguments.probes]
    try:
        return tuple(measured_constraints(exchanges, statuses, drift_ppb=drift_ppb))
    except UsageError as error:
        raise CommandLineError(f"--clock-status: {error}") from error


def _statuses(texts: list[str]) -> dict[Role, Measurement]:
    """Read what chrony says on each host, from arguments ``SIDE=FILE``."""
    from otelmig.migration.side import Role

    statuses: dict[Role, Measurement] = {}
    for text in texts:
        side, equals, file = text.partition("=")
        if side not in set(Role) or not equals or side in statuses:
            wanted = f"--clock-status {text}: want source=FILE and destination=FILE, once each"
            raise CommandLineError(wanted, unknown=side, known=set(Role) - set(statuses))
        statuses[Role(side)] = _measurement(file)
    return statuses


def _measurement(file: str) -> Measurement:
    from otelmig.clock.measurement import Measurement

    try:
        with Path(file).open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise InputError(f"{file}: too large for a measurement")
    return Measurement(name=Path(file).name, text=content.decode(errors="replace"))
