"""The finished trace: immutable, every boundary a whole microsecond since the Unix epoch, ids set."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.migration.side import Role

__all__ = ["AttributeValue", "Link", "Span", "SpanEvent", "SpanKind", "Trace"]

AttributeValue = str | bool | int | float | tuple[str, ...]


class SpanKind(StrEnum):
    """OpenTelemetry's span kinds, as far as a migration has them."""

    INTERNAL = "INTERNAL"
    CLIENT = "CLIENT"
    SERVER = "SERVER"


class SpanEvent(Struct, frozen=True, kw_only=True):
    """An instant on a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


class Link(Struct, frozen=True, kw_only=True):
    """A causal relation to a span that is neither parent nor child."""

    span_id: str
    attributes: Mapping[str, AttributeValue]
    remote: bool
    """Whether the other span was recorded on another host."""
    trace_id: str | None = None
    """The trace of the other span; None for the same one."""


class Span(Struct, frozen=True):
    """One span; times are nanoseconds since the Unix epoch, ids are lower-case hex."""

    name: str
    role: Role
    """Whose resource the span belongs to."""
    span_id: str
    parent_id: str | None
    parent_remote: bool
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue]
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    error: str | None = None
    """The description of an ERROR status; None leaves the status unset."""

    @property
    def duration_ns(self) -> int:
        """How long the span lasts."""
        return self.end_ns - self.start_ns


class Trace(Struct, frozen=True, kw_only=True):
    """One migration attempt; ``spans`` are in depth-first order, the root first."""

    trace_id: str
    resources: Mapping[Role, Mapping[str, AttributeValue]]
    spans: tuple[Span, ...]
    notes: tuple[str, ...] = ()
    """What a person should be told about this trace, one line each; not exported."""

    @property
    def root(self) -> Span:
        """The span ``migration``."""
        return self.spans[0]

    def named(self, name: str) -> tuple[Span, ...]:
        """Return all spans called ``name``."""
        return tuple(span for span in self.spans if span.name == name)

    def first(self, name: str) -> Span | None:
        """Return the first span called ``name``."""
        return next((span for span in self.spans if span.name == name), None)

    def children(self, parent: Span) -> Iterator[Span]:
        """Yield the direct children of ``parent``, in time order of their start."""
        yield from sorted(
            (span for span in self.spans if span.parent_id == parent.span_id), key=lambda span: span.start_ns
        )
