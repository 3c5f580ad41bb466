"""Where and how to export: the command line first, then the environment variables of the OTLP specification."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from otelmig.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["GRPC", "HTTP", "JSON", "PROTOCOLS", "Settings", "environment_exports", "without_credentials"]

HTTP: Final = "http/protobuf"
JSON: Final = "http/json"
GRPC: Final = "grpc"
PROTOCOLS: Final = (HTTP, JSON, GRPC)
_DEFAULT_ENDPOINTS: Final = {
    HTTP: "http://localhost:4318",
    JSON: "http://localhost:4318",
    GRPC: "http://localhost:4317",
}
_COMPRESSIONS: Final = ("none", "gzip")
_EXPORTERS: Final = frozenset({"otlp", "console", "zipkin", "jaeger", "logging", "none"})
_DEFAULT_TIMEOUT_S: Final = 10.0
_LONGEST_TIMEOUT_S: Final = (2**31 - 1) / 1000
"""What the specification proposes for no limit."""
_TRACES_PATH: Final = "/v1/traces"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METADATA_NAME: Final = re.compile(r"[a-z0-9_.-]+")
_SHORTEST_SECRET: Final = 4
"""A shorter header value (``1``, ``dev``) is no secret, and hiding it would garble every message."""


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
    warnings: Sequence[str] = ()
    """One line for each variable that was passed over, because it is malformed."""

    @property
    def place(self) -> str:
        """The endpoint as messages name it: without credentials, which a query may hold too."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def receiver(self) -> str:
        """The endpoint as the spool tells it from others: where users or queries differ, a digest of them does."""
        parts = urlsplit(self.url)
        if not parts.username and not parts.query:
            return self.place
        told = f"{parts.username or ''} {parts.query}".encode()
        return f"{self.place}#{sha256(told).hexdigest()[:16]}"

    def redacted(self, text: str) -> str:
        """What a receiver said, as one line without the credentials that it may have repeated."""
        parts = urlsplit(self.url)
        words = [word for value in self.headers.values() for word in (value, *value.split())]
        secrets = {*words, parts.username, parts.password, parts.query}
        for secret in sorted((each for each in secrets if each and len(each) >= _SHORTEST_SECRET), key=len)[::-1]:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
        return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:200]

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        url: str | None = None,
        protocol: str | None = None,
        timeout_s: float | None = None,
        headers: Sequence[str] = (),
        compression: str | None = None,
        certificate: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
        insecure: bool = False,
    ) -> Settings:
        """What the options say (None or empty: nothing), completed from ``environ``.

        Raises:
            UsageError: a value is not one of OTLP's.
        """
        variables = _Variables(environ)
        chosen = protocol or variables.one_of("PROTOCOL", PROTOCOLS) or HTTP
        packing = compression or variables.one_of("COMPRESSION", _COMPRESSIONS) or "none"
        plain = insecure or (variables.text("INSECURE") or "").lower() == "true"
        given = _decoded(variables.text("HEADERS") or "") | dict(
            _header(text, "`Settings.headers`") for text in headers
        )
        if chosen == GRPC and not all(_METADATA_NAME.fullmatch(key) for key in given):
            raise UsageError("a header's name cannot be gRPC's: want letters, digits and any of _-.")
        if url is None:
            variables.check_exporters()
        return cls(
            protocol=chosen,
            url=_url(url or None, chosen, environ, insecure=plain),
            headers=given,
            timeout_s=_timeout_s(timeout_s) if timeout_s is not None else variables.timeout_s() or _DEFAULT_TIMEOUT_S,
            gzip=packing == "gzip",
            certificate=certificate or variables.text("CERTIFICATE"),
            client_certificate=client_certificate or variables.text("CLIENT_CERTIFICATE"),
            client_key=client_key or variables.text("CLIENT_KEY"),
            warnings=tuple(variables.warnings),
        )


