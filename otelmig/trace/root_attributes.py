"""What is known of a migration as a whole: the attributes of the root, and of ``receive`` for the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.redaction import redact, without_addresses
from otelmig.migration.side import Result
from otelmig.trace import attributes as names
from otelmig.trace.doubt import doubts
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.trace.phases.downtime import target_missed
from otelmig.trace.phases.guest import guest_after, was_paused
from otelmig.trace.phases.source import phase
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from otelmig.clock.epoch import Epoch
    from otelmig.migration.facts import GuestFate
    from otelmig.migration.side import Side
    from otelmig.migration.url import MigrationUrl
    from otelmig.pairing.migration import Migration
    from otelmig.trace.drafting.aligned_sides import AlignedSides
    from otelmig.trace.drafting.span_draft import SpanDraft
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.span import AttributeValue

__all__ = ["add_top_attributes", "epoch_attributes"]


def add_top_attributes(root: SpanDraft, aligned: AlignedSides, migration: Migration, options: TraceOptions) -> None:
    """Add to the root, and to ``receive``, what is known of the migration as a whole."""
    side = migration.reference
    guest = guest_after(migration)
    attributes: dict[str, AttributeValue | None] = {
        names.VM_MIGRATION_ID: options.migration_id,
        names.VM_MIGRATION_SYSTEM_NAME: side.vmm.system,
        names.VM_MIGRATION_MODE: str(side.mode),
        names.VM_MIGRATION_RESULT: str(side.result),
        names.VM_MIGRATION_ATTEMPT: side.attempt,
        names.VM_MIGRATION_VM_WAS_PAUSED: True if aligned.received.left_paused is not None else None,
        names.VM_MIGRATION_GUEST_LOCATION: str(guest.location),
        names.VM_MIGRATION_GUEST_RUNNING: guest.running,
        names.OTELMIG_EVIDENCE_GUEST: ", ".join(str(line.where) for line in guest.evidence) or None,
        names.VM_MIGRATION_GUEST_UNDISTURBED: aligned.sent.never_paused or None,
        **_fate_attributes(guest.fate, options),
        names.OTELMIG_EVIDENCE_COMPLETENESS: _completeness(root, migration),
        names.OTELMIG_EVIDENCE_DOUBTS: tuple(doubt for each_side in migration.sides for doubt in doubts(each_side))
        or None,
        names.OTELMIG_PAIRING_BASIS: None if migration.basis is None else str(migration.basis),
        names.OTELMIG_PAIRING_DOUBT: migration.doubt,
        names.OTELMIG_PAIRING_REASONS: tuple(
            why if options.addresses else without_addresses(why) for why in migration.reasons
        )
        or None,
    }
    attributes |= _source_attributes(aligned, options)
    root.attributes |= {name: value for name, value in attributes.items() if value is not None}
    received = phase(root, SpanName.RECEIVE)
    if received is not None and (url := aligned.sent.terms.url) is not None:
        received.attributes |= {
            name: value for name, value in _url_attributes(url, options).items() if value is not None
        }
    for own_side, draft in ((side, root), (migration.destination, received)):
        if own_side is not None and draft is not None:
            draft.attributes |= _vm_attributes(own_side)
            draft.attributes[names.OTELMIG_CLOCK_RESOLUTION] = seconds(
                2 * max(line.stamp.error_ns for line in own_side.observations)
            )


def _fate_attributes(fate: GuestFate | None, options: TraceOptions) -> dict[str, AttributeValue | None]:
    """Return what became of the guest, and the line that says so."""
    if fate is None:
        return {}
    return {
        names.VM_MIGRATION_GUEST_FATE: str(fate.fate),
        names.VM_MIGRATION_GUEST_CAUSE: redact(fate.text, addresses=not options.addresses),
        names.VM_MIGRATION_GUEST_UPTIME: _seconds(fate.uptime_ns),
        names.OTELMIG_EVIDENCE_FATE: str(fate.at.where),
    }


def _completeness(root: SpanDraft, migration: Migration) -> str:
    """Return the weakest of what the trace rests on."""
    if (
        migration.source is None
        or migration.destination is None
        or Result.UNKNOWN in {side.result for side in migration.sides}
    ):
        return names.Completeness.PARTIAL
    marks = {draft.attributes.get(names.OTELMIG_EVIDENCE_COMPLETENESS) for draft in root.walk()}
    weakest = (names.Completeness.PARTIAL, names.Completeness.INFERRED)
    return next((mark for mark in weakest if mark in marks), names.Completeness.FULL)


def _source_attributes(aligned: AlignedSides, options: TraceOptions) -> dict[str, AttributeValue | None]:
    """Return what the source's lines say of the migration as a whole."""
    if aligned.source is None:
        return {}
    sent, terms, downtime = aligned.sent, aligned.sent.terms, aligned.sent.downtime
    attributes: dict[str, AttributeValue | None] = {
        names.VM_MIGRATION_VM_WAS_PAUSED: was_paused(aligned.source, aligned.received),
        names.VM_MIGRATION_CONNECTION_COUNT: terms.connections,
        names.VM_MIGRATION_MEMORY_ITERATION_COUNT: sent.memory.iteration_count if sent.memory.is_counted else None,
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
        attributes[names.VM_MIGRATION_DOWNTIME_TARGET_MISSED] = target_missed(downtime)
    return attributes


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else seconds(ns)


def _url_attributes(url: MigrationUrl, options: TraceOptions) -> dict[str, AttributeValue | None]:
    """Return the transport, address and port of the destination."""
    return {
        names.NETWORK_TRANSPORT: None if url.transport is None else str(url.transport),
        names.SERVER_PORT: url.port,
        names.SERVER_ADDRESS: url.host if options.addresses else None,
    }


def _vm_attributes(side: Side) -> dict[str, AttributeValue]:
    """Return the allow-listed facts of the VM's configuration."""
    if side.vm is None:
        return {}
    attributes = {
        names.VM_ID: side.vm.id,
        names.VM_MEMORY_SIZE: side.vm.memory_bytes,
        names.VM_VCPU_COUNT: side.vm.vcpus,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def epoch_attributes(epoch: Epoch) -> dict[str, AttributeValue]:
    """Return where the absolute times of the trace come from, and how well they are known."""
    attributes: dict[str, AttributeValue] = {
        names.OTELMIG_CLOCK_EPOCH_ORIGIN: str(epoch.origin),
        names.OTELMIG_CLOCK_EPOCH_SHIFT: str(epoch.ns),
    }
    if epoch.error_ns is not None:
        attributes[names.OTELMIG_CLOCK_EPOCH_UNCERTAINTY] = seconds(epoch.error_ns)
    return attributes
