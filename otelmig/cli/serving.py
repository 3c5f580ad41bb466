"""A live service from its options: the state, the servers, the outlet, and what is said while it runs."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from otelmig.cli.console import say
from otelmig.cli.envelope import RunReport
from otelmig.cli.live.outlet import FINISH_S, live_outlet, notify, shown
from otelmig.cli.live_telemetry import LiveTelemetry
from otelmig.cli.options.environment import resource_attributes
from otelmig.cli.options.export import export_settings
from otelmig.cli.options.live import live_options, state_directory
from otelmig.cli.options.log import log_options
from otelmig.cli.parser import CommandLineError
from otelmig.hypervisors import hypervisors
from otelmig.live.assembly import Assembly
from otelmig.live.service import Service
from otelmig.live.state.database import State
from otelmig.live.status import status
from otelmig.otlp.intake.access import Address, Tls, TokenFile
from otelmig.otlp.intake.http import HttpIntake
from otelmig.otlp.receiver.settings import environment_exports
from otelmig.trace.options import TraceOptions
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from otelmig.cli.envelope import Envelope
    from otelmig.otlp.intake.grpc import GrpcIntake

__all__ = ["serve"]

_T = TypeVar("_T")

_GRACE_S: Final = 1.0
"""Seconds that requests under way have when the service ends."""


class _Report(RunReport):
    """What became of the migrations while the service ran."""

    schema: ClassVar[str] = "otelmig.serve/1"

    def __init__(self) -> None:
        super().__init__()
        self.service: Service | None = None
        self.is_safe = True
        """Whether nothing was lost."""

    @property
    def complete(self) -> bool:
        """Whether everything was exported, or is kept."""
        return self.is_safe

    @property
    def nothing_found(self) -> bool:
        """A service that met no migration has done its work."""
        return False

    def account(self) -> str:
        """Return how many migrations were traced, and what became of the traces."""
        if self.service is None:
            return "nothing was served"
        service = self.service
        tally, outlet = service.assembly.tally, service.outlet
        parts = [f"{plural(tally.traces, 'migration')} traced ({tally.paired} with both sides)"]
        if outlet.file is not None:
            parts.append(f"{outlet.counts.written} written to {outlet.file.path.name}")
        if outlet.open_delivery is not None:
            parts.append(outlet.account.words())
        waiting = sum(1 for _ in service.assembly.sides)
        if waiting:
            parts.append(f"{plural(waiting, 'side')} under way, kept in the state")
        return f"{', '.join(parts)}; {plural(service.requests, 'request')} taken"

    def document(self) -> Mapping[str, object]:
        """Return nothing: each migration has had its line."""
        return {}


def serve(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Serve until a signal says that it is enough."""
    report = _Report()
    envelope.report = report
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        if report.service is not None:
            report.service.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    directory = state_directory(arguments, os.environ, "serve")
    trace = TraceOptions(resource=resource_attributes(os.environ), addresses=not arguments.no_addresses)
    options = live_options(arguments, log_options(arguments), trace)
    with ExitStack() as stack:
        state = stack.enter_context(State(directory, most_bytes=options.state_bytes))
        outlet = live_outlet(arguments, directory, stack, shown(arguments, envelope))
        assembly = Assembly(hypervisors={each.system: each for each in hypervisors()}, options=options, state=state)
        telemetry = _telemetry(arguments)
        outlet.on_trace = _both(outlet.on_trace, telemetry.on_traced)
        service = report.service = Service(
            state=state,
            assembly=assembly,
            outlet=outlet,
            say=say,
            on_fate=telemetry.on_fate,
            describe=status,
            on_tick=_both(telemetry.on_tick, _ticker(arguments)),
        )
        outlet.wake = service.wake
        servers = _servers(arguments, service)
        if stopped:
            service.stop()
        for server in servers:
            server.start()
            say(f"listening on {server.address}")
        outlet.start()
        telemetry.start()
        service.restore()
        notify("READY=1")
        service.run()
        notify("STOPPING=1")
        for server in servers:
            server.stop(_GRACE_S)
        report.is_safe = service.finish(FINISH_S)
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


def _both(one: Callable[[_T], None], other: Callable[[_T], None]) -> Callable[[_T], None]:
    def call(value: _T) -> None:
        one(value)
        other(value)

    return call


def _servers(arguments: argparse.Namespace, service: Service) -> list[HttpIntake | GrpcIntake]:
    """Return the servers, which are bound and do not answer yet.

    Raises:
        UsageError: an address cannot be used, or a certificate, or the token.
    """
    token = None if arguments.token_file is None else TokenFile(arguments.token_file)
    tls = None
    if arguments.tls_certificate is not None:
        tls = Tls(
            certificate=Path(arguments.tls_certificate),
            key=None if arguments.tls_key is None else Path(arguments.tls_key),
            client_ca=None if arguments.tls_client_ca is None else Path(arguments.tls_client_ca),
        )
    elif arguments.tls_key is not None or arguments.tls_client_ca is not None:
        raise CommandLineError("--tls-key and --tls-client-ca belong to --tls-certificate")

    def answer() -> tuple[int, Mapping[str, object]]:
        return (HTTPStatus.OK if service.ready else HTTPStatus.SERVICE_UNAVAILABLE), service.document

    address = Address.parse(arguments.listen, "HttpIntake.address")
    servers: list[HttpIntake | GrpcIntake] = [HttpIntake(address, service.accept, tls=tls, token=token, status=answer)]
    if arguments.grpc is not None:
        from otelmig.otlp.intake.grpc import GrpcIntake  # noqa: PLC0415 - loading gRPC takes long

        address = Address.parse(arguments.grpc, "GrpcIntake.address")
        servers.append(GrpcIntake(address, service.accept, tls=tls, token=token))
    return servers


def _ticker(arguments: argparse.Namespace) -> Callable[[Service], None]:
    """Return what is done about once a second: the status file."""

    def tick(service: Service) -> None:
        if arguments.status_file is None:
            return
        path = Path(arguments.status_file)
        partial = path.with_name(f".{path.name}.part")
        try:
            partial.write_text(json.dumps(service.document) + "\n", encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            say(f"cannot write {path.name}: {os.strerror(error.errno or 0)}")
            arguments.status_file = None

    return tick
