"""Where the migration goes, without what should not be told of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from otelmig import announcement as names

__all__ = ["endpoint_attributes"]

_TRANSPORTS: Final = {"tcp": "tcp", "tls": "tcp", "rdma": None}
"""Schemes that are followed by a host, and the network's own name of the transport."""


def endpoint_attributes(url: str | None) -> dict[str, str | int]:
    """Return what a destination URL tells: transport, address and port, as far as they are in it.

    ``tcp:HOST:PORT``, ``unix:PATH`` and URLs with ``//`` are understood. User names, passwords, paths, queries and
    commands stay here: a socket's path is of no use off its host.

    >>> endpoint_attributes("tcp:192.0.2.20:4444")
    {'network.transport': 'tcp', 'server.address': '192.0.2.20', 'server.port': 4444}
    >>> endpoint_attributes("unix:/run/vm-7.sock")
    {'network.transport': 'unix'}
    """
    scheme, _, rest = (url or "").partition(":")
    if scheme == "unix":
        return {names.TRANSPORT: "unix"}
    if scheme not in _TRANSPORTS and not rest.startswith("//"):
        return {}
    transport = _TRANSPORTS.get(scheme)
    attributes: dict[str, str | int] = {} if transport is None else {names.TRANSPORT: transport}
    try:
        parts = urlsplit(rest if rest.startswith("//") else f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return attributes
    if host:
        attributes[names.ADDRESS] = host
    if port is not None:
        attributes[names.PORT] = port
    return attributes
