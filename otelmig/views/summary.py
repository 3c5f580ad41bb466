"""A migration for scripts: an item of ``otelmig.summary/1``.

Keys never vanish: what is not known is null. Seconds end in ``_s``, sizes in ``_bytes``; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from otelmig.migration.side import Role
from otelmig.trace import attributes as names
from otelmig.trace.attributes import Completeness
from otelmig.trace.spans import SpanName
from otelmig.units import MICROSECOND_NS, SECOND_NS
from otelmig.views.units import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Span, Trace

__all__ = ["start_time", "summary"]

_PARTS: Final = (
    SpanName.PAUSE,
    SpanName.FINAL_DELTA,
    SpanName.SNAPSHOT,
    SpanName.SEND,
    SpanName.COMPLETE,
    SpanName.UNACCOUNTED,
)


def start_time(trace: Trace) -> str:
    """Return when the migration began, as RFC 3339 in UTC with microseconds."""
    whole, rest = divmod(trace.root.start_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // MICROSECOND_NS:06d}Z"


def summary(trace: Trace) -> dict[str, object]:
    """Return one migration of ``otelmig.summary/1``."""
    root = trace.root.attributes
    receive = trace.first(SpanName.RECEIVE)
    clock: Mapping[str, AttributeValue] = {} if receive is None else receive.attributes
    precopy = trace.first(SpanName.PRECOPY)
    return {
        "trace_id": trace.trace_id,
        "pairing_doubt": root.get(names.OTELMIG_PAIRING_DOUBT),
        "pairing_basis": root.get(names.OTELMIG_PAIRING_BASIS),
        "result": root.get(names.VM_MIGRATION_RESULT),
        "error": None
        if trace.root.error is None
        else {"type": root.get(names.ERROR_TYPE), "description": trace.root.error},
        "mode": root.get(names.VM_MIGRATION_MODE),
        "attempt": root.get(names.VM_MIGRATION_ATTEMPT),
        "migration_id": root.get(names.VM_MIGRATION_ID),
        "guest": {
            "location": root.get(names.VM_MIGRATION_GUEST_LOCATION),
            "running": root.get(names.VM_MIGRATION_GUEST_RUNNING),
            "evidence": root.get(names.OTELMIG_EVIDENCE_GUEST),
            "fate": root.get(names.VM_MIGRATION_GUEST_FATE),
            "cause": root.get(names.VM_MIGRATION_GUEST_CAUSE),
            "uptime_s": root.get(names.VM_MIGRATION_GUEST_UPTIME),
            "fate_evidence": root.get(names.OTELMIG_EVIDENCE_FATE),
        },
        "start": start_time(trace),
        "epoch_origin": root.get(names.OTELMIG_CLOCK_EPOCH_ORIGIN),
        "duration_s": trace.root.duration_ns / SECOND_NS,
        "downtime": _downtime(trace),
        "blackout": None
        if names.VM_MIGRATION_BLACKOUT_DURATION not in root
        else {
            "estimate_s": root[names.VM_MIGRATION_BLACKOUT_DURATION],
            "min_s": root[names.VM_MIGRATION_BLACKOUT_MIN],
            "max_s": root.get(names.VM_MIGRATION_BLACKOUT_MAX),
            "semantic_width_s": root.get(names.VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC),
            "clock_width_s": root.get(names.VM_MIGRATION_BLACKOUT_WIDTH_CLOCK),
        },
        "clock": {
            "status": root.get(names.OTELMIG_CLOCK_STATUS),
            "offset_s": clock.get(names.OTELMIG_CLOCK_OFFSET_ESTIMATE),
            "offset_min_s": clock.get(names.OTELMIG_CLOCK_OFFSET_MIN),
            "offset_max_s": clock.get(names.OTELMIG_CLOCK_OFFSET_MAX),
            "domain": clock.get(names.OTELMIG_CLOCK_DOMAIN),
            "drift_assumed": clock.get(names.OTELMIG_CLOCK_DRIFT_ASSUMED),
            "drift_required": clock.get(names.OTELMIG_CLOCK_DRIFT_REQUIRED),
            "constraints": clock.get(names.OTELMIG_CLOCK_CONSTRAINT_COUNT),
            "conflict": _conflict(clock),
        },
        "state_transfer": _interval(
            root,
            names.VM_MIGRATION_STATE_TRANSFER_DURATION,
            names.VM_MIGRATION_STATE_TRANSFER_MIN,
            names.VM_MIGRATION_STATE_TRANSFER_MAX,
        ),
        "iterations": [_iteration(span) for span in trace.named(SpanName.MEMORY_ITERATION)],
        "convergence_reason": None
        if precopy is None
        else precopy.attributes.get(names.VM_MIGRATION_CONVERGENCE_REASON),
        "memory": {
            "size_bytes": root.get(names.VM_MIGRATION_MEMORY_SIZE),
            "iterations": root.get(names.VM_MIGRATION_MEMORY_ITERATION_COUNT),
        },
        "network": {
            "transport": root.get(names.NETWORK_TRANSPORT),
            "address": root.get(names.SERVER_ADDRESS),
            "port": root.get(names.SERVER_PORT),
            "tls": root.get(names.TLS_ESTABLISHED),
            "connections": root.get(names.VM_MIGRATION_CONNECTION_COUNT),
        },
        "versions": {str(role): trace.resources.get(role, {}).get(names.SERVICE_VERSION) for role in Role},
        "destination": {
            "restore_s": _seconds(trace.first(SpanName.RESTORE)),
            "resume_s": _seconds(trace.first(SpanName.RESUME)),
        },
        "completeness": root.get(names.OTELMIG_EVIDENCE_COMPLETENESS),
        "doubts": list(texts(root.get(names.OTELMIG_EVIDENCE_DOUBTS))),
        "pairing_reasons": list(texts(root.get(names.OTELMIG_PAIRING_REASONS))),
    }


def _interval(attributes: Mapping[str, AttributeValue], estimate: str, low: str, high: str) -> dict[str, object] | None:
    """Return an estimate with its bounds, by the names of their attributes; None if there is no estimate."""
    if estimate not in attributes:
        return None
    return {"estimate_s": attributes[estimate], "min_s": attributes.get(low), "max_s": attributes.get(high)}


def _conflict(clock: Mapping[str, AttributeValue]) -> dict[str, object] | None:
    if names.OTELMIG_CLOCK_CONFLICT_DURATION not in clock:
        return None
    step = texts(clock.get(names.OTELMIG_CLOCK_EVIDENCE_STEPS))
    return {
        "duration_s": clock[names.OTELMIG_CLOCK_CONFLICT_DURATION],
        "excess_s": clock[names.OTELMIG_CLOCK_CONFLICT_EXCESS],
        "constraints": clock[names.OTELMIG_CLOCK_CONFLICT_CONSTRAINT_COUNT],
        "evidence": list(texts(clock[names.OTELMIG_CLOCK_EVIDENCE_CONFLICTS])),
        "step": None
        if not step
        else {
            "min_s": clock.get(names.OTELMIG_CLOCK_STEP_MIN),
            "max_s": clock.get(names.OTELMIG_CLOCK_STEP_MAX),
            "between": list(step),
        },
    }


def _seconds(span: Span | None) -> float | None:
    return None if span is None else span.duration_ns / SECOND_NS


def _downtime(trace: Trace) -> dict[str, object] | None:
    span = trace.first(SpanName.DOWNTIME)
    if span is None:
        return None
    parts: dict[str, float | None] = {}
    for name in _PARTS:
        lengths_ns = [child.duration_ns for child in trace.children(span) if child.name == name]
        parts[f"{name.replace(' ', '_')}_s"] = sum(lengths_ns) / SECOND_NS if lengths_ns else None
    root = trace.root.attributes
    return {
        "duration_s": span.attributes.get(names.VM_MIGRATION_DOWNTIME_DURATION),
        "open": names.VM_MIGRATION_DOWNTIME_OPEN in span.attributes,
        "max_s": span.attributes.get(names.VM_MIGRATION_DOWNTIME_MAX),
        "over_blackout": _interval(
            root,
            names.VM_MIGRATION_DOWNTIME_EXCESS_DURATION,
            names.VM_MIGRATION_DOWNTIME_EXCESS_MIN,
            names.VM_MIGRATION_DOWNTIME_EXCESS_MAX,
        ),
        "target_s": span.attributes.get(names.VM_MIGRATION_DOWNTIME_TARGET),
        "span_s": span.duration_ns / SECOND_NS,
        "failed": span.error is not None,
        "parts": parts,
    }


def _iteration(span: Span) -> dict[str, object]:
    attributes = span.attributes
    return {
        "index": attributes.get(names.VM_MIGRATION_MEMORY_ITERATION_INDEX),
        "duration_s": span.duration_ns / SECOND_NS,
        "size_bytes": attributes.get(names.VM_MIGRATION_MEMORY_ITERATION_SIZE),
        "bandwidth_bytes_per_s": attributes.get(names.VM_MIGRATION_MEMORY_BANDWIDTH),
        "dirty_rate_bytes_per_s": attributes.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE),
        "dirty_rate_method": attributes.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD),
        "downtime_estimated_s": attributes.get(names.VM_MIGRATION_DOWNTIME_ESTIMATED),
        "completed": span.error is None and attributes.get(names.OTELMIG_EVIDENCE_COMPLETENESS) != Completeness.PARTIAL,
    }
