"""Where and how to export: the caller's options first, then the environment variables of the OTLP specification."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from msgspec import field
from msgspec.structs import replace

from otelmig.errors import UsageError
from otelmig.structs import Struct

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
"""Values of ``OTEL_TRACES_EXPORTER`` that the specification knows, or knew."""
_DEFAULT_TIMEOUT_S: Final = 10.0
_LONGEST_TIMEOUT_S: Final = (2**31 - 1) / 1000
"""At most this many seconds; the specification proposes it for "no limit"."""
_TRACES_PATH: Final = "/v1/traces"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables with an endpoint: one for traces, which is used as it is, and one for all signals, a base URL."""
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HALF_A_SCHEME: Final = re.compile(r"https?:(?![0-9])")
"""How a URL begins whose slashes are wrong; before a port, it is a host's name."""
_METADATA_NAME: Final = re.compile(r"[a-z0-9_.-]+")
"""Names that a gRPC header may have; HTTP allows more."""
_SHORTEST_SECRET: Final = 4
"""Characters of the shortest text that is hidden; hiding a shorter one (``1``, ``dev``) would garble every message."""
_LONGEST_MESSAGE: Final = 200
"""At most this many characters of a receiver's words are shown."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that a transport needs to know to reach a receiver.

    >>> settings = Settings.of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, headers=["X-Tenant=a"])
    >>> settings.url, settings.protocol, settings.headers
    ('http://collector:4318/v1/traces', 'http/protobuf', {'x-tenant': 'a'})
    """

    protocol: str
    url: str
    """HTTP: the full URL of the traces endpoint; gRPC: ``http(s)://HOST:PORT``, where https means TLS."""
    headers: Mapping[str, str]
    """Extra headers of every request, by their names in lower case."""
    timeout_s: float
    """Seconds for one request with its retries."""
    gzip: bool
    """Whether requests are compressed."""
    certificate: str | None
    """Path of the PEM file with the authorities that the receiver's certificate is checked against."""
    client_certificate: str | None
    """Path of the PEM file with the client's certificate, for mutual TLS."""
    client_key: str | None
    """Path of the PEM file with the key of the client's certificate."""
    warnings: Sequence[str] = ()
    """One line for each variable that is malformed and therefore ignored."""
    repeats_path: bool = False
    """Whether the endpoint's path stands twice in the URL: the base URL of the environment ended in it already."""

    @property
    def display_url(self) -> str:
        """The endpoint as messages name it: without user, password and query, each of which may be a credential."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def spool_key(self) -> str:
        """The endpoint as the spool tells it from others: ``display_url``, and a digest of user and query if any."""
        parts = urlsplit(self.url)
        if not parts.username and not parts.query:
            return self.display_url
        tenant = f"{parts.username or ''} {parts.query}".encode()
        return f"{self.display_url}#{sha256(tenant).hexdigest()[:16]}"

    def for_signal(self, signal: str) -> Settings:
        """Return where the same receiver takes another signal: ``logs`` or ``metrics``."""
        if self.protocol == GRPC:
            return self
        parts = urlsplit(self.url)
        path = f"{parts.path.removesuffix(_TRACES_PATH)}/v1/{signal}"
        return replace(self, url=parts._replace(path=path).geturl())

    def redacted(self, text: str) -> str:
        """Return a receiver's words as one line, without credentials that the receiver may have repeated."""
        parts = urlsplit(self.url)
        words = [word for value in self.headers.values() for word in (value, *value.split())]
        secrets = {*words, parts.username, parts.password, parts.query}
        longest_first = sorted((word for word in secrets if word and len(word) >= _SHORTEST_SECRET), key=len)[::-1]
        for secret in longest_first:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
        printable = "".join(sign if sign.isprintable() else " " for sign in text)
        return " ".join(printable.split())[:_LONGEST_MESSAGE]

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
        """Return the settings that the options give; what they leave open (None or empty) comes from ``environ``.

        A malformed variable that has a default is ignored with a warning. ``timeout_s`` is in seconds; each of
        ``headers`` is ``key=value``; ``insecure`` means gRPC without TLS where the URL has no scheme.

        Raises:
            UsageError: an option, an endpoint or a header has a value that OTLP does not allow.
        """
        variables = _Variables(environ)
        chosen = protocol or variables.one_of("PROTOCOL", PROTOCOLS) or HTTP
        encoding = compression or variables.one_of("COMPRESSION", _COMPRESSIONS) or "none"
        plain = insecure or (variables.text("INSECURE") or "").lower() == "true"
        all_headers = _decoded(variables.text("HEADERS") or "") | dict(
            _header(text, "`Settings.headers`") for text in headers
        )
        if chosen == GRPC and not all(_METADATA_NAME.fullmatch(key) for key in all_headers):
            raise UsageError("a header's name cannot be gRPC's: want letters, digits and any of _-.")
        if url is None:
            variables.check_exporters()
        endpoint = _url(url or None, chosen, environ, insecure=plain)
        return cls(
            protocol=chosen,
            url=endpoint,
            headers=all_headers,
            timeout_s=_timeout_s(timeout_s) if timeout_s is not None else variables.timeout_s() or _DEFAULT_TIMEOUT_S,
            gzip=encoding == "gzip",
            certificate=certificate or variables.text("CERTIFICATE"),
            client_certificate=client_certificate or variables.text("CLIENT_CERTIFICATE"),
            client_key=client_key or variables.text("CLIENT_KEY"),
            warnings=tuple(variables.warnings),
            repeats_path=not (url or environ.get(_ENDPOINTS[0])) and urlsplit(endpoint).path.endswith(2 * _TRACES_PATH),
        )


