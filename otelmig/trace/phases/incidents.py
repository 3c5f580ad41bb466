"""What went on besides, as events on the spans within which it was, and as doubts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.incident import IncidentKind
from otelmig.migration.redaction import redact
from otelmig.trace import attributes as names
from otelmig.trace.drafting.span_draft import DraftEvent
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.side import Role, Side
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.span_draft import SpanDraft
    from otelmig.trace.drafting.timeline import Moment

__all__ = ["add_incidents", "incident_doubts"]

_EVENTS: Final = {
    IncidentKind.DEVICE_STATE: EventName.DEVICE_STATE,
    IncidentKind.DEVICE_RESET: EventName.DEVICE_RESET,
    IncidentKind.DEVICE_LEFT: EventName.DEVICE_LEFT,
    IncidentKind.DISK_LOCKED: EventName.DISK_LOCKED,
    IncidentKind.PAGER_FAILED: EventName.PAGER_FAILED,
    IncidentKind.NETWORK_NOT_TOLD: EventName.NETWORK_NOT_TOLD,
    IncidentKind.CLOCK_NOT_SET: EventName.CLOCK_NOT_SET,
}
_DOUBTS: Final = {
    IncidentKind.DEVICE_RESET: "a passed-through device was reset",
    IncidentKind.DEVICE_LEFT: "a device was not resumed",
    IncidentKind.DISK_LOCKED: "a disk was still locked",
    IncidentKind.PAGER_FAILED: "pages that the guest still lacks may never come",
    IncidentKind.NETWORK_NOT_TOLD: "the network may not know yet where the guest is",
    IncidentKind.CLOCK_NOT_SET: "the guest's clock may be wrong",
}
_NOT_OF_ONE_THREAD: Final = frozenset({SpanName.UNACCOUNTED, SpanName.BLACKOUT})


def add_incidents(root: SpanDraft, aligned: AlignedSides) -> None:
    """Add an event for each, to the shortest span of its side within which it was; what came later has none."""
    for side in (aligned.source, aligned.destination):
        for incident in () if side is None else side.incidents:
            at = aligned.timeline.at(side.role, incident.at) if side is not None else None
            span = None if at is None or side is None else _around(root, side.role, at)
            if at is None or span is None:
                continue
            event = DraftEvent(name=_EVENTS[incident.kind], at=at)
            if incident.kind is IncidentKind.DEVICE_STATE and incident.detail is not None:
                event.attributes[names.VM_DEVICE_STATE] = incident.detail
            span.events.append(event)


def _around(root: SpanDraft, role: Role, at: Moment) -> SpanDraft | None:
    within = [
        span
        for span in root.walk()
        if span.role is role and span.name not in _NOT_OF_ONE_THREAD and span.start.ns <= at.ns <= span.end.ns
    ]
    return min(within, key=lambda span: span.end.ns - span.start.ns, default=None)


def incident_doubts(side: Side) -> Iterator[str]:
    """Yield a sentence for each that may matter to the guest, with its line; equal ones once, with their number."""
    counts: dict[IncidentKind, int] = {}
    for incident in side.incidents:
        counts[incident.kind] = counts.get(incident.kind, 0) + 1
    for kind, count in counts.items():
        what = _DOUBTS.get(kind)
        if what is not None:
            first = next(incident for incident in side.incidents if incident.kind is kind)
            times = "" if count == 1 else f", {count} times"
            yield f"{what}: {redact(first.text, addresses=True)} ({first.at.where}{times})"
