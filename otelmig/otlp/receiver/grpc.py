"""OTLP over gRPC: the method is called directly, because the stock exporter does not look at rejected spans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # generated code has no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # the same
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.transport import Answer, judged
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
"""And RESOURCE_EXHAUSTED, if the receiver says when to come again (OTLP specification, "Failures")."""
_REASONS: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.TIMEOUT,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UNAUTHORIZED,
    grpc.StatusCode.UNIMPLEMENTED: Reason.NOT_OTLP,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.REJECTED,
    grpc.StatusCode.FAILED_PRECONDITION: Reason.REJECTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.RECEIVER_BUSY,
}
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
"""By their meaning, nothing was taken."""
_UNREACHED: Final = {
    "connection refused": "connection refused",
    "name resolution": "no such host",
    "errors resolving": "no such host",
    "dns resolution": "no such host",
    "failed to connect": "",
}
"""Words of a connection that was never made, and what to say instead."""
_BROKE: Final = ("closed", "reset", "goaway", "broken pipe", "stream removed", "terminat", "disconnect")
"""Words of a connection that broke, so that nobody knows what was taken."""
_REMOVED: Final = "stream removed"
"""What the library itself says of a request whose connection broke, with one of two codes."""
_BUSY: Final = (
    "queue is full",
    "high memory usage",
    "no healthy upstream",
    "overload",
    "too many requests",
    "rate limit",
    "throttl",
)
"""Words with which receivers and gateways say that they take nothing now."""
_HTTP_STATUS: Final = re.compile(r"received http2? (?:header with )?status:? ?(429|502|503|504)\b")
"""What a gateway said in gRPC's place: somebody else may answer in time."""
_HTTP_REFUSALS: Final = frozenset({"429", "503"})
_TLS_MEANINGS: Final = {
    "certificate_veri": "its certificate is not trusted",
    "wrong_version": "does the port speak TLS?",
}
_TLS: Final = ("ssl", "tls", "handshake", "certificate")
_NO_GRPC: Final = ("http1", "parsing http/2", "received http status", "received http2 header with status")


class GrpcTransport:
    """One channel to one receiver."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a channel; the certificates and keys have been checked."""
        self._settings = settings
        scheme, _, target = settings.url.partition("://")
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        options = [
            ("grpc.primary_user_agent", f"otelmig/{__version__}"),
            ("grpc.enable_retries", 0),  # its own retries would send again without anybody knowing
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
            _METHOD, request_serializer=bytes, response_deserializer=ExportTraceServiceResponse.FromString
        )
        self._metadata = tuple(
            (name, value.encode() if name.endswith("-bin") else value) for name, value in settings.headers.items()
        )

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Call ``Export`` and look at its result."""
        try:
            response = self._export(body, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failed(error, timeout_s)
        return judged(response, self._settings)

    def _failed(self, error: grpc.RpcError, timeout_s: float) -> Answer:
        place = self._settings.place
        code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
        details = self._settings.redacted(getattr(error, "details", lambda: None)() or "")
        said = details.lower()
        if (status := _HTTP_STATUS.search(said)) is not None:
            return Answer(
                failure=f"{place} answered {status[1]}",
                reason=Reason.RECEIVER_BUSY,
                retryable=True,
                maybe_taken=status[1] not in _HTTP_REFUSALS,
            )
        if code is grpc.StatusCode.UNAVAILABLE or (
            code is grpc.StatusCode.UNKNOWN and said.startswith(_REMOVED) and not _trailers(error)
        ):
            return self._unavailable(details, error)
        if any(words in said for words in _NO_GRPC):
            return Answer(failure=f"{place} does not speak gRPC: {details}", reason=Reason.NOT_OTLP)
        pause_s = _retry_delay_s(error)
        large = code is grpc.StatusCode.RESOURCE_EXHAUSTED and pause_s is None and "larger than max" in said
        failure = f"{place}: {code.name} {details}".rstrip()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            failure = f"{place} did not answer within {timeout_s:.1f} s"
        return Answer(
            failure=failure,
            reason=Reason.TOO_LARGE if large else _REASONS.get(code, Reason.RECEIVER_ERROR),
            retryable=code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and pause_s is not None),
            retry_after_s=pause_s,
            of_request=large or code not in _REASONS or _REASONS[code] is Reason.REJECTED,
            maybe_taken=code not in _REFUSALS,
        )

    def _unavailable(self, details: str, error: grpc.RpcError) -> Answer:
        """No connection, a wrong one, one that broke, or a receiver that says so."""
        place, said = self._settings.place, details.lower()
        if any(words in said for words in _NO_GRPC):
            return Answer(
                failure=f"{place} does not speak gRPC: for OTLP's HTTP port, say `Settings.protocol` http/protobuf",
                reason=Reason.NOT_OTLP,
            )
        if any(words in self._without_host(said) for words in _TLS):
            meaning = next((text for words, text in _TLS_MEANINGS.items() if words in said), details)
            return Answer(failure=f"{place}: TLS failed ({meaning})", reason=Reason.TLS)
        for words, meaning in _UNREACHED.items():
            if words in said:
                failure = f"cannot reach {place}: {meaning or details}"
                return Answer(failure=failure, reason=Reason.UNREACHABLE, retryable=True)
        pause_s = _retry_delay_s(error)
        broke = any(words in said for words in _BROKE)
        busy = pause_s is not None or (not broke and (bool(_trailers(error)) or any(words in said for words in _BUSY)))
        return Answer(
            failure=f"{place}: UNAVAILABLE {details}".rstrip(),
            reason=Reason.RECEIVER_BUSY if busy else Reason.CONNECTION_LOST,
            retryable=True,
            retry_after_s=pause_s,
            maybe_taken=not busy,
        )

    def _without_host(self, said: str) -> str:
        """A host may be named after anything."""
        host = re.escape(urlsplit(self._settings.url).hostname or "")
        return re.sub(rf"(?<![\w.-]){host}(?![\w.-])", "", said)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _trailers(error: grpc.RpcError) -> tuple[tuple[str, bytes], ...]:
    """What came with the receiver's own status; a connection that broke has none."""
    return tuple(getattr(error, "trailing_metadata", lambda: None)() or ())


def _retry_delay_s(error: grpc.RpcError) -> float | None:
    """When the receiver wants to be asked again (``google.rpc.RetryInfo``), if it says so."""
    for name, value in _trailers(error):
        if name != "grpc-status-details-bin":
            continue
        try:
            details = Status.FromString(value).details
        except DecodeError:
            return None
        for each in details:
            info = RetryInfo()
            if each.Is(RetryInfo.DESCRIPTOR) and each.Unpack(info):
                return max(float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9), 0.0)
    return None
