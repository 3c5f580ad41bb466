"""The servers of a live command, from its options: OTLP over HTTP, with ``GET /status``, and over gRPC."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from otelmig.cli.console import say
from otelmig.cli.options.intake import tls_of, token_of
from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.http import HttpIntake

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from otelmig.live.receiving.status import Status
    from otelmig.otlp.intake.grpc import GrpcIntake

    Server: TypeAlias = HttpIntake | GrpcIntake

__all__ = ["bound_servers", "start_servers", "stop_servers"]

_GRACE_S = 1.0
"""Seconds that requests under way have when the service ends."""


def bound_servers(arguments: argparse.Namespace, status: Status) -> list[Server]:
    """Return the servers for the requests that ``status`` counts; they are bound and do not answer yet.

    Raises:
        UsageError: an address cannot be used, or a certificate, or the token.
    """
    token, tls = token_of(arguments), tls_of(arguments)

    def answer() -> tuple[int, Mapping[str, object]]:
        return (HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE), status.document

    address = Address.parse(arguments.listen, "HttpIntake.address")
    accept = status.requests.accept
    servers: list[Server] = [HttpIntake(address, accept, tls=tls, token=token, status=answer)]
    if arguments.grpc is not None:
        from otelmig.otlp.intake.grpc import GrpcIntake

        address = Address.parse(arguments.grpc, "GrpcIntake.address")
        servers.append(GrpcIntake(address, accept, tls=tls, token=token))
    status.requests.refused_by_servers += [server.refusals for server in servers]
    return servers


def start_servers(servers: Iterable[Server]) -> None:
    """Start the servers, and say where they answer."""
    for server in servers:
        server.start()
        say(f"listening on {server.address}")


def stop_servers(servers: Iterable[Server]) -> None:
    """End servers; what they were sent is answered first."""
    for server in servers:
        server.stop(_GRACE_S)
