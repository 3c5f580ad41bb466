"""Where a migration goes: what both sides were told to connect to, or to listen on."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["MigrationUrl"]


class MigrationUrl(NamedTuple):
    """``tcp:HOST:PORT`` or ``unix:PATH``, whose path is of no use off its host and is not kept."""

    transport: str | None
    """``tcp`` or ``unix``; None for anything else."""
    host: str | None = None
    port: int | None = None
    digest: bytes = b""
    """The digest of the URL as printed, to tell whether two sides name one socket; empty if nothing was printed."""

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(text: str | None) -> MigrationUrl:
        """Return what ``text`` says; a host or a port that cannot be told is None."""
        if text is None:
            return MigrationUrl(None)
        scheme, _, rest = text.partition(":")
        digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
        if scheme == "unix":
            return MigrationUrl("unix", digest=digest)
        if scheme != "tcp":
            return MigrationUrl(None, digest=digest)
        try:
            parts = urlsplit(f"//{rest}")
            return MigrationUrl("tcp", parts.hostname, parts.port, digest)
        except ValueError:
            return MigrationUrl("tcp", digest=digest)
