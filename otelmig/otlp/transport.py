"""One request to an OTLP receiver, and the proof that it was taken.

A status alone proves nothing: a redirect, a web page or a health port answer too. Taken means: 2xx, the request's
content type, and an answer that parses as ``ExportTraceServiceResponse`` and rejects no span.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import grpc
import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from otelmig import __version__
from otelmig.errors import UsageError
from otelmig.otlp.settings import GRPC, Settings

__all__ = ["Answer", "Transport", "open_transport"]

_PROTOBUF: Final = "application/x-protobuf"
_USER_AGENT: Final = f"otelmig/{__version__}"
_RETRYABLE_STATUS: Final = frozenset({429, 502, 503, 504})
_RETRYABLE_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request; ``failure`` is None if everything in it was taken."""

    failure: str | None = None
    """One line for a person."""
    retryable: bool = False
    retry_after_s: float | None = None
    of_request: bool = False
    """Whether the failure is about what was sent, so that another request may succeed."""


class Transport(Protocol):
    """A connection to a receiver."""

    def send(self, request: ExportTraceServiceRequest, timeout_s: float) -> Answer:
        """Send one request, once; never raises for what the network or the receiver does."""

    def close(self) -> None:
        """Let go of the connection."""


def open_transport(settings: Settings) -> Transport:
    """The transport for ``settings.protocol``; nothing is sent yet."""
    return _Grpc(settings) if settings.protocol == GRPC else _Http(settings)


def _rejected(response: ExportTraceServiceResponse, place: str) -> Answer:
    partial = response.partial_success
    if not partial.rejected_spans:
        return Answer()
    why = f": {partial.error_message}" if partial.error_message else ""
    return Answer(failure=f"{place} rejected {partial.rejected_spans} spans{why}", of_request=True)


class _Http:
    """OTLP over HTTP with protobuf bodies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.verify = settings.certificate or True
        if settings.client_certificate:
            self._session.cert = (
                (settings.client_certificate, settings.client_key)
                if settings.client_key
                else settings.client_certificate
            )
        self._session.headers.update({**settings.headers, "Content-Type": _PROTOBUF, "User-Agent": _USER_AGENT})
        if settings.gzip:
            self._session.headers["Content-Encoding"] = "gzip"

    def send(self, request: ExportTraceServiceRequest, timeout_s: float) -> Answer:
        """POST the request; redirects are not followed, they would turn it into a GET of something else."""
        body = request.SerializeToString()
        place = self._settings.place
        try:
            response = self._session.post(
                self._settings.url,
                data=gzip.compress(body, mtime=0) if self._settings.gzip else body,
                timeout=timeout_s,
                allow_redirects=False,
            )
            content = response.content
        except requests.exceptions.Timeout:
            return Answer(failure=f"{place} did not answer within {timeout_s:.1f} s", retryable=True)
        except requests.exceptions.SSLError:
            return Answer(failure=f"{place}: TLS failed (certificate, or the port does not speak TLS)")
        except requests.exceptions.ConnectionError as error:
            return Answer(failure=f"cannot reach {place}: {_network_reason(error)}", retryable=True)
        except (requests.exceptions.RequestException, OSError) as error:
            return Answer(failure=f"cannot send to {place}: {type(error).__name__}")
        return self._judge(response, content)

    def _judge(self, response: requests.Response, content: bytes) -> Answer:
        place, status = self._settings.place, response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.is_redirect or 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            target = response.headers.get("Location", "somewhere else").partition("?")[0]
            return Answer(failure=f"{place} redirects to {target} ({status}): give that URL, redirects lose spans")
        if not response.ok:
            hint = {404: " (is the path /v1/traces?)", 405: " (is this an OTLP port?)", 415: " (is this an OTLP port?)"}
            return Answer(
                failure=f"{place} answered {status} {response.reason}{hint.get(status, '')}",
                retryable=status in _RETRYABLE_STATUS,
                retry_after_s=_retry_after(response.headers.get("Retry-After")),
                of_request=status in (400, 413),
            )
        if kind != _PROTOBUF:
            what = "a web page" if kind == "text/html" else (kind or "no content type")
            return Answer(failure=f"{place} answered {status} with {what}: this is no OTLP receiver")
        try:
            answer = ExportTraceServiceResponse.FromString(content)
        except DecodeError:
            return Answer(failure=f"{place} answered {status} with something that is no OTLP response")
        return _rejected(answer, place)

    def close(self) -> None:
        """Close pooled connections."""
        self._session.close()


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() and len(text) < len("10000") else None


def _network_reason(error: BaseException) -> str:
    """What the operating system said, dug out of the library's wrapping."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror and not isinstance(seen, requests.exceptions.RequestException):
            return seen.strerror.lower()
        inner = getattr(seen, "reason", None) or next((arg for arg in seen.args if isinstance(arg, Exception)), None)
        seen = seen.__cause__ or seen.__context__ or (inner if isinstance(inner, Exception) else None)
    text = str(error).lower()
    known = ("connection refused", "name or service not known", "connection reset", "connection aborted")
    return next((words for words in known if words in text), "the connection broke")


class _Grpc:
    """OTLP over gRPC; the stub is used directly, because the stock exporter does not look at rejected spans."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        scheme, _, target = settings.url.partition("://")
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        options = [("grpc.primary_user_agent", _USER_AGENT)]
        if scheme == "https":
            credentials = grpc.ssl_channel_credentials(
                root_certificates=_read(settings.certificate),
                private_key=_read(settings.client_key),
                certificate_chain=_read(settings.client_certificate),
            )
            self._channel = grpc.secure_channel(target, credentials, options, compression)
        else:
            self._channel = grpc.insecure_channel(target, options, compression)
        self._stub = TraceServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated code has no types

    def send(self, request: ExportTraceServiceRequest, timeout_s: float) -> Answer:
        """Call ``Export`` and look at its result."""
        place = self._settings.place
        try:
            response = self._stub.Export(request, timeout=timeout_s, metadata=tuple(self._settings.headers.items()))
        except grpc.RpcError as error:
            code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
            details = getattr(error, "details", lambda: None)() or ""
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return Answer(failure=f"{place} did not answer within {timeout_s:.1f} s", retryable=True)
            reason = " ".join(details.split())[:200]
            return Answer(
                failure=f"{place}: {code.name} {reason}".rstrip(),
                retryable=code in _RETRYABLE_CODES,
                of_request=code is grpc.StatusCode.INVALID_ARGUMENT,
            )
        return _rejected(response, place)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the certificate or key {path}: {error.strerror}") from error
