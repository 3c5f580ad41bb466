"""Which sides were paired, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelmig.pipeline import Findings

__all__ = ["pair_names"]


def pair_names(findings: Findings) -> list[tuple[str | None, str | None]]:
    """Return the source and the destination of each migration, in its order; None for a side that is not there."""
    return [
        (
            migration.source.name if migration.source else None,
            migration.destination.name if migration.destination else None,
        )
        for migration in findings.migrations
    ]
