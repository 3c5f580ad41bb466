"""The attribute table: every name that a trace uses, once.

Names follow OpenTelemetry's conventions: seconds are doubles, sizes are bytes, units never stand in names, and no
name is also the prefix of another. Stability: development. The table of docs/trace.md is generated from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from otelmig.announcement import ClientResult
from otelmig.clock.epoch import EpochOrigin
from otelmig.migration.facts import ConvergenceReason, ErrorType, Fate
from otelmig.migration.side import Mode, Result, Role
from otelmig.migration.url import Transport
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ATTRIBUTES",
    "ESTIMATED_ORIGINS",
    "MIXED_CLOCKS",
    "NAMESPACE",
    "SCHEMA_URL",
    "SCOPE_NAME",
    "Attribute",
    "ClockBasis",
    "Completeness",
    "GuestLocation",
    "HostOrigin",
    "LinkKind",
    "attribute_table",
    "dialect_attribute",
    "version_attribute",
]

SCOPE_NAME: Final = "otelmig"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""The version of OpenTelemetry's conventions from which the general attributes are taken."""
NAMESPACE: Final = "vm-migration"
ESTIMATED_ORIGINS: Final = frozenset(str(origin) for origin in EpochOrigin if origin.is_estimate)
"""The values of ``otelmig.clock.epoch.origin`` of traces whose absolute time is only an estimate."""


class Completeness(StrEnum):
    """What a span rests on."""

    FULL = "full"
    PARTIAL = "partial"
    """A side or an end is missing."""
    INFERRED = "inferred"
    """Stamps, not printed times."""


class GuestLocation(StrEnum):
    """Where the guest is after a migration."""

    SOURCE = "source"
    DESTINATION = "destination"
    BOTH = "both"
    """The source runs it again, and so does the destination: each has a guest that takes itself for the only one."""
    NONE = "none"
    """It is gone."""
    UNKNOWN = "unknown"


class ClockBasis(StrEnum):
    """What the bounds of the clock offset rest on."""

    PROVED = "proved"
    """What must happen before what."""
    BELIEVED = "believed"
    """A time service's claim of its own clock, too."""


class HostOrigin(StrEnum):
    """Where the attributes ``host.*`` of a resource come from."""

    OPTION = "option"
    TRANSPORT = "transport"
    DESTINATION_URL = "destination_url"


class LinkKind(StrEnum):
    """How a span is related to another one that is neither its parent nor its child."""

    REQUEST = "request"
    RESPONSE = "response"
    PART = "part"
    PREVIOUS_ATTEMPT = "previous attempt"
    REQUESTED_BY = "requested by"
    """One of several spans that may have asked for the migration."""
    OTHER_SIDE = "other side"
    """The other side of the migration, whose trace had been exported before this side was there."""


MIXED_CLOCKS: Final = "mixed"
"""``otelmig.clock.domain`` where one side has a wall clock and the other counts from its process's start."""


def _values(members: Iterable[StrEnum]) -> str:
    """Return the values of a closed set, as the notes list them."""
    return ", ".join(f"`{member}`" for member in members)


