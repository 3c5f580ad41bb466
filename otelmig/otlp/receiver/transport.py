"""One connection to an OTLP receiver, by the protocol that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from otelmig.otlp.receiver.certificates import check_certificates
from otelmig.otlp.receiver.settings import GRPC, Settings

if TYPE_CHECKING:
    from otelmig.otlp.receiver.answer import Answer

__all__ = ["Transport", "open_log_transport", "open_transport"]

_LOGS: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class Transport(Protocol):
    """A connection to a receiver; it sends each request once."""

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Send one request and return its answer; no fault of the network or the receiver raises."""

    def close(self) -> None:
        """Close the connection."""


def open_transport(settings: Settings) -> Transport:
    """Return the transport for ``settings.protocol``; nothing is sent yet.

    Raises:
        UsageError: a certificate or key, the URL, a header or the proxy cannot be used.
    """
    check_certificates(settings)
    if settings.protocol == GRPC:
        from otelmig.otlp.receiver.grpc import GrpcTransport  # noqa: PLC0415 - loaded only for its own protocol

        return GrpcTransport(settings)
    from otelmig.otlp.receiver.http import HttpTransport  # noqa: PLC0415 - the same

    return HttpTransport(settings)


def open_log_transport(settings: Settings) -> Transport:
    """Return the same for log records, whose endpoint ``settings`` name over HTTP.

    Raises:
        UsageError: as above.
    """
    if settings.protocol != GRPC:
        return open_transport(settings)
    check_certificates(settings)
    from otelmig.otlp.receiver.grpc import GrpcTransport  # noqa: PLC0415 - the same

    return GrpcTransport(settings, _LOGS)
