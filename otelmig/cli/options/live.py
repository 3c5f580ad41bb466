"""The options of commands that trace while migrations happen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.options.export import seconds, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.live.options import LiveOptions
    from otelmig.trace.options import TraceOptions

__all__ = ["add_live_arguments", "live_options", "state_directory"]

_STATE: Final = "otelmig"


def add_live_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    """Add the arguments of ``command``."""
    live = parser.add_argument_group("waiting times and the state")
    live.add_argument(
        "--settle",
        type=seconds,
        metavar="SECONDS",
        help="time to wait for late lines after the last line of a migration (default: 0.5)",
    )
    live.add_argument(
        "--partner-timeout",
        type=seconds,
        metavar="SECONDS",
        help="trace a side alone if its partner does not come within this time, and give up on missing lines "
        "(default: 60)",
    )
    live.add_argument(
        "--silent-timeout",
        type=seconds,
        metavar="SECONDS",
        help="trace a migration as it stands if nothing is heard of it for this time (default: 900)",
    )
    live.add_argument(
        "--state",
        metavar="DIR",
        help=f"directory of the state (default: {_STATE}/{command} in XDG_STATE_HOME or ~/.local/state)",
    )
    live.add_argument(
        "--state-size", type=size, metavar="SIZE", help="maximum size of the state on the disk (default: 1G)"
    )


def live_options(arguments: argparse.Namespace, reading: LogOptions, trace: TraceOptions) -> LiveOptions:
    """Return what the command line says of a live service."""
    from otelmig.live.options import LiveOptions

    values = {
        "settle_s": arguments.settle,
        "partner_timeout_s": arguments.partner_timeout,
        "silent_timeout_s": arguments.silent_timeout,
        "state_bytes": arguments.state_size,
    }
    return LiveOptions(
        reading=reading,
        trace=trace,
        parent_unsampled=arguments.parent_unsampled,
        **{name: value for name, value in values.items() if value is not None},
    )


def state_directory(arguments: argparse.Namespace, environ: Mapping[str, str], command: str) -> Path:
    """Return where the state of ``command`` is: with the user's state, unless the command line says otherwise."""
    if arguments.state:
        return Path(arguments.state)
    state = environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # the XDG specification says to ignore a relative path
        state = str(Path("~/.local/state").expanduser())
    return Path(state) / _STATE / command