class Attribute(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    type: str
    on: str
    note: str


_TABLE: list[Attribute] = []


def _attribute(name: str, type_: str, on: str, note: str) -> str:
    """Add a row to the table; the result is the attribute's name."""
    _TABLE.append(Attribute(name=name, type=type_, on=on, note=note))
    return name


SERVICE_NAME: Final = _attribute("service.name", "string", "resources", "`migration-source` or `migration-destination`")
SERVICE_NAMESPACE: Final = _attribute("service.namespace", "string", "resources", "`vm-migration`")
SERVICE_VERSION: Final = _attribute(
    "service.version",
    "string",
    "resources",
    "the hypervisor's version, if its log prints it",
)
SERVICE_INSTANCE_ID: Final = _attribute(
    "service.instance.id",
    "string",
    "resources",
    "a UUID of the service's name and the host's id (else its name); only where a host is known",
)
HOST_NAME: Final = _attribute(
    "host.name",
    "string",
    "resources",
    "only where it is known: from the caller, the journal or syslog",
)
HOST_ID: Final = _attribute("host.id", "string", "resources", "the machine id, where the journal carries it")
HOST_IP: Final = _attribute(
    "host.ip",
    "string[]",
    "destination's resource",
    "from the destination URL, unless it is a loopback address",
)
OTELMIG_HOST_ORIGIN: Final = _attribute(
    "otelmig.host.origin",
    "string",
    "resources",
    f"where `host.*` came from: {_values(HostOrigin)}",
)
VM_MIGRATION_ROLE: Final = _attribute("vm.migration.role", "string", "resources", _values(Role))
CLOUD_HYPERVISOR_VERSION: Final = _attribute("cloud_hypervisor.version", "string", "resources", "as printed")
CLOUD_HYPERVISOR_LOG_DIALECT: Final = _attribute(
    "cloud_hypervisor.log.dialect",
    "string",
    "resources",
    "the releases that print what the log contains",
)
VM_ID: Final = _attribute("vm.id", "string", "root, receive, request", "the VM's configured UUID")
VM_NAME: Final = _attribute("vm.name", "string", "request", "as the caller calls it")
VM_MEMORY_SIZE: Final = _attribute("vm.memory.size", "int, By", "root, receive", "configured")
VM_VCPU_COUNT: Final = _attribute("vm.vcpu.count", "int", "root, receive", "configured")
VM_MIGRATION_ID: Final = _attribute(
    "vm.migration.id", "string", "root, request", "the orchestrator's id, where the caller gave one"
)
VM_MIGRATION_SYSTEM_NAME: Final = _attribute(
    "vm.migration.system.name", "string", "root, request", "`cloud_hypervisor`"
)
VM_MIGRATION_MODE: Final = _attribute("vm.migration.mode", "string", "root, request", _values(Mode))
VM_MIGRATION_VM_WAS_PAUSED: Final = _attribute(
    "vm.migration.vm_was_paused",
    "bool",
    "root",
    "the guest was paused before the migration and stays paused; absent if no line says whether it was",
)
VM_MIGRATION_RESULT: Final = _attribute(
    "vm.migration.result",
    "string",
    "root",
    f"{_values(Result)} (the evidence stops)",
)
VM_MIGRATION_CLIENT_RESULT: Final = _attribute(
    "vm.migration.client.result",
    "string",
    "request",
    f"how the caller's part ended, not the migration: {_values(ClientResult)}",
)
VM_MIGRATION_ATTEMPT: Final = _attribute(
    "vm.migration.attempt",
    "int",
    "root",
    "counts the attempts of the source's process, from 1",
)
VM_MIGRATION_GUEST_LOCATION: Final = _attribute(
    "vm.migration.guest.location",
    "string",
    "root",
    f"where the guest is after it: {_values(GuestLocation)}",
)
VM_MIGRATION_GUEST_RUNNING: Final = _attribute(
    "vm.migration.guest.running",
    "bool",
    "root",
    "whether it runs there; absent if that is not known",
)
VM_MIGRATION_GUEST_UNDISTURBED: Final = _attribute(
    "vm.migration.guest.undisturbed",
    "bool",
    "root",
    "true if the migration is known to have ended without stopping the guest; else absent",
)
VM_MIGRATION_GUEST_FATE: Final = _attribute(
    "vm.migration.guest.fate",
    "string",
    "root",
    f"what became of it there, unasked, within a minute: {_values(Fate)}; absent if nothing did, or no line says so",
)
VM_MIGRATION_GUEST_CAUSE: Final = _attribute(
    "vm.migration.guest.cause", "string", "root", "what the hypervisor says of that, redacted"
)
VM_MIGRATION_GUEST_UPTIME: Final = _attribute(
    "vm.migration.guest.uptime.duration", "double, s", "root", "how long it had run there by then"
)
VM_MIGRATION_SOURCE_HOST_NAME: Final = _attribute(
    "vm.migration.source.host.name", "string", "root, request", "`host.name` of the source, where it is known"
)
VM_MIGRATION_DESTINATION_HOST_NAME: Final = _attribute(
    "vm.migration.destination.host.name", "string", "root, request", "`host.name` of the destination, where it is known"
)
VM_MIGRATION_PHASE: Final = _attribute(
    "vm.migration.phase",
    "string",
    "every span",
    "the span's name, for queries that need no name match",
)
NETWORK_TRANSPORT: Final = _attribute("network.transport", "string", "root, receive, request", _values(Transport))
SERVER_ADDRESS: Final = _attribute(
    "server.address", "string", "root, receive, request", "the destination, from its URL"
)
SERVER_PORT: Final = _attribute("server.port", "int", "root, receive, request", "from the destination URL")
TLS_ESTABLISHED: Final = _attribute("tls.established", "bool", "root", "whether the connection is encrypted")
VM_MIGRATION_CONNECTION_COUNT: Final = _attribute(
    "vm.migration.connection.count",
    "int",
    "root",
    "connections that carry memory",
)
VM_MIGRATION_PROTOCOL_VERSION: Final = _attribute("vm.migration.protocol.version", "int", "root", "")
VM_MIGRATION_CONVERGENCE_REASON: Final = _attribute(
    "vm.migration.convergence.reason", "string", "precopy", _values(ConvergenceReason)
)
VM_MIGRATION_TIMEOUT_DURATION: Final = _attribute(
    "vm.migration.timeout.duration",
    "double, s",
    "root",
    "the configured timeout",
)
VM_MIGRATION_TIMEOUT_STRATEGY: Final = _attribute(
    "vm.migration.timeout.strategy",
    "string",
    "root",
    "`cancel`, `ignore`",
)
VM_MIGRATION_DOWNTIME_TARGET: Final = _attribute(
    "vm.migration.downtime.target",
    "double, s",
    "root, downtime",
    "the hypervisor's target",
)
VM_MIGRATION_DOWNTIME_DURATION: Final = _attribute(
    "vm.migration.downtime.duration",
    "double, s",
    "root, downtime",
    "the hypervisor's own word; absent where it says none",
)
VM_MIGRATION_DOWNTIME_TARGET_MISSED: Final = _attribute(
    "vm.migration.downtime.target_missed",
    "bool",
    "root, downtime",
    "whether the printed downtime is over the target of the same migration; absent where either is not printed",
)
VM_MIGRATION_DOWNTIME_ESTIMATED: Final = _attribute(
    "vm.migration.downtime.estimated",
    "double, s",
    "memory iteration, precopy",
    "the hypervisor's estimate at that point",
)
VM_MIGRATION_DOWNTIME_OPEN: Final = _attribute(
    "vm.migration.downtime.open",
    "bool",
    "downtime",
    "true where the source does not log the end: drawn until the guest ran, else until the log stops",
)
VM_MIGRATION_DOWNTIME_MAX: Final = _attribute(
    "vm.migration.downtime.max",
    "double, s",
    "downtime",
    "the most that an open downtime can have been; absent where nothing bounds it",
)
VM_MIGRATION_DOWNTIME_FINAL_DELTA_DURATION: Final = _attribute(
    "vm.migration.downtime.final_delta.duration",
    "double, s",
    "downtime",
    "printed part, truncated to ms",
)
VM_MIGRATION_DOWNTIME_SNAPSHOT_DURATION: Final = _attribute(
    "vm.migration.downtime.snapshot.duration",
    "double, s",
    "downtime",
    "printed part, truncated to ms",
)
VM_MIGRATION_DOWNTIME_SEND_DURATION: Final = _attribute(
    "vm.migration.downtime.send.duration",
    "double, s",
    "downtime",
    "printed part, truncated to ms",
)
VM_MIGRATION_DOWNTIME_COMPLETE_DURATION: Final = _attribute(
    "vm.migration.downtime.complete.duration",
    "double, s",
    "downtime",
    "printed part, truncated to ms",
)
VM_MIGRATION_DOWNTIME_UNACCOUNTED_DURATION: Final = _attribute(
    "vm.migration.downtime.unaccounted.duration",
    "double, s",
    "downtime",
    "sum of its `unaccounted` children",
)
VM_MIGRATION_DURATION: Final = _attribute("vm.migration.duration", "double, s", "root", "as printed")
VM_MIGRATION_LOGGING_DURATION: Final = _attribute(
    "vm.migration.logging.duration",
    "double, s",
    "root",
    "what writing the log added to the downtime",
)
VM_MIGRATION_MEMORY_ITERATION_INDEX: Final = _attribute(
    "vm.migration.memory.iteration.index",
    "int",
    "memory iteration, receive memory",
    "from 0",
)
VM_MIGRATION_MEMORY_ITERATION_SIZE: Final = _attribute(
    "vm.migration.memory.iteration.size",
    "int, By",
    "memory iteration, final delta",
    "printed, rounded up to MiB",
)
VM_MIGRATION_MEMORY_ITERATION_COUNT: Final = _attribute(
    "vm.migration.memory.iteration.count",
    "int",
    "root",
    "completed iterations while the guest ran; absent where a lost line leaves open whether there was one more",
)
VM_MIGRATION_MEMORY_SIZE: Final = _attribute(
    "vm.migration.memory.size",
    "int, By",
    "root",
    "all memory sent, rounded up to MiB",
)
VM_MIGRATION_MEMORY_CUMULATIVE_SIZE: Final = _attribute(
    "vm.migration.memory.cumulative_size",
    "int, By",
    "memory iteration, final delta",
    "sent so far",
)
VM_MIGRATION_MEMORY_BANDWIDTH: Final = _attribute(
    "vm.migration.memory.bandwidth",
    "double, By/s",
    "memory iteration, final delta",
    "of this transfer",
)
VM_MIGRATION_MEMORY_AVERAGE_BANDWIDTH: Final = _attribute(
    "vm.migration.memory.average_bandwidth",
    "double, By/s",
    "memory iteration, final delta",
    "since copying began",
)
VM_MIGRATION_MEMORY_DIRTY_RATE: Final = _attribute(
    "vm.migration.memory.dirty_rate",
    "double, By/s",
    "memory iteration",
    "memory written by the guest during the iteration",
)
VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: Final = _attribute(
    "vm.migration.memory.dirty_rate_method",
    "string",
    "memory iteration",
    "`printed`, `dirty_table` (its logged lines) or `next_iteration_size` (rounded up to MiB: up to 7x off for "
    "small iterations)",
)
VM_VCPU_THROTTLE_RATIO: Final = _attribute(
    "vm.vcpu.throttle_ratio",
    "double",
    "memory iteration",
    "by how much vCPUs were slowed down (Cyberus fork)",
)
VM_MIGRATION_MEMORY_TRANSFER_DURATION: Final = _attribute(
    "vm.migration.memory.transfer.duration",
    "double, s",
    "memory iteration, final delta",
    "without the overhead",
)
VM_MIGRATION_MEMORY_OVERHEAD_DURATION: Final = _attribute(
    "vm.migration.memory.overhead.duration",
    "double, s",
    "memory iteration, final delta",
    "the iteration without its transfer",
)
VM_MIGRATION_BLACKOUT_DURATION: Final = _attribute(
    "vm.migration.blackout.duration",
    "double, s",
    "root, blackout",
    "vCPUs stood still: the estimate",
)
VM_MIGRATION_BLACKOUT_MIN: Final = _attribute(
    "vm.migration.blackout.min",
    "double, s",
    "root, blackout",
    "proved lower bound",
)
VM_MIGRATION_BLACKOUT_MAX: Final = _attribute(
    "vm.migration.blackout.max",
    "double, s",
    "root, blackout",
    "proved upper bound",
)
VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC: Final = _attribute(
    "vm.migration.blackout.width.semantic",
    "double, s",
    "root, blackout",
    "how much of max - min is there because neither instant is printed",
)
VM_MIGRATION_BLACKOUT_WIDTH_CLOCK: Final = _attribute(
    "vm.migration.blackout.width.clock",
    "double, s",
    "root, blackout",
    "the rest of it: rounding, offset, drift",
)
VM_MIGRATION_DOWNTIME_EXCESS_DURATION: Final = _attribute(
    "vm.migration.downtime.excess.duration",
    "double, s",
    "root, blackout",
    "by how much the printed downtime exceeds the blackout: the estimate",
)
VM_MIGRATION_DOWNTIME_EXCESS_MIN: Final = _attribute(
    "vm.migration.downtime.excess.min",
    "double, s",
    "root, blackout",
    "proved lower bound",
)
VM_MIGRATION_DOWNTIME_EXCESS_MAX: Final = _attribute(
    "vm.migration.downtime.excess.max",
    "double, s",
    "root, blackout",
    "proved upper bound",
)
VM_MIGRATION_STATE_TRANSFER_DURATION: Final = _attribute(
    "vm.migration.state.transfer.duration",
    "double, s",
    "root",
    "the state's way to the destination, first byte written to last byte read: middle of what is possible",
)
VM_MIGRATION_STATE_TRANSFER_MIN: Final = _attribute(
    "vm.migration.state.transfer.min",
    "double, s",
    "root",
    "what the destination alone measured of it",
)
VM_MIGRATION_STATE_TRANSFER_MAX: Final = _attribute(
    "vm.migration.state.transfer.max",
    "double, s",
    "root",
    "proved upper bound",
)
VM_MIGRATION_RESTORE_WITH_WAIT: Final = _attribute(
    "vm.migration.restore.with_wait",
    "bool",
    "restore",
    "true where the printed length begins with the wait for the state, so that it is no part of `send`",
)
VM_DEVICE_STATE: Final = _attribute(
    "vm.device.state", "string", "events", "the state that a passed-through device was told to take on"
)
VM_VCPU_WAIT_DURATION: Final = _attribute(
    "vm.vcpu.wait.duration",
    "double, s",
    "pause, events",
    "how long the pause waited for a vCPU, as printed last",
)
VM_VCPU_WAIT_COUNT: Final = _attribute("vm.vcpu.wait.count", "int", "pause, events", "how often it said so")
VM_DEVICE_TYPE: Final = _attribute(
    "vm.device.type",
    "string",
    "events",
    "the device of `vm.device.paused` and `vm.device.resumed`",
)
OTELMIG_CLOCK_STATUS: Final = _attribute(
    "otelmig.clock.status",
    "string",
    "root, receive",
    "`bounded`, `assumed` (bounded if these two belong together: a wall clock and a boot clock), `one_sided`, "
    "`conflict` (no offset fits), `unsynced`",
)
OTELMIG_CLOCK_OFFSET_ESTIMATE: Final = _attribute(
    "otelmig.clock.offset.estimate",
    "double, s",
    "receive",
    "destination minus source at the end of the downtime; absent where no interval is proved",
)
OTELMIG_CLOCK_BASIS: Final = _attribute(
    "otelmig.clock.basis",
    "string",
    "receive",
    "what the bounds rest on: `proved` (by what must come first), `believed` (a time service's claim, too)",
)
OTELMIG_CLOCK_OFFSET_MIN: Final = _attribute("otelmig.clock.offset.min", "double, s", "receive", "proved lower bound")
OTELMIG_CLOCK_OFFSET_MAX: Final = _attribute("otelmig.clock.offset.max", "double, s", "receive", "proved upper bound")
OTELMIG_CLOCK_DOMAIN: Final = _attribute(
    "otelmig.clock.domain",
    "string",
    "receive",
    "`realtime`, `boottime` (the offset is between the zeros of two logs), `mixed`",
)
OTELMIG_CLOCK_DRIFT_ASSUMED: Final = _attribute(
    "otelmig.clock.drift.assumed",
    "double",
    "receive",
    "largest relative rate of the two clocks that the bounds allow for (1e-6 = 1 ppm)",
)
OTELMIG_CLOCK_DRIFT_REQUIRED: Final = _attribute(
    "otelmig.clock.drift.required",
    "double",
    "receive",
    "smallest drift at which nothing contradicts, if that is more than was to be assumed",
)
OTELMIG_CLOCK_CONSTRAINT_COUNT: Final = _attribute(
    "otelmig.clock.constraint.count",
    "int",
    "receive",
    "how many happens-before pairs the bounds rest on",
)
OTELMIG_CLOCK_EVIDENCE_MIN: Final = _attribute(
    "otelmig.clock.evidence.min",
    "string",
    "receive",
    "the two lines that the lower bound rests on",
)
OTELMIG_CLOCK_EVIDENCE_MAX: Final = _attribute(
    "otelmig.clock.evidence.max",
    "string",
    "receive",
    "the two lines that the upper bound rests on",
)
OTELMIG_CLOCK_CONFLICT_DURATION: Final = _attribute(
    "otelmig.clock.conflict.duration",
    "double, s",
    "receive",
    "by how much every constraint would have to be loosened for all to hold",
)
OTELMIG_CLOCK_CONFLICT_EXCESS: Final = _attribute(
    "otelmig.clock.conflict.excess",
    "double, s",
    "receive",
    "by how much the worst two exclude each other",
)
OTELMIG_CLOCK_CONFLICT_CONSTRAINT_COUNT: Final = _attribute(
    "otelmig.clock.conflict.constraint.count",
    "int",
    "receive",
    "how many exclude at least one other",
)
OTELMIG_CLOCK_EVIDENCE_CONFLICTS: Final = _attribute(
    "otelmig.clock.evidence.conflicts",
    "string[]",
    "receive",
    "the worst two, with their lines",
)
OTELMIG_CLOCK_STEP_DURATION: Final = _attribute(
    "otelmig.clock.step.duration",
    "double, s",
    "receive",
    "the one step of a wall clock that explains the conflict; absent if it is known to one side only",
)
OTELMIG_CLOCK_STEP_MIN: Final = _attribute(
    "otelmig.clock.step.min",
    "double, s",
    "receive",
    "proved lower bound of that step",
)
OTELMIG_CLOCK_STEP_MAX: Final = _attribute(
    "otelmig.clock.step.max",
    "double, s",
    "receive",
    "proved upper bound of that step",
)
OTELMIG_CLOCK_EVIDENCE_STEPS: Final = _attribute(
    "otelmig.clock.evidence.steps",
    "string[]",
    "receive",
    "the two lines between which it lies",
)
OTELMIG_CLOCK_CLAMP_DURATION: Final = _attribute(
    "otelmig.clock.clamp.duration",
    "double, s",
    "restore, resume",
    "how far it was moved, within what is known of the clocks, to lie inside the request that asked for it",
)
OTELMIG_CLOCK_SHIFT: Final = _attribute(
    "otelmig.clock.shift",
    "string",
    "receive",
    "ns added to the destination's timestamps; raw = emitted - shift (an event stream counts from a zero of its own)",
)
OTELMIG_CLOCK_EPOCH_ORIGIN: Final = _attribute(
    "otelmig.clock.epoch.origin",
    "string",
    "root",
    "where absolute time came from: `wallclock`, `partial_wallclock` (year, date or zone assumed), "
    "`peer_wallclock`, `anchor`, `receipt` (journal, syslog, container, statistics), `file_time`",
)
OTELMIG_CLOCK_EPOCH_SHIFT: Final = _attribute(
    "otelmig.clock.epoch.shift",
    "string",
    "root",
    "ns added to the source's timestamps (the destination's, if it stands alone)",
)
OTELMIG_CLOCK_EPOCH_UNCERTAINTY: Final = _attribute(
    "otelmig.clock.epoch.uncertainty",
    "double, s",
    "root",
    "how far all times may be from the clock that `origin` names; absent where they are only known not to be later",
)
OTELMIG_CLOCK_RESOLUTION: Final = _attribute(
    "otelmig.clock.resolution",
    "double, s",
    "root, receive",
    "width of the coarsest timestamp of that side",
)
OTELMIG_CLOCK_UNCERTAINTY: Final = _attribute(
    "otelmig.clock.uncertainty",
    "double, s",
    "spans",
    "how far the worse of the two ends may be off, relative to the source's clock; absent where that is open",
)
OTELMIG_TIME_START: Final = _attribute(
    "otelmig.time.start",
    "string",
    "spans",
    "the timestamp that the start rests on, as printed; absent where it was computed, or is the other side's",
)
OTELMIG_TIME_END: Final = _attribute("otelmig.time.end", "string", "spans", "the same for the end")
OTELMIG_EVIDENCE_START: Final = _attribute(
    "otelmig.evidence.start",
    "string",
    "spans",
    "`FILE:LINE` that the start rests on",
)
OTELMIG_EVIDENCE_END: Final = _attribute("otelmig.evidence.end", "string", "spans", "`FILE:LINE` that the end rests on")
OTELMIG_EVIDENCE_GUEST: Final = _attribute(
    "otelmig.evidence.guest",
    "string",
    "root",
    "`FILE:LINE` that the guest's whereabouts rest on; two of them if it is on both hosts",
)
OTELMIG_EVIDENCE_FATE: Final = _attribute(
    "otelmig.evidence.fate",
    "string",
    "root",
    "`FILE:LINE` that the guest's fate rests on",
)
OTELMIG_EVIDENCE_COMPLETENESS: Final = _attribute(
    "otelmig.evidence.completeness",
    "string",
    "root, spans",
    "`full`, `partial` (a side or an end is missing), `inferred` (from timestamps, not from printed times); absent "
    "on other spans that are `full`",
)
OTELMIG_EVIDENCE_DOUBTS: Final = _attribute(
    "otelmig.evidence.doubts",
    "string[]",
    "root",
    "what in the logs cannot be right: times that go back, printed durations that do not fit, lines or events that are "
    "missing",
)
OTELMIG_PAIRING_BASIS: Final = _attribute(
    "otelmig.pairing.basis",
    "string",
    "root",
    "the strongest evidence for the pair: `identity` (the same VM), `asserted` (by the caller), `endpoint` "
    "(the same port or socket), `clocks` (they agree on what time it was) or `assumed` (nothing names it)",
)
OTELMIG_PAIRING_DOUBT: Final = _attribute(
    "otelmig.pairing.doubt",
    "string",
    "root",
    "how little names the pair: what is proved of it is proved only if these two belong together",
)
OTELMIG_PAIRING_REASONS: Final = _attribute(
    "otelmig.pairing.reasons",
    "string[]",
    "root",
    "why these two sides belong together, or why one stands alone",
)
OTELMIG_LINK_KIND: Final = _attribute("otelmig.link.kind", "string", "links", _values(LinkKind))
ERROR_TYPE: Final = _attribute(
    "error.type", "string", "failing span, root, request", f"{_values(ErrorType)}; on a request, the exception's class"
)

ATTRIBUTES: Final = tuple(_TABLE)
"""Every row, in the order in which the documents show them."""


def version_attribute(system: str) -> str:
    """Return how the version of the hypervisor ``system`` is called."""
    return f"{system}.version"


def dialect_attribute(system: str) -> str:
    """Return how the releases of the hypervisor ``system`` that print what a log contains are called."""
    return f"{system}.log.dialect"


def attribute_table() -> str:
    """Return the table in Markdown, as the documents show it."""
    lines = ["| attribute | type | on | note |", "|---|---|---|---|"]
    lines += (f"| `{row.name}` | {row.type} | {row.on} | {row.note} |" for row in ATTRIBUTES)
    return "\n".join(lines)
