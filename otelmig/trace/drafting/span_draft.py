"""Spans while the tree is built: their boundaries are moments, and not yet whole microseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field
from msgspec.structs import replace

from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.span import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.facts import ErrorType
    from otelmig.trace.drafting.timeline import Moment
    from otelmig.trace.span import AttributeValue

__all__ = ["DraftEvent", "SpanDraft"]


class DraftEvent(Struct, frozen=True, kw_only=True):
    """A span event whose time is not yet absolute."""

    name: str
    at: Moment
    attributes: dict[str, AttributeValue] = field(default_factory=dict)


class SpanDraft(Struct, eq=False):
    """A span to be, which ends no earlier than it starts.

    ``start_ns`` and ``end_ns`` are set by :func:`lay_out`, on the timeline of the moments, ``span_id`` once the tree is
    complete.
    """

    name: str
    start: Moment
    end: Moment
    role: Role = Role.SOURCE
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    events: list[DraftEvent] = field(default_factory=list)
    children: list[SpanDraft] = field(default_factory=list)
    sequential: bool = True
    """Whether the span follows its sequential siblings, rather than running beside them."""
    kind: SpanKind = SpanKind.INTERNAL
    error: str | None = None
    links: list[tuple[SpanDraft, str]] = field(default_factory=list)
    start_ns: int = 0
    end_ns: int = 0
    span_id: str = ""

    def __post_init__(self) -> None:
        self.end = self.end.not_before(self.start)
        self.attributes[names.VM_MIGRATION_PHASE] = self.name

    def walk(self) -> Iterator[SpanDraft]:
        """Yield this span and all below it, depth first."""
        waiting = [self]
        while waiting:
            draft = waiting.pop()
            yield draft
            waiting += reversed(draft.children)

    def move(self, role: Role, ns: int) -> None:
        """Draw what belongs to ``role``, here and below, ``ns`` later."""
        for draft in self.walk():
            by_ns = ns if draft.role is role else 0
            draft.start, draft.end = draft.start.moved(by_ns, draft.role), draft.end.moved(by_ns, draft.role)
            draft.events = [replace(event, at=event.at.moved(by_ns, draft.role)) for event in draft.events]

    def fail(self, description: str, error_type: ErrorType) -> None:
        """Mark the span as ERROR."""
        self.error = description
        self.attributes[names.ERROR_TYPE] = str(error_type)
