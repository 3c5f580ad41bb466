"""The attribute table: every name that a trace uses, once.

Names follow OpenTelemetry's conventions: seconds are doubles, sizes are bytes, units never stand in names, and no
name is also the prefix of another. Stability: development. The README's table is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otelmig.clock.epoch import EpochOrigin

__all__ = [
    "ATTRIBUTES",
    "ESTIMATED_ORIGINS",
    "SCHEMA_URL",
    "SCOPE_NAME",
    "SERVICE_NAMESPACE",
    "Attribute",
    "attribute_table",
    "dialect_attribute",
    "version_attribute",
]

SCOPE_NAME: Final = "otelmig"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""The version of OpenTelemetry's conventions from which the general attributes are taken."""
SERVICE_NAMESPACE: Final = "vm-migration"
ESTIMATED_ORIGINS: Final = frozenset(str(origin) for origin in EpochOrigin if origin.is_estimate)
"""The values of ``otelmig.clock.epoch.origin`` of traces whose absolute time is only an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One row of the table."""

    name: str
    type: str
    on: str
    note: str


def _rows(*rows: tuple[str, str, str, str]) -> tuple[Attribute, ...]:
    return tuple(Attribute(name=name, type=type_, on=on, note=note) for name, type_, on, note in rows)


ATTRIBUTES: Final = _rows(
    ("service.name", "string", "resources", "`migration-source` or `migration-destination`"),
    ("service.namespace", "string", "resources", "`vm-migration`"),
    ("service.version", "string", "resources", "the hypervisor's version, if its log prints it"),
    ("host.name", "string", "resources", "only where it is known: `--host SIDE=NAME`, the journal, syslog"),
    ("host.id", "string", "resources", "the machine id, where the journal carries it"),
    (
        "host.ip",
        "string[]",
        "destination's resource",
        "from the destination URL, unless it is a loopback address",
    ),
    (
        "otelmig.host.origin",
        "string",
        "resources",
        "where `host.*` came from: `option`, `transport`, `destination_url`",
    ),
    ("vm.migration.role", "string", "resources", "`source`, `destination`"),
    ("cloud_hypervisor.version", "string", "resources", "as printed"),
    ("cloud_hypervisor.log.dialect", "string", "resources", "the releases that print what the log contains"),
    ("vm.id", "string", "root, receive", "the VM's configured UUID"),
    ("vm.memory.size", "int, By", "root, receive", "configured"),
    ("vm.vcpu.count", "int", "root, receive", "configured"),
    ("vm.migration.id", "string", "root", "the id given with `--migration-id`"),
    ("vm.migration.system.name", "string", "root", "`cloud_hypervisor`"),
    ("vm.migration.mode", "string", "root", "`precopy`, `postcopy`, `local`"),
    (
        "vm.migration.vm_was_paused",
        "bool",
        "root",
        "the guest was paused before the migration and stays paused",
    ),
    (
        "vm.migration.result",
        "string",
        "root",
        "`success`, `failure`, `timeout`, `cancellation`, `unknown` (the evidence stops)",
    ),
    ("vm.migration.attempt", "int", "root", "counts the attempts of the source's process, from 1"),
    (
        "vm.migration.guest.location",
        "string",
        "root",
        "where the guest is after it: `source`, `destination`, `none`, `unknown`",
    ),
    ("vm.migration.guest.running", "bool", "root", "whether it runs there; absent if that is not known"),
    ("vm.migration.phase", "string", "every span", "the span's name, for queries that need no name match"),
    ("network.transport", "string", "root", "`tcp`, `unix`"),
    ("server.address", "string", "root", "the destination, from its URL"),
    ("server.port", "int", "root", "from the destination URL"),
    ("tls.established", "bool", "root", "whether the connection is encrypted"),
    ("vm.migration.connection.count", "int", "root", "connections that carry memory"),
    ("vm.migration.protocol.version", "int", "root", ""),
    (
        "vm.migration.convergence.reason",
        "string",
        "precopy",
        "`no_dirty_memory`, `downtime_target_met`, `timeout_ignored`, `timeout_cancelled`, `iteration_limit`",
    ),
    ("vm.migration.timeout.duration", "double, s", "root", "the configured timeout"),
    ("vm.migration.timeout.strategy", "string", "root", "`cancel`, `ignore`"),
    ("vm.migration.downtime.target", "double, s", "root, downtime", "the hypervisor's goal"),
    (
        "vm.migration.downtime.duration",
        "double, s",
        "root, downtime",
        "the hypervisor's own word; absent where it says none",
    ),
    (
        "vm.migration.downtime.estimated",
        "double, s",
        "memory iteration, precopy",
        "the hypervisor's estimate at that point",
    ),
    ("vm.migration.downtime.final_delta", "double, s", "downtime", "printed part, truncated to ms"),
    ("vm.migration.downtime.snapshot", "double, s", "downtime", "printed part, truncated to ms"),
    ("vm.migration.downtime.send", "double, s", "downtime", "printed part, truncated to ms"),
    ("vm.migration.downtime.complete", "double, s", "downtime", "printed part, truncated to ms"),
    ("vm.migration.downtime.unaccounted", "double, s", "downtime", "sum of its `unaccounted` children"),
    ("vm.migration.duration", "double, s", "root", "as printed"),
    (
        "vm.migration.logging.duration",
        "double, s",
        "root",
        "what writing dirty tables to the log added to the downtime",
    ),
    ("vm.migration.memory.iteration.index", "int", "memory iteration, receive memory", "from 0"),
    (
        "vm.migration.memory.iteration.size",
        "int, By",
        "memory iteration, final delta",
        "printed, rounded up to MiB",
    ),
    ("vm.migration.memory.iteration.count", "int", "root", "completed passes while the guest ran"),
    ("vm.migration.memory.size", "int, By", "root", "all memory sent, rounded up to MiB"),
    ("vm.migration.memory.cumulative_size", "int, By", "memory iteration, final delta", "sent so far"),
    ("vm.migration.memory.bandwidth", "double, By/s", "memory iteration, final delta", "of this transfer"),
    (
        "vm.migration.memory.average_bandwidth",
        "double, By/s",
        "memory iteration, final delta",
        "since copying began",
    ),
    (
        "vm.migration.memory.dirty_rate",
        "double, By/s",
        "memory iteration",
        "memory written by the guest during the pass",
    ),
    (
        "vm.migration.memory.dirty_rate_method",
        "string",
        "memory iteration",
        (
            "`printed`, `dirty_table` (its logged lines) or `next_iteration_size` (rounded up to MiB: up to 7x off for "
            "small passes)"
        ),
    ),
    ("vm.vcpu.throttle_ratio", "double", "memory iteration", "by how much vCPUs were slowed down (Cyberus fork)"),
    ("vm.migration.memory.transfer.duration", "double, s", "memory iteration, final delta", ""),
    (
        "vm.migration.memory.overhead.duration",
        "double, s",
        "memory iteration, final delta",
        "the pass without its transfer",
    ),
    ("vm.migration.blackout.duration", "double, s", "root, blackout", "vCPUs stood still: the estimate"),
    ("vm.migration.blackout.min", "double, s", "root, blackout", "proved lower bound"),
    ("vm.migration.blackout.max", "double, s", "root, blackout", "proved upper bound"),
    (
        "vm.migration.blackout.width.semantic",
        "double, s",
        "root, blackout",
        "how much of max - min is there because neither instant is printed",
    ),
    ("vm.migration.blackout.width.clock", "double, s", "root, blackout", "the rest of it: rounding, offset, drift"),
    (
        "vm.migration.downtime.excess.duration",
        "double, s",
        "root, blackout",
        "by how much the printed downtime exceeds the blackout: the estimate",
    ),
    ("vm.migration.downtime.excess.min", "double, s", "root, blackout", "proved lower bound"),
    ("vm.migration.downtime.excess.max", "double, s", "root, blackout", "proved upper bound"),
    (
        "vm.migration.state.transfer.duration",
        "double, s",
        "root",
        "the state's way to the destination, first byte written to last byte read: middle of what is possible",
    ),
    ("vm.migration.state.transfer.min", "double, s", "root", "what the destination alone measured of it"),
    ("vm.migration.state.transfer.max", "double, s", "root", "proved upper bound"),
    ("vm.device.type", "string", "events", "the device of `vm.device.paused` and `vm.device.resumed`"),
    (
        "otelmig.clock.status",
        "string",
        "root, receive",
        "`bounded`, `one_sided`, `conflict` (no offset fits), `unsynced`",
    ),
    (
        "otelmig.clock.offset.estimate",
        "double, s",
        "receive",
        "destination minus source at the end of the downtime; absent where no interval is proved",
    ),
    (
        "otelmig.clock.basis",
        "string",
        "receive",
        "what the bounds rest on: `proved` (by what must come first), `believed` (a time service's claim, too)",
    ),
    ("otelmig.clock.offset.min", "double, s", "receive", "proved lower bound"),
    ("otelmig.clock.offset.max", "double, s", "receive", "proved upper bound"),
    (
        "otelmig.clock.domain",
        "string",
        "receive",
        "`realtime`, `boottime` (the offset is between the zeros of two logs), `mixed`",
    ),
    (
        "otelmig.clock.drift.assumed",
        "double",
        "receive",
        "largest relative rate of the two clocks that the bounds allow for (1e-6 = 1 ppm)",
    ),
    (
        "otelmig.clock.drift.required",
        "double",
        "receive",
        "smallest drift at which nothing contradicts, if that is more than was to be assumed",
    ),
    ("otelmig.clock.constraints", "int", "receive", "how many happens-before pairs the bounds rest on"),
    ("otelmig.clock.evidence.min", "string", "receive", "the two lines that the lower bound rests on"),
    ("otelmig.clock.evidence.max", "string", "receive", "the two lines that the upper bound rests on"),
    (
        "otelmig.clock.conflict.duration",
        "double, s",
        "receive",
        "by how much every constraint would have to be loosened for all to hold",
    ),
    ("otelmig.clock.conflict.excess", "double, s", "receive", "by how much the worst two exclude each other"),
    ("otelmig.clock.conflict.constraints", "int", "receive", "how many exclude at least one other"),
    ("otelmig.clock.evidence.conflict", "string[]", "receive", "the worst two, with their lines"),
    (
        "otelmig.clock.step.duration",
        "double, s",
        "receive",
        "the one step of a wall clock that explains the conflict; absent if it is known to one side only",
    ),
    ("otelmig.clock.step.min", "double, s", "receive", "proved lower bound of that step"),
    ("otelmig.clock.step.max", "double, s", "receive", "proved upper bound of that step"),
    ("otelmig.clock.evidence.step", "string[]", "receive", "the two lines between which it lies"),
    (
        "otelmig.clock.shift",
        "string",
        "receive",
        "ns added to the destination's stamps; raw = emitted - shift (an event stream counts from a zero of its own)",
    ),
    (
        "otelmig.clock.epoch.origin",
        "string",
        "root",
        (
            "where absolute time came from: `wallclock`, `partial_wallclock` (year, date or zone assumed), "
            "`peer_wallclock`, `anchor`, `receipt` (journal, syslog, container, statistics), `file_time`"
        ),
    ),
    (
        "otelmig.clock.epoch.shift",
        "string",
        "root",
        "ns added to the source's stamps (the destination's, if it stands alone)",
    ),
    (
        "otelmig.clock.epoch.uncertainty",
        "double, s",
        "root",
        "how far all times may be from the clock that `origin` names; absent where they are only known not to be later",
    ),
    ("otelmig.clock.resolution", "double, s", "root, receive", "width of the coarsest stamp of that side"),
    (
        "otelmig.clock.uncertainty",
        "double, s",
        "spans",
        "how far the worse of the two ends may be off, relative to the source's clock; absent where that is open",
    ),
    (
        "otelmig.time.start",
        "string",
        "spans",
        "the stamp that the start rests on, as printed; absent where it was computed, or is the other side's",
    ),
    ("otelmig.time.end", "string", "spans", "the same for the end"),
    ("otelmig.evidence.start", "string", "spans", "`FILE:LINE` that the start rests on"),
    ("otelmig.evidence.end", "string", "spans", "`FILE:LINE` that the end rests on"),
    ("otelmig.evidence.guest", "string", "root", "`FILE:LINE` that the guest's whereabouts rest on"),
    (
        "otelmig.evidence.completeness",
        "string",
        "root, spans",
        (
            "`full`, `partial` (a side or an end is missing), `inferred` (from stamps, not from printed times); "
            "absent on other spans that are `full`"
        ),
    ),
    (
        "otelmig.evidence.doubts",
        "string[]",
        "root",
        "what in the logs cannot be right: times that go back, printed durations that do not fit",
    ),
    (
        "otelmig.pairing.basis",
        "string",
        "root",
        (
            "the strongest evidence for the pair: `identity` (the same VM), `asserted` (by the caller), `endpoint` "
            "(the same port or socket), `clocks` (wall clocks that agree) or `assumed` (nothing names it)"
        ),
    ),
    (
        "otelmig.pairing.reasons",
        "string[]",
        "root",
        "why these two sides belong together, or why one stands alone",
    ),
    ("otelmig.link.kind", "string", "links", "`request`, `response`"),
    (
        "error.type",
        "string",
        "failing span, root",
        (
            "`convergence_timeout`, `connection_failed`, `socket_error`, `tls_error`, `config_rejected`, "
            "`pause_failed`, "
            "`snapshot_failed`, `restore_failed`, `resume_failed`, `send_failed`, `receive_failed`, `complete_failed`, "
            "`dirty_log_failed`, `postcopy_failed`, `peer_aborted`, `_OTHER`"
        ),
    ),
)


def version_attribute(system: str) -> str:
    """How the version of the hypervisor ``system`` is called."""
    return f"{system}.version"


def dialect_attribute(system: str) -> str:
    """How the releases of the hypervisor ``system`` that print what a log contains are called."""
    return f"{system}.log.dialect"


def attribute_table() -> str:
    """The table in Markdown, as the README shows it."""
    lines = ["| attribute | type | on | note |", "|---|---|---|---|"]
    lines += (f"| `{row.name}` | {row.type} | {row.on} | {row.note} |" for row in ATTRIBUTES)
    return "\n".join(lines)
