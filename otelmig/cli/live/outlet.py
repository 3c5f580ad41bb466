"""Where the traces of a live command go, from its options, and how a finished one is shown."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import encodes_everything, say
from otelmig.cli.options.export import check_export_arguments, open_delivery
from otelmig.errors import UsageError
from otelmig.live.outlet import Outlet, TraceFile
from otelmig.otlp.receiver.settings import environment_exports
from otelmig.printable import printable_document
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from otelmig.cli.envelope import Envelope
    from otelmig.live.drawing import Finished

__all__ = ["FINISH_S", "live_outlet", "notify", "print_json", "show_waterfall", "shown"]

FINISH_S: Final = 3.0
"""Seconds that traces which are made have to get out at the end; what does not stays in the spool."""
_STATE_SPOOL: Final = "spool"
"""The spool of a service is a part of its state: it is locked for as long as the service runs."""


def live_outlet(
    arguments: argparse.Namespace, directory: Path, stack: ExitStack, on_trace: Callable[[Finished], None]
) -> Outlet:
    """Return where the traces go; its file is closed with ``stack``.

    Raises:
        UsageError: an option is malformed, or the file cannot be opened.
    """
    exports = arguments.otlp is not None or environment_exports(os.environ)
    if exports:
        arguments.spool = arguments.spool or str(directory / _STATE_SPOOL)
        open_delivery(arguments, os.environ).preflight()
    else:
        check_export_arguments(arguments)
    file = None
    if arguments.output is not None:
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


def shown(arguments: argparse.Namespace, envelope: Envelope) -> Callable[[Finished], None]:
    """Return what shows a migration on standard output."""

    def show(finished: Finished) -> None:
        if arguments.json:
            print_json(envelope, summary(finished.trace))
        elif not arguments.quiet:
            show_waterfall(envelope, finished)

    return show


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
