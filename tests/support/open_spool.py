"""A spool that a test opens for a while, and two endpoints that it may be for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelmig.otlp.account import Reason

__all__ = ["HERE", "THERE", "open_spool"]

HERE = "http://here/v1/traces"
THERE = "http://there/v1/traces"


@contextmanager
def open_spool(
    directory: Path, bounds: Bounds | None = None, evicted: list[tuple[str, Reason]] | None = None
) -> Iterator[Spool]:
    """Open the spool in ``directory``; ``evicted`` gets ident and reason of what leaves it undelivered."""
    gone = evicted if evicted is not None else []
    spool = Spool(directory, bounds or Bounds(), on_evicted=lambda entry, reason: gone.append((entry.ident, reason)))
    try:
        yield spool
    finally:
        spool.close()
