"""A migration -> its trace: the tree, the attributes of its top spans, resources, links, ids."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.migration.redaction import redact
from otelmig.migration.side import Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.aligned_sides import AlignedSides, seconds
from otelmig.trace.clock_attributes import clock_attributes
from otelmig.trace.doubt import doubts
from otelmig.trace.identity import identity_of
from otelmig.trace.layout import lay_out
from otelmig.trace.phases.blackout import blackout_attributes, blackout_draft, blackout_of
from otelmig.trace.phases.destination import receive
from otelmig.trace.phases.guest import guest_after
from otelmig.trace.phases.source import add_wait, migration, phase
from otelmig.trace.phases.state_transfer import state_transfer_attributes
from otelmig.trace.resource import resource_of
from otelmig.trace.span import Link, Span, SpanEvent, Trace
from otelmig.trace.span_draft import MICROSECOND, SpanDraft
from otelmig.trace.spans import SpanName
from otelmig.trace.timeline import Timeline

if TYPE_CHECKING:
    from otelmig.clock.epoch import Epoch
    from otelmig.migration.side import Side
    from otelmig.migration.url import MigrationUrl
    from otelmig.pairing.pairing import Migration
    from otelmig.trace.identity import Identity
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.phases.blackout import Blackout
    from otelmig.trace.span import AttributeValue

__all__ = ["build_trace"]

_LINKED: Final = ((SpanName.RESTORE, SpanName.SEND), (SpanName.RESUME, SpanName.COMPLETE))
"""What the destination does for a request of the source: links in both directions."""


def build_trace(found: Migration, epoch: Epoch, options: TraceOptions) -> Trace:
    """The trace of one migration; ``epoch`` is that of the source's clock (the destination's, if it stands alone)."""
    aligned = AlignedSides(
        source=found.source, destination=found.destination, timeline=Timeline(placement=found.placement)
    )
    blackout = blackout_of(aligned, found.proof)
    root = _tree(aligned, found, blackout)
    _root_attributes(root, aligned, found, options)
    received = phase(root, SpanName.RECEIVE)
    if blackout is not None:
        root.attributes |= blackout_attributes(blackout)
    root.attributes |= state_transfer_attributes(aligned, found.proof)
    root.attributes |= _epoch_attributes(epoch)
    if received is not None and found.placement is not None and found.proof is not None:
        root.attributes[names.OTELMIG_CLOCK_STATUS] = str(found.placement.status)
        received.attributes |= clock_attributes(aligned, found.placement, found.proof, epoch)
    elif found.source is not None and found.destination is None:
        root.attributes[names.OTELMIG_CLOCK_STATUS] = str(ClockStatus.UNSYNCED)
    if found.placement is not None and found.placement.applied_ns != found.placement.estimate_ns:
        root.move(Role.DESTINATION, found.placement.estimate_ns - found.placement.applied_ns)
    add_wait(root, aligned)
    lay_out(root, fixed=phase(root, SpanName.DOWNTIME))
    _count_unaccounted(root)
    if received is not None:
        _link(root)
    side = found.reference
    identity = identity_of(side, parent=options.parent, name=_attempt_name(options, side))
    return Trace(
        trace_id=identity.trace_id,
        resources={each.role: resource_of(each, found, options) for each in found.sides},
        spans=_spans(root, identity, epoch, options),
        notes=tuple(note for each in found.sides for note in each.vmm.notes),
    )


def _epoch_attributes(epoch: Epoch) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        names.OTELMIG_CLOCK_EPOCH_ORIGIN: str(epoch.origin),
        names.OTELMIG_CLOCK_EPOCH_SHIFT: str(epoch.ns),
    }
    if epoch.error_ns is not None:
        found[names.OTELMIG_CLOCK_EPOCH_UNCERTAINTY] = seconds(epoch.error_ns)
    return found


def _attempt_name(options: TraceOptions, side: Side) -> str | None:
    """The caller's id, with the attempt's number from the second on: one id may cover several attempts."""
    if options.migration_id is None or side.attempt == 1:
        return options.migration_id
    return f"{options.migration_id}#{side.attempt}"


def _tree(aligned: AlignedSides, found: Migration, blackout: Blackout | None) -> SpanDraft:
    if found.source is None:
        received = receive(aligned, found.reference)
        root = SpanDraft(SpanName.MIGRATION, received.start, received.end, role=Role.DESTINATION)
        root.children.append(received)
        root.error, error_type = received.error, received.attributes.get(names.ERROR_TYPE)
        if error_type is not None:
            root.attributes[names.ERROR_TYPE] = error_type
        return root
    root = migration(aligned, found.source)
    if blackout is not None:
        root.children.append(blackout_draft(blackout))
    if found.destination is not None:
        root.children.append(receive(aligned, found.destination))
    return root


def _root_attributes(root: SpanDraft, aligned: AlignedSides, found: Migration, options: TraceOptions) -> None:
    side = found.reference
    guest = guest_after(found)
    attributes: dict[str, AttributeValue | None] = {
        names.VM_MIGRATION_ID: options.migration_id,
        names.VM_MIGRATION_SYSTEM_NAME: side.vmm.system,
        names.VM_MIGRATION_MODE: str(side.mode),
        names.VM_MIGRATION_RESULT: str(side.result),
        names.VM_MIGRATION_ATTEMPT: side.attempt,
        names.VM_MIGRATION_GUEST_LOCATION: str(guest.location),
        names.VM_MIGRATION_GUEST_RUNNING: guest.running,
        names.OTELMIG_EVIDENCE_GUEST: None if guest.evidence is None else str(guest.evidence.where),
        names.OTELMIG_EVIDENCE_COMPLETENESS: _completeness(root, found),
        names.OTELMIG_EVIDENCE_DOUBTS: tuple(doubt for each in found.sides for doubt in doubts(each)) or None,
        names.OTELMIG_PAIRING_BASIS: None if found.basis is None else str(found.basis),
        names.OTELMIG_PAIRING_REASONS: tuple(redact(why, addresses=not options.addresses) for why in found.reasons)
        or None,
    }
    attributes |= _source_attributes(aligned, options)
    root.attributes |= {name: value for name, value in attributes.items() if value is not None}
    received = phase(root, SpanName.RECEIVE)
    for each, draft in ((side, root), (found.destination, received)):
        if each is not None and draft is not None:
            draft.attributes |= _vm_attributes(each)
            draft.attributes[names.OTELMIG_CLOCK_RESOLUTION] = seconds(
                2 * max(seen.stamp.error_ns for seen in each.observations)
            )


def _completeness(root: SpanDraft, found: Migration) -> str:
    """The weakest of what the trace rests on."""
    if found.source is None or found.destination is None or Result.UNKNOWN in {side.result for side in found.sides}:
        return names.Completeness.PARTIAL
    marks = {draft.attributes.get(names.OTELMIG_EVIDENCE_COMPLETENESS) for draft in root.walk()}
    return (
        names.Completeness.PARTIAL
        if names.Completeness.PARTIAL in marks
        else names.Completeness.INFERRED
        if names.Completeness.INFERRED in marks
        else names.Completeness.FULL
    )


def _source_attributes(aligned: AlignedSides, options: TraceOptions) -> dict[str, AttributeValue | None]:
    """What the source's lines say of the migration as a whole."""
    if aligned.source is None:
        return {}
    sent, terms, downtime = aligned.sent, aligned.sent.terms, aligned.sent.downtime
    attributes: dict[str, AttributeValue | None] = {
        names.VM_MIGRATION_VM_WAS_PAUSED: aligned.source.paused_before or aligned.received.left_paused is not None,
        names.VM_MIGRATION_CONNECTION_COUNT: terms.connections,
        names.VM_MIGRATION_MEMORY_ITERATION_COUNT: sent.memory.iterations,
        names.VM_MIGRATION_MEMORY_SIZE: sent.memory.total_bytes,
        names.VM_MIGRATION_PROTOCOL_VERSION: terms.protocol,
        names.VM_MIGRATION_LOGGING_DURATION: seconds(sent.logging_ns) if sent.logging_ns else None,
        names.VM_MIGRATION_DOWNTIME_TARGET: _seconds(terms.downtime_target_ns),
        names.VM_MIGRATION_TIMEOUT_DURATION: _seconds(terms.timeout_ns),
        names.VM_MIGRATION_TIMEOUT_STRATEGY: terms.timeout_strategy,
        names.TLS_ESTABLISHED: terms.tls,
    }
    if terms.url is not None:
        attributes |= _url_attributes(terms.url, options)
    if downtime is not None:
        attributes[names.VM_MIGRATION_DURATION] = _seconds(downtime.migration_ns)
        printed = downtime.duration
        attributes[names.VM_MIGRATION_DOWNTIME_DURATION] = None if printed is None else seconds(printed.ns)
    return attributes


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else seconds(ns)


