"""OTLP over HTTP, with protobuf or JSON bodies."""

from __future__ import annotations

import errno
import gzip
import json
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import requests
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.auth import HTTPBasicAuth
from requests.utils import select_proxy

from otelmig.errors import UsageError
from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.http_connection import ConnectionAdapter, HandshakeError, ReceiverSession
from otelmig.otlp.receiver.settings import JSON, without_credentials
from otelmig.otlp.receiver.transport import Answer, judged
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["HttpTransport"]

_CONTENT_TYPES: Final = {True: "application/json", False: "application/x-protobuf"}
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_NOT_TAKEN: Final = frozenset({429, 503})
"""By their meaning: too many requests, no service. A gateway's 502 and 504 say nothing of who stands behind it."""
_OF_PLACE: Final = frozenset({Reason.RECEIVER_BUSY, Reason.NOT_OTLP, Reason.UNAUTHORIZED})
"""What another request would be told as well."""
_HINTS: Final = {
    404: " (is the path /v1/traces?)",
    405: " (is this an OTLP port?)",
    415: " (does it take this protocol? see `Settings.protocol`)",
}
_GRACE_S: Final = 0.2
"""For the exchange to say itself that its time is over, and why."""
_LARGEST_ANSWER: Final = 1 << 16
_LONGEST_WAIT_S: Final = 86_400.0
_CERTIFICATE_ALERTS: Final = ("certificate", "unknown ca", "handshake failure", "access denied")
"""Words of alerts about the sender's own certificate, which TLS 1.3 looks at when the sender's handshake is done."""
_UNREACHED: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN})


