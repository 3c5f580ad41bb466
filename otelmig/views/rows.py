"""Which spans a picture of a trace shows, in which order and under which: the rows, without how they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.trace.span import Span, Trace

__all__ = ["Folded", "Row", "downtime_rows", "iteration_number", "overview_rows"]

_SOURCE_PHASES: Final = (
    SpanName.SETUP,
    SpanName.PRECOPY,
    SpanName.DOWNTIME,
    SpanName.POSTCOPY,
    SpanName.CLEANUP,
    SpanName.ROLLBACK,
    SpanName.UNACCOUNTED,
)
_DESTINATION_PHASES: Final = frozenset({SpanName.RESTORE, SpanName.RESUME, SpanName.PREFAULT})
_MOST_ITERATIONS: Final = 8
"""At most this many rows of the overview are memory iterations; the others are folded into one."""


class Row(Struct, frozen=True, kw_only=True):
    """A span with its label, ``depth`` levels below the first."""

    label: str
    span: Span
    depth: int = 0


class Folded(Struct, frozen=True, kw_only=True):
    """Memory iterations that the overview does not show one by one."""

    count: int


def overview_rows(trace: Trace) -> Iterator[Row | Folded]:
    """Yield every phase of both sides: the source's in order of time, the blackout, the destination's."""
    children = {span.name: span for span in trace.children(trace.root)}
    for name in _SOURCE_PHASES:
        span = children.get(name)
        if span is None:
            continue
        yield Row(label=name, span=span)
        iterations = [child for child in trace.children(span) if child.name == SpanName.MEMORY_ITERATION]
        shown = iterations if len(iterations) <= _MOST_ITERATIONS else iterations[: _MOST_ITERATIONS - 1]
        yield from (Row(label=iteration_number(iteration), span=iteration, depth=1) for iteration in shown)
        if len(shown) < len(iterations):
            yield Folded(count=len(iterations) - len(shown))
    if (blackout := children.get(SpanName.BLACKOUT)) is not None:
        yield Row(label=SpanName.BLACKOUT, span=blackout)
    if (receive := children.get(SpanName.RECEIVE)) is not None:
        yield Row(label=f"{SpanName.RECEIVE}  (dest.)", span=receive)
        for child in trace.children(receive):
            if child.name in _DESTINATION_PHASES:
                yield Row(label=f"{child.name}  (dest.)", span=child, depth=1)


def downtime_rows(trace: Trace, parts: Sequence[Span]) -> Iterator[Row]:
    """Yield ``parts`` of the downtime, each with what the destination did during it one level below."""
    during: dict[str, list[Row]] = {}
    for name in (SpanName.RESTORE, SpanName.RESUME):
        answer = trace.first(name)
        if answer is None:
            continue
        rows = during.setdefault(_part_of(answer, parts).span_id, [])
        rows.append(Row(label=answer.name, span=answer, depth=1))
        rows += (Row(label=child.name, span=child, depth=2) for child in trace.children(answer))
    for part in parts:
        yield Row(label=part.name, span=part)
        yield from during.get(part.span_id, ())


def _part_of(answer: Span, parts: Sequence[Span]) -> Span:
    """Return the part of the downtime that waited for ``answer``: by a link, else by time."""
    linked = {link.span_id for link in answer.links}
    by_link = (part for part in parts if part.span_id in linked)
    by_time = (part for part in parts if part.end_ns >= answer.start_ns)
    return next(by_link, None) or next(by_time, parts[-1])


def iteration_number(span: Span) -> str:
    """Return ``#0`` for the first memory iteration."""
    return f"#{span.attributes[names.VM_MIGRATION_MEMORY_ITERATION_INDEX]}"
