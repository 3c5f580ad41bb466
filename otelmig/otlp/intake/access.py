"""Where a server listens and who may send to it: addresses, TLS, tokens."""

from __future__ import annotations

import contextlib
import hmac
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.errors import UsageError
from otelmig.structs import Struct

if TYPE_CHECKING:
    import os

__all__ = ["Address", "Tls", "TokenFile"]

_LARGEST_PORT: Final = 65_535
_LARGEST_FILE: Final = 1 << 16
_SCHEME: Final = "bearer"


class Address(NamedTuple):
    """A host and a port to listen on."""

    host: str
    """A name or an address, IPv6 without brackets; empty: all of this machine's."""
    port: int
    """0: any that is free."""

    @classmethod
    def parse(cls, text: str, parameter: str) -> Address:
        """Return the address that ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` is.

        Raises:
            UsageError: it is none; ``parameter`` is what it was given for.
        """
        host, colon, port = text.rpartition(":")
        is_bracketed = host.startswith("[") and host.endswith("]")
        if is_bracketed:
            host = host[1:-1]
        sound = colon and port.isascii() and port.isdecimal() and int(port) <= _LARGEST_PORT
        if not sound or (":" in host) != is_bracketed or any(character in host for character in "[]/@ "):
            raise UsageError(f"`{parameter}` {text}: want HOST:PORT or [IPV6]:PORT", malformed=True)
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Tls(Struct, frozen=True, kw_only=True):
    """The files of a server that speaks TLS (PEM)."""

    certificate: Path
    """The server's certificate, with those between it and its authority."""
    key: Path | None = None
    """Its key; None: it stands in the same file."""
    client_ca: Path | None = None
    """The authority of clients: then each must have a certificate of it."""

    def context(self) -> ssl.SSLContext:
        """Return the context of a server that speaks HTTP/1.1.

        Raises:
            UsageError: a file cannot be read or used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        shown = self.certificate
        try:
            # without a password, OpenSSL would ask for that of a protected key at the terminal
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
            if self.client_ca is not None:
                shown = self.client_ca
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            why = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "not PEM")
            raise UsageError(f"cannot use the certificate or key {shown}: {why.replace('_', ' ').lower()}") from error
        return context


class TokenFile:
    """The tokens of a file, one a line: senders must know one of them.

    The file is read again when it changes, so that a token can be replaced: the new one is added, senders change, the
    old one is removed. While it cannot be read, or is empty, the last tokens hold. No token is ever shown.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the file at ``path``.

        Raises:
            UsageError: it cannot be read, is too large, or holds no token.
        """
        self._path = Path(path)
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._tokens: tuple[bytes, ...] = ()
        try:
            self._read()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot read a token from {self._path}: {why}") from error

    def is_in(self, header: str | None) -> bool:
        """Return whether an ``Authorization`` header holds one of the tokens; it takes as long for each wrong one."""
        scheme, _, credentials = (header or "").strip().partition(" ")
        offered = credentials.strip().encode("utf-8", "surrogateescape")
        with self._lock:
            with contextlib.suppress(OSError, ValueError):  # it is being replaced
                self._read()
            matches = [hmac.compare_digest(offered, token) for token in self._tokens]
        return scheme.lower() == _SCHEME and any(matches)

    def _read(self) -> None:
        """Read the file, unless it is as it was."""
        stat = self._path.stat()
        version = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if version == self._seen:
            return
        if stat.st_size > _LARGEST_FILE:
            raise ValueError("it is too large")
        tokens = tuple(line.strip() for line in self._path.read_bytes().splitlines() if line.strip())
        if not tokens:
            raise ValueError("it is empty")
        self._tokens, self._seen = tokens, version
