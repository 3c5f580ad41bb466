"""The work of a live command, from its options: the state, the assembly, where the traces go, how one is shown."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.atomic_file import is_stdout
from otelmig.cli.console import encodes_everything, say
from otelmig.cli.options.environment import resource_attributes
from otelmig.cli.options.export import check_export_arguments, open_delivery
from otelmig.cli.options.live import live_options, state_directory
from otelmig.cli.options.log import log_options
from otelmig.errors import UsageError
from otelmig.hypervisors import hypervisors
from otelmig.live.assembly import Assembly
from otelmig.live.outlet import Outlet, TraceFile
from otelmig.live.state.database import State
from otelmig.live.work import Work
from otelmig.otlp.receiver.settings import environment_exports
from otelmig.printable import printable_document
from otelmig.trace.options import TraceOptions
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from otelmig.cli.envelope import Envelope
    from otelmig.live.drawing import Finished
    from otelmig.live.past import LateFate

__all__ = ["finish", "live_work", "notify", "on_signals", "print_json", "show_waterfall"]

_FINISH_S: Final = 3.0
"""Seconds that traces which are made have to get out at the end; what does not stays in the spool."""
_STATE_SPOOL: Final = "spool"
"""The spool of a service is a part of its state: it is locked for as long as the service runs."""


def live_work(
    arguments: argparse.Namespace,
    stack: ExitStack,
    *,
    command: str,
    flush_s: float,
    flushes_first: bool,
    on_trace: Callable[[Finished], None],
    on_fate: Callable[[LateFate], None],
) -> Work:
    """Return the work of ``command``, whose state and file are closed with ``stack``.

    Raises:
        UsageError: an option is malformed, or the file cannot be opened.
        StateError: the state cannot be used.
    """
    directory = state_directory(arguments, os.environ, command)
    trace = TraceOptions(resource=resource_attributes(os.environ), addresses=not arguments.no_addresses)
    options = live_options(arguments, log_options(arguments), trace)
    state = stack.enter_context(State(directory, most_bytes=options.state_bytes))
    return Work(
        state=state,
        assembly=Assembly(
            hypervisors={hypervisor.system: hypervisor for hypervisor in hypervisors()}, options=options, state=state
        ),
        outlet=_outlet(arguments, directory, stack, on_trace),
        say=say,
        on_fate=on_fate,
        flush_s=flush_s,
        flushes_first=flushes_first,
    )


def finish(work: Work) -> bool:
    """End the work in time; return whether nothing is lost."""
    return work.finish(_FINISH_S)


def on_signals(stop: Callable[[], None]) -> Callable[[], bool]:
    """Call ``stop`` on a signal that is to end a service; return a function that says whether one came."""
    came: list[int] = []

    def handle(number: int, _: object) -> None:
        came.append(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)
    return lambda: bool(came)


def _outlet(
    arguments: argparse.Namespace, directory: Path, stack: ExitStack, on_trace: Callable[[Finished], None]
) -> Outlet:
    exports = arguments.otlp is not None or environment_exports(os.environ)
    if exports:
        arguments.spool = arguments.spool or str(directory / _STATE_SPOOL)
        open_delivery(arguments, os.environ).preflight()
    else:
        check_export_arguments(arguments)
    file = None
    if arguments.output is not None:
        if is_stdout(arguments.output):
            raise UsageError(f"-o {arguments.output}: traces are appended to a file (want its name)")
        try:
            file = TraceFile(Path(arguments.output))
        except OSError as error:
            raise UsageError(f"-o {arguments.output}: {os.strerror(error.errno or 0)}") from error
        stack.callback(file.close)
    return Outlet(
        open_delivery=(lambda: open_delivery(arguments, os.environ)) if exports else None,
        file=file,
        on_trace=on_trace,
        wake=lambda: None,
        say=say,
    )


def print_json(envelope: Envelope, document: Mapping[str, object]) -> None:
    """Print a line of JSON."""
    text = json.dumps(printable_document(dict(document)), ensure_ascii=not encodes_everything())
    envelope.stdout.print(text, flush=True)


def show_waterfall(envelope: Envelope, finished: Finished) -> None:
    """Print the waterfall of a migration."""
    text = render_waterfall(finished.trace, width=envelope.width, color=envelope.color)
    envelope.stdout.print(text, flush=True, styled=envelope.color)


def notify(text: str) -> None:
    """Tell the service manager how far the service is (``sd_notify``), if one asks."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(text.encode(), address.replace("@", "\0", 1))