def environment_exports(environ: Mapping[str, str]) -> bool:
    """Return whether the environment alone asks for an export: it sets an endpoint, and no variable forbids it."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    known = {name.lower() for name in _exporters(environ)} & _EXPORTERS
    return (not known or "otlp" in known) and any(environ.get(name) for name in _ENDPOINTS)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    """Return the names in ``OTEL_TRACES_EXPORTER``."""
    names = (name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(","))
    return [name for name in names if name]


class _Variables(Struct, frozen=True):
    """The variables of an OTLP exporter: that for traces comes before that for all signals, a malformed one is ignored.

    Each ``name`` is what follows ``OTEL_EXPORTER_OTLP_`` or ``OTEL_EXPORTER_OTLP_TRACES_``.
    """

    environ: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)
    """One line for each variable that was ignored."""

    def text(self, name: str) -> str | None:
        """Return the value of the first variable that is set; None if none is."""
        return next((text for _, text in self._values(name)), None)

    def one_of(self, name: str, known: Sequence[str]) -> str | None:
        """Return the first value that is one of ``known``, whatever its case; None if there is none."""
        for full, text in self._values(name):
            if text.strip().lower() in known:
                return text.strip().lower()
            self._ignore(full, text, f"want one of {', '.join(known)}")
        return None

    def timeout_s(self) -> float | None:
        """Return the timeout in seconds; None if no variable holds one."""
        for full, text in self._values("TIMEOUT"):
            try:
                seconds = float(text) / 1000
            except ValueError:
                seconds = -1.0
            if 0 <= seconds < float("inf"):
                return min(seconds or _LONGEST_TIMEOUT_S, _LONGEST_TIMEOUT_S)
            self._ignore(full, text, "want a number of milliseconds, 0 for no limit")
        return None

    def check_exporters(self) -> None:
        """Warn of names in ``OTEL_TRACES_EXPORTER`` that the specification does not know."""
        unknown = [name for name in _exporters(self.environ) if name.lower() not in _EXPORTERS]
        if unknown:
            self._ignore("OTEL_TRACES_EXPORTER", ",".join(unknown), "want otlp or none")

    def _values(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the full name and the value of each variable that is set."""
        for full in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
            if self.environ.get(full, "").strip():
                yield full, self.environ[full]

    def _ignore(self, name: str, text: str, wanted: str) -> None:
        self.warnings.append(f"{name}={text!r} is ignored: {wanted}")


def _timeout_s(option_s: float) -> float:
    """Return the caller's timeout in seconds, bounded.

    Raises:
        UsageError: it is not positive, or not finite.
    """
    if not 0 < option_s < float("inf"):
        raise UsageError(f"`Settings.timeout_s` {option_s}: want a positive number of seconds", malformed=True)
    return min(option_s, _LONGEST_TIMEOUT_S)


def _url(option: str | None, protocol: str, environ: Mapping[str, str], *, insecure: bool) -> str:
    """Return the URL of the endpoint: the caller's, else that of the environment, else the default.

    Raises:
        UsageError: it is no URL of an OTLP endpoint.
    """
    exact, base = (environ.get(name) for name in _ENDPOINTS)
    url = option or exact or base or _DEFAULT_ENDPOINTS[protocol]
    if "://" not in url and not _HALF_A_SCHEME.match(url):
        url = f"https://{url}" if protocol == GRPC and not insecure else f"http://{url}"
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        url.encode()  # raises if the argument was not UTF-8
        (parts.hostname or "").encode("idna")  # raises if a label is empty or too long
    except ValueError:
        complete = False
    if not complete:
        shown, example = without_credentials(url), _DEFAULT_ENDPOINTS[protocol]
        raise UsageError(f"not an OTLP endpoint: {shown!r}; want a URL such as {example}", malformed=option is not None)
    if protocol == GRPC:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if option is not None:
        return url if parts.path.strip("/") else parts._replace(path=_TRACES_PATH).geturl()
    if exact:
        return url
    return parts._replace(path=parts.path.rstrip("/") + _TRACES_PATH).geturl()


def without_credentials(url: str) -> str:
    """Return a URL, malformed or not, without what may be a credential: what precedes an @ or follows a ?."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    if "@" in url and "@" not in base:  # a password may contain the ?, so that its end cannot be found
        return "***"
    return base.rpartition("@")[2]


def _decoded(text: str) -> dict[str, str]:
    """Return the headers in ``text``: percent-encoded ``key=value`` pairs separated by commas, as in W3C Baggage.

    Raises:
        UsageError: a part of the text is no such pair.
    """
    pairs = (part.strip() for part in text.split(","))
    return dict(_header(part, "OTEL_EXPORTER_OTLP_HEADERS", unquote) for part in pairs if part)


def _header(text: str, origin: str, decode: Callable[[str], str] = str) -> tuple[str, str]:
    """Return name and value of one header.

    Raises:
        UsageError: ``text`` is no ``key=value`` in printable ASCII; the message names ``origin``, and no value.
    """
    key, equals, value = text.partition("=")
    key, value = decode(key.strip()), decode(value.strip())
    if not equals or not _HEADER_NAME.fullmatch(key) or not (value.isascii() and value.isprintable()):
        raise UsageError(f"{origin}: want key=value in printable ASCII", malformed=decode is str)
    return key.lower(), value
