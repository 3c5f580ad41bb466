"""What the views read from a trace: its attributes by type, and the few facts that follow from several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.trace.span import Span, Trace

__all__ = [
    "PARTS",
    "downtime_ns",
    "failing_spans",
    "files",
    "flag",
    "nanoseconds",
    "number",
    "part_ns",
    "release",
    "strings",
    "text",
    "whole",
]

PARTS: Final = ("pause", "final delta", "snapshot", "send", "complete", "unaccounted")
"""What a downtime consists of, in order."""


def number(span: Span | None, name: str) -> float | None:
    """A numeric attribute, or None."""
    value = None if span is None else span.attributes.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(span: Span | None, name: str) -> int | None:
    """An integer attribute, or None."""
    value = number(span, name)
    return None if value is None else round(value)


def nanoseconds(span: Span | None, name: str) -> int | None:
    """An attribute in seconds, as nanoseconds, or None."""
    value = number(span, name)
    return None if value is None else round(value * 1e9)


def text(span: Span | None, name: str) -> str | None:
    """A string attribute, or None."""
    value = None if span is None else span.attributes.get(name)
    return value if isinstance(value, str) else None


def flag(span: Span | None, name: str) -> bool | None:
    """A boolean attribute, or None."""
    value = None if span is None else span.attributes.get(name)
    return value if isinstance(value, bool) else None


def strings(span: Span | None, name: str) -> tuple[str, ...]:
    """An attribute that is a list of strings; empty if it is absent."""
    value = None if span is None else span.attributes.get(name)
    return value if isinstance(value, tuple) else ()


def release(trace: Trace, role: Role) -> str | None:
    """The hypervisor's version on one side; where its log prints none, the releases that could have written it."""
    resource = trace.resources.get(role, {})
    system = text(trace.root, "vm.migration.system.name")
    found = resource.get("service.version") or resource.get(f"{system}.log.dialect")
    return found if isinstance(found, str) else None


def downtime_ns(trace: Trace) -> int | None:
    """How long the downtime was: by the hypervisor's word, else by the stamps; None if there was none."""
    span = trace.first("downtime")
    if span is None:
        return None
    printed = nanoseconds(span, "vm.migration.downtime.duration")
    return span.duration_ns if printed is None else printed


def part_ns(trace: Trace, name: str) -> int | None:
    """How long one of :data:`PARTS` was: by the hypervisor's word, else by its spans; None if nothing says."""
    span = trace.first("downtime")
    if span is None:
        return None
    printed = nanoseconds(span, f"vm.migration.downtime.{name.replace(' ', '_')}")
    if printed is not None:
        return printed
    spans = [child.duration_ns for child in trace.children(span) if child.name == name]
    return sum(spans) if spans else None


def failing_spans(trace: Trace) -> Iterator[tuple[tuple[Span, ...], str]]:
    """Every distinct error: the path to the deepest span that carries it (without the root), and its text."""
    by_id = {span.span_id: span for span in trace.spans}
    paths: dict[tuple[Role, str], tuple[Span, ...]] = {}
    for span in trace.spans:
        if span.error is None:
            continue
        path: list[Span] = []
        above: Span | None = span
        while above is not None and above is not trace.root:
            path.insert(0, above)
            above = None if above.parent_id is None else by_id.get(above.parent_id)
        key = span.role, span.error
        if len(path) >= len(paths.get(key, ())):
            paths[key] = tuple(path)
    yield from ((path, error) for (_, error), path in paths.items())


def files(trace: Trace) -> list[str]:
    """The names of the files that the trace rests on, sorted."""
    found = set()
    for span in trace.spans:
        for end in ("start", "end"):
            name, _, _ = (text(span, f"otelmig.evidence.{end}") or "").rpartition(":")
            found.add(name)
    return sorted(found - {""})