class HttpTransport:
    """One session with one receiver."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a session; the certificates and keys have been checked.

        Raises:
            UsageError: the URL, a header or the proxy of the environment cannot be used.
        """
        self._settings = settings
        self._kind = _CONTENT_TYPES[settings.protocol == JSON]
        self._session = self._new_session()
        self._check()

    def _new_session(self) -> requests.Session:
        settings = self._settings
        session = ReceiverSession()
        parts = urlsplit(settings.url)
        # a callable that adds nothing keeps ~/.netrc from replacing the header that was asked for
        session.auth = (
            HTTPBasicAuth(unquote(parts.username).encode(), unquote(parts.password or "").encode())
            if parts.username
            else lambda request: request
        )
        if settings.client_certificate:
            session.cert = (
                (settings.client_certificate, settings.client_key)
                if settings.client_key
                else settings.client_certificate
            )
        own = {"Content-Type": self._kind, "User-Agent": f"otelmig/{__version__}", "Accept": self._kind}
        session.headers.update({**settings.headers, **own})
        if settings.gzip:
            session.headers["Content-Encoding"] = "gzip"
        return session

    def _check(self) -> None:
        """See that a request can be made of the settings, and that there is a way for it."""
        url, place = self._settings.url, self._settings.place
        try:
            request = self._session.prepare_request(requests.Request("POST", url))
        except requests.exceptions.InvalidHeader as error:
            raise UsageError("a header's value cannot be HTTP's: it begins with a space") from error
        except ValueError as error:  # a host that is no name, and what else is no URL
            raise UsageError(f"{place} cannot be used: it is no URL") from error
        proxies = self._session.merge_environment_settings(url, {}, stream=True, verify=True, cert=None)["proxies"]
        try:
            ConnectionAdapter().get_connection_with_tls_context(request, verify=True, proxies=proxies)
        except ValueError as error:  # no URL, an unknown scheme, or SOCKS without its library
            shown = without_credentials(select_proxy(url, proxies) or "")
            why = str(error) if isinstance(error, requests.exceptions.InvalidSchema) else "want http://HOST:PORT"
            raise UsageError(f"cannot use the proxy {shown!r} to {place}: {why}") from error

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """POST the request; what takes longer, from the host's name to the last byte, is left to itself.

        The session's own timeouts are for one read each: whoever answers byte by byte would hold it for ever.
        """
        found: Future[Answer] = Future()

        def work(session: requests.Session) -> None:
            try:
                found.set_result(self._exchange(session, body, timeout_s))
            except Exception as error:  # noqa: BLE001 - none may be lost: it is raised again where it is waited for
                found.set_exception(error)

        threading.Thread(target=work, args=(self._session,), daemon=True).start()
        try:
            return found.result(timeout_s + _GRACE_S)
        except TimeoutError:
            self._session = self._new_session()
            return self._late(timeout_s)

    def _late(self, timeout_s: float) -> Answer:
        failure = f"{self._settings.place} did not answer within {timeout_s:.1f} s"
        return Answer(failure=failure, reason=Reason.TIMEOUT, retryable=True, maybe_taken=True)

    def _exchange(self, session: requests.Session, body: bytes, timeout_s: float) -> Answer:
        """Redirects are not followed, they would turn it into a GET of something else."""
        place = self._settings.place
        deadline = time.monotonic() + timeout_s
        try:
            with session.post(
                self._settings.url,
                data=gzip.compress(body, mtime=0) if self._settings.gzip else body,
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
                verify=self._settings.certificate or True,
            ) as response:
                return self._judge(response, _content(response, deadline))
        except requests.exceptions.ConnectTimeout:
            return Answer(
                failure=f"cannot reach {place}: no connection within {timeout_s:.1f} s",
                reason=Reason.UNREACHABLE,
                retryable=True,
            )
        except (requests.exceptions.Timeout, TimeoutError):
            return self._late(timeout_s)
        except requests.exceptions.InvalidHeader:  # of the answer: the request's have been looked at
            return Answer(
                failure=f"{place} answered with a malformed header", reason=Reason.RECEIVER_ERROR, maybe_taken=True
            )
        except requests.exceptions.RequestException as error:
            return self._broken(error)
        except OSError as error:  # what the session passes on as it is: a certificate that it cannot use
            return Answer(failure=f"{place}: {error.strerror or 'the certificates cannot be used'}", reason=Reason.TLS)

    def _broken(self, error: requests.exceptions.RequestException) -> Answer:
        """A connection that could not be made, or that broke."""
        place = self._settings.place
        if "\\x00" in repr(error) or "\\x12\\x04" in repr(error):
            return Answer(
                failure=f"{place} does not speak HTTP/1: if it is a gRPC port, say `Settings.protocol` grpc",
                reason=Reason.NOT_OTLP,
            )
        for cause in _causes(error):
            if isinstance(cause, HandshakeError) or _is_refused_certificate(cause):
                return Answer(failure=f"{place}: TLS failed ({_tls_reason(cause)})", reason=Reason.TLS)
            if isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.errno in _UNREACHED):
                why = (cause.strerror or "no such host").lower()
                return Answer(failure=f"cannot reach {place}: {why}", reason=Reason.UNREACHABLE, retryable=True)
        if isinstance(error, requests.exceptions.ProxyError):
            return Answer(failure=f"cannot reach {place} by its proxy", reason=Reason.UNREACHABLE, retryable=True)
        return Answer(
            failure=f"{place} broke the connection off",
            reason=Reason.CONNECTION_LOST,
            retryable=True,
            maybe_taken=True,
        )

    def _judge(self, response: requests.Response, content: bytes) -> Answer:
        place, status = self._settings.place, response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status < 200:  # noqa: PLR2004 - the class of interim answers, of which one seems to be the last
            return self._no_receiver(str(status))
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            shown = _shown_target(response.headers.get("Location", ""))
            return Answer(
                failure=f"{place} redirects to {self._settings.redacted(shown) or 'somewhere else'} ({status}): "
                "give that URL, redirects lose spans",
                reason=Reason.NOT_OTLP,
            )
        if not 200 <= status < 300:  # noqa: PLR2004 - the class of success
            reason = _status_reason(status)
            said = f" {self._settings.redacted(response.reason or '')}".rstrip()
            return Answer(
                failure=f"{place} answered {status}{said}{_HINTS.get(status, '')}",
                reason=reason,
                retryable=status in _RETRYABLE,
                retry_after_s=_retry_after_s(response.headers.get("Retry-After")) if status in _NOT_TAKEN else None,
                of_request=reason not in _OF_PLACE,
                maybe_taken=status >= 500 and status not in _NOT_TAKEN,  # noqa: PLR2004 - the receiver's own faults
            )
        if kind != self._kind:
            what = "a web page" if kind == "text/html" else (self._settings.redacted(kind) or "no content type")
            return self._no_receiver(f"{status} with {what}")
        return self._proved(content, status)

    def _proved(self, content: bytes, status: int) -> Answer:
        """Whether the body is an OTLP answer: an empty one is where it is protobuf, in JSON it is an object."""
        try:
            if self._settings.protocol == JSON:
                found = ParseDict(
                    _own_fields(json.loads(content)), ExportTraceServiceResponse(), ignore_unknown_fields=True
                )
            else:
                found = ExportTraceServiceResponse.FromString(content)
        except (DecodeError, ParseError, ValueError, RecursionError):
            return self._no_receiver(f"{status} with something that is no OTLP response")
        return judged(found, self._settings)

    def _no_receiver(self, what: str) -> Answer:
        # whoever answers like this is no receiver, but a receiver may stand behind it
        failure = f"{self._settings.place} answered {what}: this is no OTLP receiver"
        return Answer(failure=failure, reason=Reason.NOT_OTLP, maybe_taken=True)

    def close(self) -> None:
        """Close pooled connections."""
        self._session.close()


