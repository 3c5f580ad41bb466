"""A migration as JSON for scripts, schema ``otelmig.summary/1``.

Keys never vanish: what is not known is null. Seconds end in ``_s``, sizes in ``_bytes``; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from otelmig.migration.side import Role
from otelmig.views.units import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.trace.span import AttributeValue, Span, Trace

__all__ = ["start_time", "summary"]

_PARTS: Final = ("pause", "final delta", "snapshot", "send", "complete", "unaccounted")


def start_time(trace: Trace) -> str:
    """When the migration began, RFC 3339 in UTC with microseconds."""
    whole, rest = divmod(trace.root.start_ns, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def summary(trace: Trace) -> dict[str, object]:
    """One migration, as ``otelmig trace --json`` lists it."""
    root = trace.root.attributes
    receive = trace.first("receive")
    clock: Mapping[str, AttributeValue] = {} if receive is None else receive.attributes
    precopy = trace.first("precopy")
    return {
        "trace_id": trace.trace_id,
        "result": root.get("vm.migration.result"),
        "error": None
        if trace.root.error is None
        else {"type": root.get("error.type"), "description": trace.root.error},
        "mode": root.get("vm.migration.mode"),
        "attempt": root.get("vm.migration.attempt"),
        "migration_id": root.get("vm.migration.id"),
        "guest": {
            "location": root.get("vm.migration.guest.location"),
            "running": root.get("vm.migration.guest.running"),
            "evidence": root.get("otelmig.evidence.guest"),
        },
        "start": start_time(trace),
        "epoch_origin": root.get("otelmig.clock.epoch.origin"),
        "duration_s": trace.root.duration_ns / 1e9,
        "downtime": _downtime(trace),
        "blackout": None
        if "vm.migration.blackout.duration" not in root
        else {
            "estimate_s": root["vm.migration.blackout.duration"],
            "min_s": root["vm.migration.blackout.min"],
            "max_s": root["vm.migration.blackout.max"],
            "semantic_width_s": root["vm.migration.blackout.width.semantic"],
            "clock_width_s": root["vm.migration.blackout.width.clock"],
        },
        "clock": {
            "status": root.get("otelmig.clock.status"),
            "offset_s": clock.get("otelmig.clock.offset.estimate"),
            "offset_min_s": clock.get("otelmig.clock.offset.min"),
            "offset_max_s": clock.get("otelmig.clock.offset.max"),
            "domain": clock.get("otelmig.clock.domain"),
            "drift_assumed": clock.get("otelmig.clock.drift.assumed"),
            "drift_required": clock.get("otelmig.clock.drift.required"),
            "constraints": clock.get("otelmig.clock.constraints"),
            "conflict": _conflict(clock),
        },
        "state_transfer": _interval(root, "vm.migration.state.transfer"),
        "iterations": [_iteration(span) for span in trace.named("memory iteration")],
        "convergence_reason": None if precopy is None else precopy.attributes.get("vm.migration.convergence.reason"),
        "memory": {
            "size_bytes": root.get("vm.migration.memory.size"),
            "iterations": root.get("vm.migration.memory.iteration.count"),
        },
        "network": {
            "transport": root.get("network.transport"),
            "address": root.get("server.address"),
            "port": root.get("server.port"),
            "tls": root.get("tls.established"),
            "connections": root.get("vm.migration.connection.count"),
        },
        "versions": {str(role): trace.resources.get(role, {}).get("service.version") for role in Role},
        "destination": {"restore_s": _seconds(trace.first("restore")), "resume_s": _seconds(trace.first("resume"))},
        "completeness": root.get("otelmig.evidence.completeness"),
        "doubts": list(texts(root.get("otelmig.evidence.doubts"))),
        "pairing_reasons": list(texts(root.get("otelmig.pairing.reasons"))),
    }


def _interval(found: Mapping[str, AttributeValue], name: str) -> dict[str, object] | None:
    """An estimate with its bounds."""
    if f"{name}.duration" not in found:
        return None
    return {
        "estimate_s": found[f"{name}.duration"],
        "min_s": found.get(f"{name}.min"),
        "max_s": found.get(f"{name}.max"),
    }


def _conflict(clock: Mapping[str, AttributeValue]) -> dict[str, object] | None:
    if "otelmig.clock.conflict.duration" not in clock:
        return None
    step = texts(clock.get("otelmig.clock.evidence.step"))
    return {
        "duration_s": clock["otelmig.clock.conflict.duration"],
        "excess_s": clock["otelmig.clock.conflict.excess"],
        "constraints": clock["otelmig.clock.conflict.constraints"],
        "evidence": list(texts(clock["otelmig.clock.evidence.conflict"])),
        "step": None
        if not step
        else {
            "min_s": clock.get("otelmig.clock.step.min"),
            "max_s": clock.get("otelmig.clock.step.max"),
            "between": list(step),
        },
    }


def _seconds(span: Span | None) -> float | None:
    return None if span is None else span.duration_ns / 1e9


def _downtime(trace: Trace) -> dict[str, object] | None:
    span = trace.first("downtime")
    if span is None:
        return None
    parts: dict[str, float | None] = {}
    for name in _PARTS:
        own = [child.duration_ns for child in trace.children(span) if child.name == name]
        parts[f"{name.replace(' ', '_')}_s"] = sum(own) / 1e9 if own else None
    root = trace.root.attributes
    return {
        "duration_s": span.attributes.get("vm.migration.downtime.duration"),
        "over_blackout": _interval(root, "vm.migration.downtime.excess"),
        "target_s": span.attributes.get("vm.migration.downtime.target"),
        "span_s": span.duration_ns / 1e9,
        "failed": span.error is not None,
        "parts": parts,
    }


def _iteration(span: Span) -> dict[str, object]:
    found = span.attributes
    return {
        "index": found.get("vm.migration.memory.iteration.index"),
        "duration_s": span.duration_ns / 1e9,
        "size_bytes": found.get("vm.migration.memory.iteration.size"),
        "bandwidth_bytes_per_s": found.get("vm.migration.memory.bandwidth"),
        "dirty_rate_bytes_per_s": found.get("vm.migration.memory.dirty_rate"),
        "dirty_rate_method": found.get("vm.migration.memory.dirty_rate_method"),
        "downtime_estimated_s": found.get("vm.migration.downtime.estimated"),
        "completed": span.error is None and found.get("otelmig.evidence.completeness") != "partial",
    }
