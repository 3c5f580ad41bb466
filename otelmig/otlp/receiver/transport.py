"""One request to an OTLP receiver, and the proof that it was taken.

A status alone proves nothing: a redirect, a web page or a health port answer too. Taken means: 2xx, the request's
content type, and an answer that parses as ``ExportTraceServiceResponse`` and rejects no span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.certificates import check_certificates
from otelmig.otlp.receiver.settings import GRPC, Settings

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

__all__ = ["Answer", "Transport", "judged", "open_transport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request; ``failure`` is None if everything in it was taken."""

    failure: str | None = None
    """One line for a person."""
    reason: Reason = Reason.REJECTED
    """Of the failure."""
    retryable: bool = False
    retry_after_s: float | None = None
    of_request: bool = False
    """Whether the failure is about what was sent, so that another request may succeed."""
    maybe_taken: bool = False
    """Whether the receiver may have taken some of it all the same: then sending it again may make a copy."""


class Transport(Protocol):
    """A connection to a receiver."""

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Send one request, once; never raises for what the network or the receiver does."""

    def close(self) -> None:
        """Let go of the connection."""


def open_transport(settings: Settings) -> Transport:
    """The transport for ``settings.protocol``; nothing is sent yet.

    Raises:
        UsageError: a certificate or key, the URL, a header or the proxy cannot be used.
    """
    check_certificates(settings)
    if settings.protocol == GRPC:
        from otelmig.otlp.receiver.grpc import GrpcTransport  # noqa: PLC0415 - each library only where it is spoken

        return GrpcTransport(settings)
    from otelmig.otlp.receiver.http import HttpTransport  # noqa: PLC0415 - the same

    return HttpTransport(settings)


def judged(response: ExportTraceServiceResponse, settings: Settings) -> Answer:
    """What a receiver's proper answer means."""
    partial = response.partial_success
    if not partial.rejected_spans:
        return Answer()
    why = f": {settings.redacted(partial.error_message)}" if partial.error_message else ""
    return Answer(
        failure=f"{settings.place} rejected {partial.rejected_spans} spans{why}",
        reason=Reason.REJECTED_SPANS,
        of_request=True,
        maybe_taken=True,
    )
