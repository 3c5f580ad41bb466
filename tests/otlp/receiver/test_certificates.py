"""Certificates and keys that cannot be used are usage errors, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from delivery_cases import PROTOCOLS, delivered, payloads
from tls_receiver import certificate

from otelmig.errors import UsageError

if TYPE_CHECKING:
    from conftest import Otelmig


def test_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """A wrong path is a usage error for every transport, before anything is sent."""
    for protocol in PROTOCOLS:
        with pytest.raises(UsageError, match=r"cannot read the certificate or key .*missing\.pem: No such file"):
            delivered(payloads(1), "https://127.0.0.1:1", tmp_path, protocol=protocol, certificate="missing.pem")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_certificate_that_cannot_be_used(protocol: str, tmp_path: Path) -> None:
    """Half a pair, another's key, or something else than PEM: a usage error, not a library that aborts."""
    (tmp_path / "text.pem").write_text("no certificate\n")
    (tmp_path / "cut.pem").write_bytes(Path(certificate("client.pem")).read_bytes()[:200])
    text, cut = str(tmp_path / "text.pem"), str(tmp_path / "cut.pem")
    cases: list[dict[str, Any]] = [
        {"client_key": certificate("client.key")},
        {"client_certificate": certificate("client.pem")},
        {"client_certificate": text, "client_key": certificate("client.key")},
        {"client_certificate": cut, "client_key": certificate("client.key")},
        {"client_certificate": certificate("client.pem"), "client_key": text},
        {"client_certificate": certificate("client.pem"), "client_key": certificate("server.key")},
        {"certificate": text},
        {"certificate": cut},
        {"certificate": str(tmp_path)},
    ]
    for options in cases:
        with pytest.raises(UsageError, match="certificate"):
            delivered(payloads(1), "https://127.0.0.1:1", None, protocol=protocol, **options)


def test_half_a_pair_of_the_environment(otelmig: Otelmig) -> None:
    """It is one line and exit code 2, before a log is read."""
    done = otelmig(
        *("trace", "missing.log", "--otlp", "https://127.0.0.1:1", "--protocol", "grpc"),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=certificate("client.key"),
    )
    assert done.returncode == 2
    assert done.stderr == "otelmig: a client key without its certificate: want --client-certificate, too\n"
