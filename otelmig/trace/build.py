"""A migration -> its trace: the tree, the attributes of its top spans, resources, links, ids."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.clock.proof import ClockStatus
from otelmig.migration.redaction import redact
from otelmig.migration.side import Role
from otelmig.printable import printable
from otelmig.trace import attributes as names
from otelmig.trace.clock_attributes import clock_attributes
from otelmig.trace.drafting.aligned_sides import AlignedSides, seconds
from otelmig.trace.drafting.layout import lay_out
from otelmig.trace.drafting.nesting import nest_answers
from otelmig.trace.drafting.span_draft import SpanDraft
from otelmig.trace.drafting.timeline import Timeline
from otelmig.trace.identity import identity_of
from otelmig.trace.phases.blackout import blackout_attributes, blackout_draft, blackout_of
from otelmig.trace.phases.destination import receive
from otelmig.trace.phases.incidents import add_incidents
from otelmig.trace.phases.source import add_wait, phase, source_tree
from otelmig.trace.phases.state_transfer import state_transfer_attributes
from otelmig.trace.resource import resource_of
from otelmig.trace.root_attributes import add_top_attributes, epoch_attributes
from otelmig.trace.span import Link, Span, SpanEvent, Trace
from otelmig.trace.spans import SpanName
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelmig.clock.epoch import Epoch
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration
    from otelmig.trace.identity import Identity
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.phases.blackout import Blackout
    from otelmig.trace.span import AttributeValue

__all__ = ["build_trace", "link_to"]

_HOST_NAMES: Final = (
    (Role.SOURCE, names.VM_MIGRATION_SOURCE_HOST_NAME),
    (Role.DESTINATION, names.VM_MIGRATION_DESTINATION_HOST_NAME),
)


def build_trace(migration: Migration, epoch: Epoch, options: TraceOptions, links: Sequence[Link] = ()) -> Trace:
    """Return the trace of one migration; ``epoch`` is that of the clock of its reference side.

    ``links`` are what its root links to: see :func:`link_to`.
    """
    aligned = AlignedSides(
        source=migration.source, destination=migration.destination, timeline=Timeline(placement=migration.placement)
    )
    blackout = blackout_of(aligned, migration.proof)
    root = _tree(aligned, migration, blackout)
    add_incidents(root, aligned)
    add_top_attributes(root, aligned, migration, options)
    received = phase(root, SpanName.RECEIVE)
    if blackout is not None:
        root.attributes |= blackout_attributes(blackout)
    root.attributes |= state_transfer_attributes(aligned, migration.proof)
    root.attributes |= epoch_attributes(epoch)
    if received is not None and migration.placement is not None and migration.proof is not None:
        root.attributes[names.OTELMIG_CLOCK_STATUS] = str(migration.placement.status)
        received.attributes |= clock_attributes(aligned, migration.placement, migration.proof, epoch)
    elif migration.source is not None and migration.destination is None:
        root.attributes[names.OTELMIG_CLOCK_STATUS] = str(ClockStatus.UNSYNCED)
    if migration.placement is not None and migration.placement.applied_ns != migration.placement.estimate_ns:
        root.move(Role.DESTINATION, migration.placement.estimate_ns - migration.placement.applied_ns)
    add_wait(root, aligned)
    lay_out(root, fixed=phase(root, SpanName.DOWNTIME))
    _count_unaccounted(root)
    if received is not None:
        nest_answers(root, received)
    resources = {side.role: _printable(resource_of(side, migration, options)) for side in migration.sides}
    for role, name in _HOST_NAMES:
        host = resources.get(role, {}).get(names.HOST_NAME)
        if host is not None:
            root.attributes[name] = host
    reference = migration.reference
    identity = identity_of(reference, parent=options.parent, name=_attempt_name(options, reference))
    return Trace(
        trace_id=identity.trace_id,
        resources=resources,
        spans=_with_links(_spans(root, identity, epoch, options), links),
        notes=tuple(printable(note) for side in migration.sides for note in side.vmm.notes),
    )


def _printable(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Return ``attributes`` with texts that control nothing, wherever in a log they come from."""
    shown = dict(attributes)
    for name, value in attributes.items():
        if isinstance(value, str):
            if not value.isprintable():
                shown[name] = printable(value)
        elif isinstance(value, tuple):
            shown[name] = tuple(map(printable, value))
    return shown


def link_to(trace_id: str, span_id: str, kind: names.LinkKind) -> Link:
    """Return a link to the root of a trace that was made before."""
    return Link(span_id=span_id, attributes={names.OTELMIG_LINK_KIND: kind}, remote=False, trace_id=trace_id)


