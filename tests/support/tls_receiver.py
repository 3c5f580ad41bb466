"""Receivers over TLS, and the certificates of the tests."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from otlp_receiver import grpc_receiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otlp_receiver import Receiver

__all__ = ["CLIENT", "TRUSTED", "certificate", "server_context", "tls_receiver"]

_FOLDER = Path(__file__).parents[1] / "certificates"


def certificate(name: str) -> str:
    """Return the path of a certificate or key."""
    return str(_FOLDER / name)


TRUSTED = {"certificate": certificate("ca.pem")}
"""Settings of a client that trusts the authority of the tests."""
CLIENT = {"client_certificate": certificate("client.pem"), "client_key": certificate("client.key")}
"""Settings of a client with a certificate of that authority."""


def server_context(*, mutual: bool = False) -> ssl.SSLContext:
    """Return the context of an HTTP server; ``mutual``: it demands a certificate of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate("server.pem"), certificate("server.key"))
    if mutual:
        context.load_verify_locations(certificate("ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _server_credentials(*, mutual: bool) -> grpc.ServerCredentials:
    """Return the same for a gRPC server."""
    pair = [(_FOLDER / name).read_bytes() for name in ("server.key", "server.pem")]
    authority = (_FOLDER / "ca.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([(pair[0], pair[1])], authority, mutual)


@contextmanager
def tls_receiver(protocol: str, *, mutual: bool = False) -> Iterator[Receiver]:
    """Run a receiver of ``protocol`` over TLS."""
    if protocol == "grpc":
        with grpc_receiver(tls=_server_credentials(mutual=mutual)) as receiver:
            yield receiver
    else:
        with http_receiver(tls=server_context(mutual=mutual)) as receiver:
            yield receiver
