"""Digests that depend on what was printed alone, so that the same logs give the same ids wherever they are read."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["digest_of"]

_FORMAT: Final = "otelmig/2"
"""Changes whenever the same logs would give other ids."""


def digest_of(*parts: str) -> bytes:
    """Return the SHA-256 (32 bytes) of ``parts``, each told from its neighbours by its length."""
    text = "\n".join([_FORMAT, *(f"{len(part)}:{part}" for part in parts)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
