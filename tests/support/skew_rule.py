"""How Jaeger judges clock skew when it shows a trace, as a pure function over OTLP/JSON.

Spans whose host is another than that of the span above them, or is not known at all, are held against that span:
one that does not lie inside is moved, or is given a warning where moving is turned off or would go too far.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Jaeger", "Judged", "Timed", "judge", "timed"]


class Jaeger(StrEnum):
    """Major versions, which tell hosts apart by different attributes."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What the rule looks at in a span; ``host`` is empty where the resource does not say."""

    span_id: str
    parent_id: str | None
    host: str
    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """How long the span lasts."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """By how much a span seems to be off, whether or not it is moved, and what a person is warned of."""

    delta_ns: int
    warnings: tuple[str, ...]


def timed(document: Mapping[str, Any], jaeger: Jaeger) -> list[Timed]:
    """The spans of an OTLP/JSON document."""
    return [
        Timed(
            span_id=span["spanId"],
            parent_id=span.get("parentSpanId") or None,
            host=_host(_values(group["resource"]["attributes"]), jaeger),
            start_ns=int(span["startTimeUnixNano"]),
            end_ns=int(span["endTimeUnixNano"]),
        )
        for group in document["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]


def _values(attributes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The attributes as text; of an array its first element counts."""
    found = {}
    for attribute in attributes:
        ((kind, value),) = attribute["value"].items()
        if kind == "arrayValue":
            value = next((text for item in value["values"] for text in item.values()), "")
        found[attribute["key"]] = str(value)
    return found


def _host(resource: Mapping[str, str], jaeger: Jaeger) -> str:
    names = ("ip",) if jaeger is Jaeger.V1 else ("host.id", "host.ip", "host.name")
    return next((resource[name] for name in names if resource.get(name)), "")


def judge(spans: Sequence[Timed], max_ns: int) -> dict[str, Judged]:
    """The verdict on every span that a root leads to, by the span's id; no span is moved by more than ``max_ns``."""
    known = {span.span_id for span in spans}
    below: dict[str | None, list[Timed]] = defaultdict(list)
    for span in spans:
        below[span.parent_id if span.parent_id in known else None].append(span)
    again = {span_id for span_id, times in Counter(span.span_id for span in spans).items() if times > 1}
    found: dict[str, Judged] = {}
    for root in below.pop(None, []):
        found.update(_descend(root, None, _Skew(host=root.host, delta_ns=0), below, max_ns))
        if root.parent_id is not None:
            found[root.span_id] = _warned(found[root.span_id], f"parent {root.parent_id} is not in the trace")
    for span_id in again & set(found):
        found[span_id] = _warned(found[span_id], "another span has the same id")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skew:
    """What the spans of one host inherit from the first of them."""

    host: str
    delta_ns: int


def _descend(
    span: Timed, parent: Timed | None, skew: _Skew, below: Mapping[str | None, Sequence[Timed]], max_ns: int
) -> Iterator[tuple[str, Judged]]:
    """Judge ``span`` and all below it; ``parent`` is where it was moved to."""
    if parent is not None and (span.host != skew.host or not span.host):
        skew = _Skew(host=span.host, delta_ns=_skew_ns(span, parent))
    judged, moved = _applied(span, skew.delta_ns, max_ns)
    yield span.span_id, judged
    for child in below.get(span.span_id, ()):
        yield from _descend(child, moved, skew, below, max_ns)


def _skew_ns(child: Timed, parent: Timed) -> int:
    """What has to be added to the child's times."""
    if child.length_ns > parent.length_ns:
        return max(parent.start_ns - child.start_ns, 0)
    if parent.start_ns <= child.start_ns and child.end_ns <= parent.end_ns:
        return 0
    latency_ns = (parent.length_ns - child.length_ns) // 2
    return parent.start_ns + latency_ns - child.start_ns


def _applied(span: Timed, delta_ns: int, max_ns: int) -> tuple[Judged, Timed]:
    """The verdict, and the span where it ends up."""
    if delta_ns == 0:
        return Judged(delta_ns=0, warnings=()), span
    if abs(delta_ns) > max_ns:
        why = f"the maximum of {max_ns} ns is exceeded" if max_ns else "skew adjustment is disabled"
        return Judged(delta_ns=delta_ns, warnings=(f"{why}: not moved by {delta_ns} ns",)), span
    moved = Timed(
        span_id=span.span_id,
        parent_id=span.parent_id,
        host=span.host,
        start_ns=span.start_ns + delta_ns,
        end_ns=span.end_ns + delta_ns,
    )
    return Judged(delta_ns=delta_ns, warnings=(f"moved by {delta_ns} ns",)), moved


def _warned(judged: Judged, warning: str) -> Judged:
    return Judged(delta_ns=judged.delta_ns, warnings=(*judged.warnings, warning))