def _with_links(spans: tuple[Span, ...], links: Sequence[Link]) -> tuple[Span, ...]:
    """Return the spans of a migration whose root links to other traces: later ones know of earlier ones."""
    return (replace(spans[0], links=(*spans[0].links, *links)), *spans[1:]) if links else spans


def _attempt_name(options: TraceOptions, side: Side) -> str | None:
    """Return the caller's id, with the attempt's number from the second on: one id may cover several attempts."""
    if options.migration_id is None or side.attempt == 1:
        return options.migration_id
    return f"{options.migration_id}#{side.attempt}"


def _tree(aligned: AlignedSides, migration: Migration, blackout: Blackout | None) -> SpanDraft:
    if migration.source is None:
        received = receive(aligned, migration.reference)
        root = SpanDraft(SpanName.MIGRATION, received.start, received.end, role=Role.DESTINATION)
        root.children.append(received)
        root.error, error_type = received.error, received.attributes.get(names.ERROR_TYPE)
        if error_type is not None:
            root.attributes[names.ERROR_TYPE] = error_type
        return root
    root = source_tree(aligned, migration.source)
    if blackout is not None:
        root.children.append(blackout_draft(blackout))
    if migration.destination is not None:
        root.children.append(receive(aligned, migration.destination))
    return root


def _count_unaccounted(root: SpanDraft) -> None:
    span = phase(root, SpanName.DOWNTIME)
    if span is not None:
        total = sum(child.end_ns - child.start_ns for child in span.children if child.name == SpanName.UNACCOUNTED)
        span.attributes[names.VM_MIGRATION_DOWNTIME_UNACCOUNTED_DURATION] = seconds(total)


def _spans(root: SpanDraft, identity: Identity, epoch: Epoch, options: TraceOptions) -> tuple[Span, ...]:
    """Return the finished spans, depth first; ids follow from each span's path in the tree."""
    _assign_ids(root, root.name, identity)
    spans: list[Span] = []

    def emit(draft: SpanDraft, parent_id: str | None, *, parent_remote: bool) -> None:
        spans.append(
            Span(
                draft.name,
                draft.role,
                draft.span_id,
                parent_id,
                parent_remote,
                draft.kind,
                draft.start_ns + epoch.ns,
                draft.end_ns + epoch.ns,
                _span_attributes(draft),
                _events(draft, epoch) if draft.events else (),
                _links(draft) if draft.links else (),
                None if draft.error is None else printable(redact(draft.error, addresses=not options.addresses)),
            )
        )
        for child in draft.children:
            emit(child, draft.span_id, parent_remote=child.role is not draft.role)

    outer = identity.parent
    emit(root, None if outer is None else outer.span_id, parent_remote=outer is not None)
    return tuple(spans)


def _assign_ids(draft: SpanDraft, path: str, identity: Identity) -> None:
    draft.span_id = identity.span_id(path)
    counts: dict[str, int] = defaultdict(int)
    for child in draft.children:
        _assign_ids(child, f"{path}/{child.name}/{counts[child.name]}", identity)
        counts[child.name] += 1


def _span_attributes(draft: SpanDraft) -> dict[str, AttributeValue]:
    """Return the draft's own attributes, and what its two ends rest on."""
    start, end = draft.start.drawn_at(draft.start_ns), draft.end.drawn_at(draft.end_ns)
    attributes = draft.attributes
    attributes[names.OTELMIG_EVIDENCE_START] = start.where
    attributes[names.OTELMIG_EVIDENCE_END] = end.where
    if start.error_ns is not None and end.error_ns is not None:
        attributes[names.OTELMIG_CLOCK_UNCERTAINTY] = seconds(max(start.error_ns, end.error_ns))
    if start.text is not None:
        attributes[names.OTELMIG_TIME_START] = start.text
    if end.text is not None:
        attributes[names.OTELMIG_TIME_END] = end.text
    return _printable(attributes)


def _links(draft: SpanDraft) -> tuple[Link, ...]:
    return tuple(
        Link(
            span_id=target.span_id,
            attributes={names.OTELMIG_LINK_KIND: kind},
            remote=target.role is not draft.role,
        )
        for target, kind in draft.links
    )


def _events(draft: SpanDraft, epoch: Epoch) -> tuple[SpanEvent, ...]:
    placed = [
        SpanEvent(
            name=event.name,
            time_ns=min(max(event.at.ns // MICROSECOND_NS * MICROSECOND_NS, draft.start_ns), draft.end_ns) + epoch.ns,
            attributes=_printable(event.attributes),
        )
        for event in draft.events
    ]
    return tuple(sorted(placed, key=lambda event: event.time_ns))
