"""OTLP over gRPC; it calls the method itself, because the stock exporter does not look at rejected spans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.answer import Answer, answer_of
from otelmig.version import __version__

if TYPE_CHECKING:
    from otelmig.otlp.receiver.settings import Settings

__all__ = ["GrpcTransport"]

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes after which the same request may be sent again (OTLP specification, "Failures"); RESOURCE_EXHAUSTED is one of
them only if the receiver says when."""
_REASONS: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.TIMEOUT,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UNAUTHORIZED,
    grpc.StatusCode.UNIMPLEMENTED: Reason.NOT_OTLP,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.REJECTED,
    grpc.StatusCode.FAILED_PRECONDITION: Reason.REJECTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.RECEIVER_BUSY,
}
"""Reasons of the codes that have one of their own; the others are receiver errors."""
_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Codes that mean that nothing was accepted."""
_UNREACHED: Final = {
    "connection refused": "connection refused",
    "name resolution": "no such host",
    "errors resolving": "no such host",
    "dns resolution": "no such host",
    "failed to connect": "",
}
"""Words of gRPC about a connection that was never made, and what to say instead (empty: gRPC's own words)."""
_BROKE: Final = ("closed", "reset", "goaway", "broken pipe", "stream removed", "terminat", "disconnect")
"""Words of gRPC about a connection that broke, so that nobody knows what was accepted."""
_REMOVED: Final = "stream removed"
"""Words of gRPC itself about a request whose connection broke; they come with UNAVAILABLE or with UNKNOWN."""
_BUSY: Final = (
    "queue is full",
    "high memory usage",
    "no healthy upstream",
    "overload",
    "too many requests",
    "rate limit",
    "throttl",
)
"""Words of receivers and gateways that accept nothing at the moment."""
_HTTP_STATUS: Final = re.compile(r"received http2? (?:header with )?status:? ?(429|502|503|504)\b")
"""Words of gRPC about a gateway's plain HTTP answer; the receiver behind the gateway may answer later."""
_LARGER: Final = re.compile(r"larger than max \(([0-9]{1,18})\b")
"""Words of gRPC about a message that is too large, with its size in bytes."""
_HTTP_REFUSALS: Final = frozenset({"429", "503"})
"""Those of these statuses that mean that nothing was accepted."""
_TLS_MEANINGS: Final = {
    "certificate_veri": "its certificate is not trusted",
    "wrong_version": "does the port speak TLS?",
}
"""Words of gRPC about TLS, and what to say instead."""
_TLS: Final = ("ssl", "tls", "handshake", "certificate")
"""Words of gRPC about a failed TLS handshake."""
_NO_GRPC: Final = ("http1", "parsing http/2", "received http status", "received http2 header with status")
"""Words of gRPC about a port that speaks another protocol."""


class GrpcTransport:
    """One gRPC channel to one receiver."""

    def __init__(self, settings: Settings, method: str = _METHOD) -> None:
        """Prepare a channel for calls of ``method``; the certificates and keys have been checked already.

        The answer for another signal than traces has the same form.
        """
        self._settings = settings
        scheme, _, target = settings.url.partition("://")
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        options = [
            ("grpc.primary_user_agent", f"otelmig/{__version__}"),
            ("grpc.enable_retries", 0),  # gRPC's own retries could duplicate spans without any account of it
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if scheme == "https":
            files = (settings.certificate, settings.client_key, settings.client_certificate)
            roots, key, chain = (None if path is None else Path(path).read_bytes() for path in files)
            self._channel = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(roots, key, chain), options, compression
            )
        else:
            self._channel = grpc.insecure_channel(target, options, compression)
        self._export = self._channel.unary_unary(
            method, request_serializer=bytes, response_deserializer=ExportTraceServiceResponse.FromString
        )
        self._metadata = tuple(
            (name, value.encode() if name.endswith("-bin") else value) for name, value in settings.headers.items()
        )

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Call ``Export`` with ``body``, an ``ExportTraceServiceRequest``, and return the answer."""
        response: ExportTraceServiceResponse | None
        try:
            response = self._export(body, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failure(error, timeout_s, len(body))
        if response is None:  # the status is OK and no message came with it, as from a proxy: gRPC raises nothing
            failure = f"{self._settings.display_url} answered OK without a message: this is no OTLP receiver"
            return Answer(failure=failure, reason=Reason.NOT_OTLP, maybe_accepted=True)
        return answer_of(response, self._settings)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _failure(self, error: grpc.RpcError, timeout_s: float, size: int) -> Answer:
        """Return the answer for a call that failed, with a request of ``size`` bytes."""
        url = self._settings.display_url
        code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
        details = self._settings.redacted(getattr(error, "details", lambda: None)() or "")
        words = details.lower()
        if (status := _HTTP_STATUS.search(words)) is not None:
            return Answer(
                failure=f"{url} answered {status[1]}",
                reason=Reason.RECEIVER_BUSY,
                retryable=True,
                maybe_accepted=status[1] not in _HTTP_REFUSALS,
            )
        if code is grpc.StatusCode.UNAVAILABLE or (
            code is grpc.StatusCode.UNKNOWN and words.startswith(_REMOVED) and not _trailers(error)
        ):
            return self._unavailable(details, error)
        if _has_any(words, _NO_GRPC):
            return Answer(failure=f"{url} does not speak gRPC: {details}", reason=Reason.NOT_OTLP)
        retry_after_s = _retry_after_s(error)
        exhausted = code is grpc.StatusCode.RESOURCE_EXHAUSTED
        too_large = exhausted and retry_after_s is None and "larger than max" in words
        if too_large and _is_answer_too_large(words, size):
            failure = f"{url} answered with more than an answer can be: this is no OTLP receiver"
            return Answer(failure=failure, reason=Reason.NOT_OTLP, maybe_accepted=True)
        failure = f"{url}: {code.name} {details}".rstrip()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            failure = f"{url} did not answer within {timeout_s:.1f} s"
        return Answer(
            failure=failure,
            reason=Reason.TOO_LARGE if too_large else _REASONS.get(code, Reason.RECEIVER_ERROR),
            retryable=code in _RETRYABLE or (exhausted and retry_after_s is not None),
            retry_after_s=retry_after_s,
            concerns_request=too_large or code not in _REASONS or _REASONS[code] is Reason.REJECTED,
            maybe_accepted=code not in _REFUSALS,
        )

    def _unavailable(self, details: str, error: grpc.RpcError) -> Answer:
        """Return the answer for UNAVAILABLE: no connection, a wrong or a broken one, or a receiver that says so."""
        url, words = self._settings.display_url, details.lower()
        if _has_any(words, _NO_GRPC):
            return Answer(
                failure=f"{url} does not speak gRPC: for OTLP's HTTP port, say `Settings.protocol` http/protobuf",
                reason=Reason.NOT_OTLP,
            )
        if _has_any(self._without_host(words), _TLS):
            meaning = next((text for key, text in _TLS_MEANINGS.items() if key in words), details)
            return Answer(failure=f"{url}: TLS failed ({meaning})", reason=Reason.TLS)
        for key, meaning in _UNREACHED.items():
            if key in words:
                failure = f"cannot reach {url}: {meaning or details}"
                return Answer(failure=failure, reason=Reason.UNREACHABLE, retryable=True)
        retry_after_s = _retry_after_s(error)
        from_receiver = not _has_any(words, _BROKE) and (bool(_trailers(error)) or _has_any(words, _BUSY))
        busy = retry_after_s is not None or from_receiver
        return Answer(
            failure=f"{url}: UNAVAILABLE {details}".rstrip(),
            reason=Reason.RECEIVER_BUSY if busy else Reason.CONNECTION_LOST,
            retryable=True,
            retry_after_s=retry_after_s,
            maybe_accepted=not busy,
        )

    def _without_host(self, words: str) -> str:
        """Return ``words`` without the receiver's host, whose name may contain "tls"."""
        host = re.escape(urlsplit(self._settings.url).hostname or "")
        return re.sub(rf"(?<![\w.-]){host}(?![\w.-])", "", words)


def _has_any(words: str, parts: tuple[str, ...]) -> bool:
    """Return whether any of ``parts`` occurs in ``words``."""
    return any(part in words for part in parts)


def _is_answer_too_large(words: str, size: int) -> bool:
    """Return whether the message that gRPC calls too large is the answer and not the request of ``size`` bytes.

    Then it is our own library that says so, and the receiver may have accepted the request. Newer versions say whose
    words these are; with the others, a message that is larger than the request is another one.
    """
    if "sent message" in words or "server:" in words:
        return False
    match = _LARGER.search(words)
    return "client:" in words or (match is not None and int(match[1]) > size)


def _trailers(error: grpc.RpcError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata of the receiver's own status; a connection that broke has none."""
    return tuple(getattr(error, "trailing_metadata", lambda: None)() or ())


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """Return the seconds that the receiver asks to wait (``google.rpc.RetryInfo``); None if it does not ask."""
    for name, value in _trailers(error):
        if name != "grpc-status-details-bin":
            continue
        try:
            details = Status.FromString(value).details
        except DecodeError:
            return None
        for detail in details:
            info = RetryInfo()
            if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                return max(float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9), 0.0)
    return None
