"""HTTP connections to a receiver: how they are set up, and what it means when one cannot be made or breaks.

They skip every interim answer and tell a failed TLS handshake, before which nothing was sent, from a later failure.
"""

from __future__ import annotations

import errno
import socket
import ssl
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import SSLError

from otelmig.errors import UsageError
from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.answer import Answer
from otelmig.otlp.receiver.settings import without_credentials
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["check_connection", "connection_failure", "open_session"]

_CERTIFICATE_ALERTS: Final = ("certificate", "unknown ca", "handshake failure", "access denied")
"""Words of TLS alerts about the client's certificate: TLS 1.3 checks it after the client's side of the handshake."""
_UNREACHED: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN})
"""Error numbers of connections that were never made."""


class _HandshakeError(SSLError):
    """The TLS handshake failed: nothing was sent."""


class _FinalResponse(HTTPResponse):
    """A response that skips every interim one (RFC 9110, 15.2); the standard library skips 100 only."""

    def begin(self) -> None:
        super().begin()
        while HTTPStatus.SWITCHING_PROTOCOLS < self.status < HTTPStatus.OK:
            self.headers = self.msg = None  # type: ignore[assignment] # the state before anything was read
            super().begin()


class _Connection(HTTPConnection):
    response_class = _FinalResponse


class _SecureConnection(HTTPSConnection):
    response_class = _FinalResponse

    def connect(self) -> None:
        try:
            super().connect()
        except (ssl.SSLError, SSLError) as error:
            raise _HandshakeError(error) from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Makes the connections of this module, directly or through an HTTP proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the library's signature
        """Prepare the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - the library's signature
        """Return the pools of connections through ``proxy``."""
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # SOCKS connections are of a class of their own
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    """A session that never looks at where a redirect leads."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: a redirect is not followed, and what a receiver names there need not be a URL."""


def open_session(settings: Settings, content_type: str) -> requests.Session:
    """Return a session for requests of ``content_type``, with the settings' headers, user and client certificate.

    No connection is made yet.
    """
    session = _Session()
    parts = urlsplit(settings.url)
    # a callable that adds nothing keeps ~/.netrc from replacing the caller's Authorization header
    session.auth = (
        HTTPBasicAuth(unquote(parts.username).encode(), unquote(parts.password or "").encode())
        if parts.username
        else lambda request: request
    )
    if settings.client_certificate:
        session.cert = (
            (settings.client_certificate, settings.client_key) if settings.client_key else settings.client_certificate
        )
    own = {"Content-Type": content_type, "User-Agent": f"otelmig/{__version__}", "Accept": content_type}
    session.headers.update({**settings.headers, **own})
    if settings.gzip:
        session.headers["Content-Encoding"] = "gzip"
    return session


def check_connection(session: requests.Session, settings: Settings) -> None:
    """Check that a request can be made of the settings, and that a direct or proxied connection can carry it.

    Raises:
        UsageError: the URL, a header or the proxy of the environment cannot be used.
    """
    url, shown_url = settings.url, settings.display_url
    try:
        request = session.prepare_request(requests.Request("POST", url))
    except requests.exceptions.InvalidHeader as error:
        raise UsageError("a header's value cannot be HTTP's: it begins with a space") from error
    except ValueError as error:  # the host is no name, or something else is no part of a URL
        raise UsageError(f"{shown_url} cannot be used: it is no URL") from error
    proxies = session.merge_environment_settings(url, {}, stream=True, verify=True, cert=None)["proxies"]
    try:
        _Adapter().get_connection_with_tls_context(request, verify=True, proxies=proxies)
    except ValueError as error:  # the proxy is no URL, has an unknown scheme, or is SOCKS without its library
        shown = without_credentials(select_proxy(url, proxies) or "")
        why = str(error) if isinstance(error, requests.exceptions.InvalidSchema) else "want http://HOST:PORT"
        raise UsageError(f"cannot use the proxy {shown!r} to {shown_url}: {why}") from error


def connection_failure(error: requests.exceptions.RequestException, settings: Settings) -> Answer:
    """Return the answer for a connection that could not be made, or that broke, as ``error`` tells."""
    url = settings.display_url
    if "\\x00" in repr(error) or "\\x12\\x04" in repr(error):
        return Answer(
            failure=f"{url} does not speak HTTP/1: if it is a gRPC port, say `Settings.protocol` grpc",
            reason=Reason.NOT_OTLP,
        )
    for cause in _causes(error):
        if isinstance(cause, _HandshakeError) or _is_refused_certificate(cause):
            return Answer(failure=f"{url}: TLS failed ({_tls_reason(cause)})", reason=Reason.TLS)
        if isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.errno in _UNREACHED):
            why = (cause.strerror or "no such host").lower()
            return Answer(failure=f"cannot reach {url}: {why}", reason=Reason.UNREACHABLE, retryable=True)
    if isinstance(error, requests.exceptions.ProxyError):
        return Answer(failure=f"cannot reach {url} by its proxy", reason=Reason.UNREACHABLE, retryable=True)
    return Answer(
        failure=f"{url} broke the connection off", reason=Reason.CONNECTION_LOST, retryable=True, maybe_accepted=True
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and every exception that the libraries wrapped in it, each once."""
    visited: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        candidate = pending.pop(0)
        if isinstance(candidate, BaseException) and candidate not in visited:
            visited.append(candidate)
            yield candidate
            pending += [getattr(candidate, "reason", None), *candidate.args, candidate.__cause__, candidate.__context__]


def _is_refused_certificate(error: BaseException) -> bool:
    """Return whether ``error`` is the peer's TLS alert that it does not accept the client's certificate."""
    if not isinstance(error, ssl.SSLError):
        return False
    alert = str(error.reason).replace("_", " ").lower()
    return "alert" in alert and any(words in alert for words in _CERTIFICATE_ALERTS)


def _tls_reason(error: BaseException) -> str:
    """Return in a few words why TLS failed."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return str(cause.reason).replace("_", " ").lower()
    return "does the port speak TLS?"