def _url_attributes(url: MigrationUrl, options: TraceOptions) -> dict[str, AttributeValue | None]:
    """Transport, address and port of the destination."""
    return {
        names.NETWORK_TRANSPORT: url.transport,
        names.SERVER_PORT: url.port,
        names.SERVER_ADDRESS: url.host if options.addresses else None,
    }


def _vm_attributes(side: Side) -> dict[str, AttributeValue]:
    """The allow-listed facts of the VM's configuration."""
    if side.vm is None:
        return {}
    attributes = {
        names.VM_ID: side.vm.id,
        names.VM_MEMORY_SIZE: side.vm.memory_bytes,
        names.VM_VCPU_COUNT: side.vm.vcpus,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _count_unaccounted(root: SpanDraft) -> None:
    span = phase(root, SpanName.DOWNTIME)
    if span is not None:
        total = sum(child.end_ns - child.start_ns for child in span.children if child.name == SpanName.UNACCOUNTED)
        span.attributes[names.VM_MIGRATION_DOWNTIME_UNACCOUNTED] = seconds(total)


def _link(root: SpanDraft) -> None:
    """Cross-host causality besides the one parent: what answers a request is linked to it, both ways."""
    by_name = {draft.name: draft for draft in root.walk()}
    for answer, request in _LINKED:
        if answer in by_name and request in by_name:
            by_name[answer].links.append((by_name[request], names.LinkKind.REQUEST))
            by_name[request].links.append((by_name[answer], names.LinkKind.RESPONSE))


def _spans(root: SpanDraft, identity: Identity, epoch: Epoch, options: TraceOptions) -> tuple[Span, ...]:
    """The finished spans, depth first; ids follow from each span's path in the tree."""
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
                None if draft.error is None else redact(draft.error, addresses=not options.addresses),
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
    """The draft's own attributes, and what its two ends rest on."""
    start, end = draft.start.drawn_at(draft.start_ns), draft.end.drawn_at(draft.end_ns)
    found = draft.attributes
    found[names.OTELMIG_EVIDENCE_START] = start.where
    found[names.OTELMIG_EVIDENCE_END] = end.where
    if start.error_ns is not None and end.error_ns is not None:
        found[names.OTELMIG_CLOCK_UNCERTAINTY] = seconds(max(start.error_ns, end.error_ns))
    if start.text is not None:
        found[names.OTELMIG_TIME_START] = start.text
    if end.text is not None:
        found[names.OTELMIG_TIME_END] = end.text
    return found


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
            time_ns=min(max(event.at.ns // MICROSECOND * MICROSECOND, draft.start_ns), draft.end_ns) + epoch.ns,
            attributes=event.attributes,
        )
        for event in draft.events
    ]
    return tuple(sorted(placed, key=lambda event: event.time_ns))
