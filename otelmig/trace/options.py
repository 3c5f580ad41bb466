"""What the caller knows of a migration that its logs do not say, and what may leave the machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.migration.side import Role
    from otelmig.trace.identity import TraceParent

__all__ = ["TraceOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """What the caller knows that the logs do not."""

    parent: TraceParent | None = None
    migration_id: str | None = None
    hosts: Mapping[Role, str] = field(default_factory=dict)
    addresses: bool = True
    """Whether network addresses may leave the machine."""
