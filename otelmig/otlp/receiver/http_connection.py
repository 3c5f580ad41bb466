"""Connections of HTTP that wait for the final answer, and say whether TLS failed before anything was sent."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import SSLError

if TYPE_CHECKING:
    from requests import Response

__all__ = ["ConnectionAdapter", "HandshakeError", "ReceiverSession"]


class HandshakeError(SSLError):
    """TLS could not be agreed upon: nothing was sent."""


class _FinalResponse(HTTPResponse):
    """An answer without the interim ones before it (RFC 9110, 15.2), of which the library passes over 100 only."""

    def begin(self) -> None:
        super().begin()
        while HTTPStatus.SWITCHING_PROTOCOLS < self.status < HTTPStatus.OK:
            self.headers = self.msg = None  # type: ignore[assignment] # as before anything was read
            super().begin()


class _Connection(HTTPConnection):
    response_class = _FinalResponse


class _SecureConnection(HTTPSConnection):
    response_class = _FinalResponse

    def connect(self) -> None:
        try:
            super().connect()
        except (ssl.SSLError, SSLError) as error:
            raise HandshakeError(error) from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class ConnectionAdapter(HTTPAdapter):
    """Makes such connections, also by a proxy that speaks HTTP."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the library's own
        """Prepare the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - the library's own
        """The pools of connections by ``proxy``."""
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # whose connections are of another kind
            manager.pool_classes_by_scheme = _POOLS
        return manager


class ReceiverSession(Session):
    """A session that follows no redirect, and so does not look where one leads."""

    def __init__(self) -> None:
        """Prepare; no connection is made yet."""
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, ConnectionAdapter())

    def get_redirect_target(self, resp: Response) -> None:
        """Nowhere: what a receiver says there need not be a URL."""
