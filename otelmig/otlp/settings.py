"""Where and how to export: the command line first, then the environment variables of the OTLP specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from otelmig.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GRPC", "HTTP", "Settings"]

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
_DEFAULT_ENDPOINTS: Final = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}
_DEFAULT_TIMEOUT_S: Final = 10.0
_TRACES_PATH: Final = "/v1/traces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an exporter needs to know."""

    protocol: str
    url: str
    """http: the full URL of the traces endpoint; grpc: ``http(s)://HOST:PORT``, https meaning TLS."""
    headers: Mapping[str, str]
    timeout_s: float
    """For one request with its retries."""
    gzip: bool
    certificate: str | None
    client_certificate: str | None
    client_key: str | None

    @property
    def place(self) -> str:
        """The endpoint as messages name it: without credentials."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @classmethod
    def of(cls, url: str | None, protocol: str | None, timeout_s: float | None, environ: Mapping[str, str]) -> Settings:
        """What the options say (None or empty: nothing), completed from ``environ``.

        Raises:
            UsageError: a value is not one of OTLP's.
        """

        def variable(name: str) -> str | None:
            return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None

        chosen = protocol or variable("PROTOCOL") or HTTP
        if chosen not in (HTTP, GRPC):
            raise UsageError(f"OTLP protocol {chosen!r} is not supported: want {HTTP} or {GRPC}")
        insecure = (variable("INSECURE") or "").lower() == "true"
        milliseconds = variable("TIMEOUT")
        try:
            environment_s = None if milliseconds is None else float(milliseconds) / 1000
        except ValueError:
            raise UsageError(f"OTEL_EXPORTER_OTLP_TIMEOUT={milliseconds}: not a number of milliseconds") from None
        compression = variable("COMPRESSION") or "none"
        if compression not in ("none", "gzip"):
            raise UsageError(f"OTLP compression {compression!r} is not supported: want gzip or none")
        return cls(
            protocol=chosen,
            url=_url(url or None, chosen, environ, insecure=insecure),
            headers=_headers(variable("HEADERS") or ""),
            timeout_s=timeout_s or environment_s or _DEFAULT_TIMEOUT_S,
            gzip=compression == "gzip",
            certificate=variable("CERTIFICATE"),
            client_certificate=variable("CLIENT_CERTIFICATE"),
            client_key=variable("CLIENT_KEY"),
        )


def _url(given: str | None, protocol: str, environ: Mapping[str, str], *, insecure: bool) -> str:
    exact = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    url = given or exact or base or _DEFAULT_ENDPOINTS[protocol]
    if "://" not in url:
        url = f"http://{url}" if protocol == HTTP or insecure or given else f"https://{url}"
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise UsageError(f"not an OTLP endpoint: {url!r} (such as {_DEFAULT_ENDPOINTS[protocol]})")
    if protocol == GRPC:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if given is not None:
        return url if parts.path.strip("/") else parts._replace(path=_TRACES_PATH).geturl()
    if exact:
        return url
    return parts._replace(path=parts.path.rstrip("/") + _TRACES_PATH).geturl()


def _headers(text: str) -> dict[str, str]:
    """``key=value`` pairs separated by commas, percent-encoded, as in W3C Baggage; what is no pair is an error."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UsageError("OTEL_EXPORTER_OTLP_HEADERS: want key=value pairs separated by commas")
        found[unquote(key.strip()).lower()] = unquote(value.strip())
    return found