def environment_exports(environ: Mapping[str, str]) -> bool:
    """Whether the environment alone asks for an export: an endpoint is set and nothing says that it should not be."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    known = {name.lower() for name in _exporters(environ)} & _EXPORTERS
    return (not known or "otlp" in known) and any(environ.get(name) for name in _ENDPOINTS)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    names = (name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(","))
    return [name for name in names if name]


@dataclass(frozen=True, slots=True)
class _Variables:
    """An exporter's variables, the traces' own before the general one; a malformed one is as good as none."""

    environ: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    def _given(self, name: str) -> Iterator[tuple[str, str]]:
        for full in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
            if self.environ.get(full, "").strip():
                yield full, self.environ[full]

    def text(self, name: str) -> str | None:
        return next((text for _, text in self._given(name)), None)

    def one_of(self, name: str, known: Sequence[str]) -> str | None:
        for full, text in self._given(name):
            if text.strip().lower() in known:
                return text.strip().lower()
            self._ignore(full, text, f"want one of {', '.join(known)}")
        return None

    def timeout_s(self) -> float | None:
        for full, text in self._given("TIMEOUT"):
            try:
                seconds = float(text) / 1000
            except ValueError:
                seconds = -1.0
            if 0 <= seconds < float("inf"):
                return min(seconds or _LONGEST_TIMEOUT_S, _LONGEST_TIMEOUT_S)
            self._ignore(full, text, "want a number of milliseconds, 0 for no limit")
        return None

    def check_exporters(self) -> None:
        unknown = [name for name in _exporters(self.environ) if name.lower() not in _EXPORTERS]
        if unknown:
            self._ignore("OTEL_TRACES_EXPORTER", ",".join(unknown), "want otlp or none")

    def _ignore(self, name: str, text: str, wanted: str) -> None:
        self.warnings.append(f"{name}={text!r} is ignored: {wanted}")


def _timeout_s(given_s: float) -> float:
    if not 0 < given_s < float("inf"):
        raise UsageError(f"`Settings.timeout_s` {given_s}: want a positive number of seconds")
    return min(given_s, _LONGEST_TIMEOUT_S)


def _url(given: str | None, protocol: str, environ: Mapping[str, str], *, insecure: bool) -> str:
    exact, base = (environ.get(name) for name in _ENDPOINTS)
    url = given or exact or base or _DEFAULT_ENDPOINTS[protocol]
    if "://" not in url:
        url = f"https://{url}" if protocol == GRPC and not insecure else f"http://{url}"
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        url.encode()  # what is no UTF-8 in an argument is no text either
        (parts.hostname or "").encode("idna")  # an empty label, or one that is too long
    except ValueError:
        complete = False
    if not complete:
        raise UsageError(f"not an OTLP endpoint: {without_credentials(url)!r} (such as {_DEFAULT_ENDPOINTS[protocol]})")
    if protocol == GRPC:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if given is not None:
        return url if parts.path.strip("/") else parts._replace(path=_TRACES_PATH).geturl()
    if exact:
        return url
    return parts._replace(path=parts.path.rstrip("/") + _TRACES_PATH).geturl()


def without_credentials(url: str) -> str:
    """A malformed URL without what may be a credential: neither what is before an @ nor what is after a ?."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    if "@" in url and "@" not in base:  # nobody can say where it ends
        return "***"
    return base.rpartition("@")[2]


def _decoded(text: str) -> dict[str, str]:
    """``key=value`` pairs separated by commas, percent-encoded, as in W3C Baggage; what is no pair is an error."""
    pairs = (part.strip() for part in text.split(","))
    return dict(_header(part, "OTEL_EXPORTER_OTLP_HEADERS", unquote) for part in pairs if part)


def _header(text: str, origin: str, decode: Callable[[str], str] = str) -> tuple[str, str]:
    """One header; a message names where it came from, not what it holds."""
    key, equals, value = text.partition("=")
    key, value = decode(key.strip()), decode(value.strip())
    if not equals or not _HEADER_NAME.fullmatch(key) or not (value.isascii() and value.isprintable()):
        raise UsageError(f"{origin}: want key=value in printable ASCII")
    return key.lower(), value