def _own_fields(given: object) -> dict[str, object]:
    """A JSON answer that has the one field of an OTLP response, or none at all: a health port's has others."""
    if not isinstance(given, dict) or not set(given) <= {"partialSuccess"}:
        raise ValueError("no OTLP response")
    return {name: value for name, value in given.items() if value is not None}


def _content(response: requests.Response, deadline: float) -> bytes:
    """The body, as far as an answer can be long, if it comes before ``deadline``."""
    found = bytearray()
    for chunk in response.iter_content(1):  # a larger one is waited for as long as anything comes
        found += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(found) > _LARGEST_ANSWER:
            break
    return bytes(found)


def _shown_target(location: str) -> str:
    """Where a redirect leads, without credentials; nothing if that is no URL."""
    try:
        target = urlsplit(location)
    except ValueError:
        return ""
    return target._replace(netloc=target.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _status_reason(status: int) -> Reason:
    known = {401: Reason.UNAUTHORIZED, 403: Reason.UNAUTHORIZED, 407: Reason.UNAUTHORIZED, 413: Reason.TOO_LARGE}
    known |= {404: Reason.NOT_OTLP, 405: Reason.NOT_OTLP, 415: Reason.NOT_OTLP}
    if status in _RETRYABLE:
        return Reason.RECEIVER_BUSY
    return known.get(status, Reason.REJECTED if status < 500 else Reason.RECEIVER_ERROR)  # noqa: PLR2004 - the classes


def _retry_after_s(text: str | None) -> float | None:
    """Seconds, or a date; None if it is neither."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdecimal() else _until_s(text)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _until_s(date: str) -> float:
    instant = parsedate_to_datetime(date)
    return (instant.replace(tzinfo=instant.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that the libraries wrapped in it."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and found not in seen:
            seen.append(found)
            yield found
            waiting += [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]


def _is_refused_certificate(error: BaseException) -> bool:
    if not isinstance(error, ssl.SSLError):
        return False
    alert = str(error.reason).replace("_", " ").lower()
    return "alert" in alert and any(words in alert for words in _CERTIFICATE_ALERTS)


def _tls_reason(error: BaseException) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return str(cause.reason).replace("_", " ").lower()
    return "does the port speak TLS?"
