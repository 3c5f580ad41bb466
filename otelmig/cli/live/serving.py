"""A live service from its options: the state, the servers, the outlet, and what is said while it runs."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import say
from otelmig.cli.live.report import LiveReport
from otelmig.cli.live.servers import bound_servers, start_servers, stop_servers
from otelmig.cli.live.telemetry import LiveTelemetry
from otelmig.cli.live.work import finish, live_work, notify, on_signals, print_json, show_waterfall
from otelmig.cli.options.export import export_settings
from otelmig.live.receiving.service import Service
from otelmig.otlp.receiver.settings import environment_exports
from otelmig.views.summary import summary
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse

    from otelmig.cli.envelope import Envelope
    from otelmig.live.drawing import Finished

__all__ = ["serve"]

_FLUSH_S: Final = 1.0
"""At most so many seconds pass until what was worked off is taken off the disk."""
_GRACE_S: Final = 1.0
"""Seconds that what is told besides traces has to get out when the service ends."""


class _Report(LiveReport):
    """What became of the migrations while the service ran."""

    schema: ClassVar[str] = "otelmig.serve/1"

    def __init__(self) -> None:
        super().__init__()
        self.service: Service | None = None

    def account(self) -> str:
        """Return how many migrations were traced, what became of the traces, and how many requests there were."""
        requests = 0 if self.service is None else self.service.requests.taken
        return f"{super().account()}; {plural(requests, 'request')} taken"


def serve(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Serve until a signal says that it is enough."""
    as_json, envelope.as_json = envelope.as_json, False  # each migration is a line; there is no document at the end
    report = _Report()
    envelope.report = report
    is_stopped = on_signals(lambda: None if report.service is None else report.service.stop())
    telemetry = _telemetry(arguments)

    def on_trace(finished: Finished) -> None:
        telemetry.on_traced(finished)
        if as_json:
            print_json(envelope, summary(finished.trace))
        elif not arguments.quiet:
            show_waterfall(envelope, finished)

    def on_tick(service: Service) -> None:
        telemetry.on_tick(service)
        _write_status(arguments, service)

    with ExitStack() as stack:
        work = report.work = live_work(
            arguments,
            stack,
            command="serve",
            flush_s=_FLUSH_S,
            flushes_first=False,  # the requests are on the disk
            on_trace=on_trace,
            on_fate=telemetry.on_fate,
        )
        service = report.service = Service(work=work, on_tick=on_tick)
        work.outlet.wake = service.wake
        servers = bound_servers(arguments, service.status)
        if is_stopped():
            service.stop()
        start_servers(servers)
        work.outlet.start()
        telemetry.start()
        service.restore()
        notify("READY=1")
        service.run()
        notify("STOPPING=1")
        stop_servers(servers)
        report.is_safe = finish(work)
        telemetry.stop(_GRACE_S)


def _telemetry(arguments: argparse.Namespace) -> LiveTelemetry:
    """Return what is told besides traces: to the receiver of the traces, metrics to one of their own if it is named."""
    exports = arguments.otlp is not None or environment_exports(os.environ)
    of_traces = export_settings(arguments, os.environ) if exports else None
    metrics = None
    if arguments.metrics is not None:
        metrics = of_traces if arguments.metrics == "" else export_settings(arguments, {}, url=arguments.metrics)
    return LiveTelemetry(
        records=of_traces, metrics=metrics, progress_s=arguments.progress, heartbeat_s=arguments.heartbeat
    )


def _write_status(arguments: argparse.Namespace, service: Service) -> None:
    """Replace the file that says how the service is, if one is asked for."""
    if arguments.status_file is None:
        return
    path = Path(arguments.status_file)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(service.status.document) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        say(f"cannot write {path.name}: {os.strerror(error.errno or 0)}")
        arguments.status_file = None
