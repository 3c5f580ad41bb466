"""What the caller knows of a migration that its logs do not say, and what may leave the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.migration.side import Role
    from otelmig.trace.identity import TraceParent

__all__ = ["TraceOptions"]


class TraceOptions(Struct, frozen=True, kw_only=True):
    """What the caller knows about a migration beyond its logs, and what may leave the machine.

    >>> from otelmig import Role, TraceParent
    >>> options = TraceOptions(
    ...     parent=TraceParent.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ...     hosts={Role.SOURCE: "node-a", Role.DESTINATION: "node-b"},
    ...     addresses=False,
    ... )
    >>> options.parent.span_id
    'b7ad6b7169203331'
    """

    parent: TraceParent | None = None
    """The outer span that the root belongs under; None makes the root a root."""
    migration_id: str | None = None
    """The orchestrator's id of the migration: it becomes an attribute and decides the trace id."""
    hosts: Mapping[Role, str] = field(default_factory=dict)
    """The name of each host, where it is known."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Attributes that the resources of both sides get; what is known of a side itself is not replaced."""
    addresses: bool = True
    """Whether network addresses may leave the machine."""
