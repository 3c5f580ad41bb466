"""What the shell is told, beyond what errors carry (:mod:`otelmig.errors`)."""

from __future__ import annotations

from typing import Final

__all__ = ["CHECK_FAILED", "INTERNAL_ERROR", "INTERRUPTED", "NOTHING_FOUND"]

CHECK_FAILED: Final = 1
INTERNAL_ERROR: Final = 1
NOTHING_FOUND: Final = 4
INTERRUPTED: Final = 130
"""What shells report for a command that SIGINT ended."""
