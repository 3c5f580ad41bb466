"""Where a migration goes: what both sides were told to connect to, or to listen on."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["MigrationUrl", "Transport"]


class Transport(StrEnum):
    """What carries a migration, as ``network.transport`` names it."""

    TCP = "tcp"
    UNIX = "unix"


class MigrationUrl(NamedTuple):
    """``tcp:HOST:PORT`` or ``unix:PATH``, whose path is of no use off its host and is not kept."""

    transport: Transport | None
    """None for anything that is neither."""
    host: str | None = None
    port: int | None = None
    digest: bytes = b""
    """The digest of the URL as printed, to tell whether two sides name one socket; empty if nothing was printed."""

    @property
    def is_tcp(self) -> bool:
        """Whether it names a port, and not a path."""
        return self.transport is Transport.TCP

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(text: str | None) -> MigrationUrl:
        """Return what ``text`` says; a host or a port that cannot be told is None."""
        if text is None:
            return MigrationUrl(None)
        scheme, _, rest = text.partition(":")
        digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
        if scheme == Transport.UNIX:
            return MigrationUrl(Transport.UNIX, digest=digest)
        if scheme != Transport.TCP:
            return MigrationUrl(None, digest=digest)
        try:
            parts = urlsplit(f"//{rest}")
            return MigrationUrl(Transport.TCP, parts.hostname, parts.port, digest)
        except ValueError:
            return MigrationUrl(Transport.TCP, digest=digest)
