"""The certificates and keys of the settings, checked before anything is sent: gRPC aborts the process over bad ones."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from otelmig.errors import UsageError
from otelmig.otlp.receiver.settings import GRPC

if TYPE_CHECKING:
    from otelmig.otlp.receiver.settings import Settings

__all__ = ["check_certificates"]


def check_certificates(settings: Settings) -> None:
    """Check that every certificate and key file can be read and used.

    Raises:
        UsageError: a file cannot be read, holds no PEM of its kind, or lacks the other half of its pair.
    """
    certificate, key = settings.client_certificate, settings.client_key
    for path in (settings.certificate, certificate, key):
        if path is not None:
            try:
                Path(path).read_bytes()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise UsageError(f"cannot read the certificate or key {path}: {why}") from error
    if key is not None and certificate is None:
        raise UsageError("a client key without its certificate: want `Settings.client_certificate`, too")
    if certificate is not None and key is None and settings.protocol == GRPC:
        raise UsageError("a client certificate without its key: want `Settings.client_key`, too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown = settings.certificate
    try:
        if settings.certificate is not None:
            context.load_verify_locations(settings.certificate)
        if certificate is not None:
            shown = certificate if key is None else f"{certificate} with {key}"
            # without a password, OpenSSL would ask for that of a protected key at the terminal
            context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", None) or "not PEM").replace("_", " ").lower()
        raise UsageError(f"cannot use the certificate or key {shown}: {why}") from error
