"""What a receiver's answer means, and when it proves that the receiver accepted the spans.

A status alone proves nothing: a redirect, a web page or a health check answers, too. Spans count as accepted only if
the status is 2xx (gRPC: OK), the content type is that of the request, and the body parses as an
``ExportTraceServiceResponse`` that rejects no span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.otlp.account import Reason
from otelmig.structs import Struct

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["Answer", "answer_of"]


class Answer(Struct, frozen=True, kw_only=True):
    """The result of one request; ``failure`` is None if the receiver accepted everything in it."""

    failure: str | None = None
    """Why the request failed, in one line for a person; without credentials."""
    reason: Reason = Reason.REJECTED
    """Machine-readable reason for ``failure``."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    retry_after_s: float | None = None
    """Seconds that the receiver asked to wait before the next request; None if it did not ask."""
    concerns_request: bool = False
    """Whether the failure lies in what was sent, so that another request may succeed at once."""
    maybe_accepted: bool = False
    """Whether the receiver may have accepted some spans despite the failure: a second send may duplicate them."""


def answer_of(response: ExportTraceServiceResponse, settings: Settings) -> Answer:
    """Return the answer that ``response``, a proper OTLP response, stands for: rejected spans are a failure."""
    partial = response.partial_success
    if not partial.rejected_spans:
        return Answer()
    why = f": {settings.redacted(partial.error_message)}" if partial.error_message else ""
    return Answer(
        failure=f"{settings.display_url} rejected {partial.rejected_spans} spans{why}",
        reason=Reason.REJECTED_SPANS,
        concerns_request=True,
        maybe_accepted=True,
    )
