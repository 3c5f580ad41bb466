"""The span table: every span of a trace, what encloses it, whose resource it has, and the events that spans carry.

Names are constant, so that viewers can compare, search and aggregate; numbers live in attributes. The tree in the
documents is generated from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.span import SpanKind

__all__ = ["EVENTS", "SPANS", "EventName", "EventRow", "SpanName", "SpanRow", "event_table", "span_table"]


class SpanName(StrEnum):
    """The name of a span, which is also its ``vm.migration.phase``."""

    MIGRATION = "migration"
    SETUP = "setup"
    PRECOPY = "precopy"
    MEMORY_ITERATION = "memory iteration"
    DOWNTIME = "downtime"
    PAUSE = "pause"
    FINAL_DELTA = "final delta"
    SNAPSHOT = "snapshot"
    SEND = "send"
    COMPLETE = "complete"
    UNACCOUNTED = "unaccounted"
    BLACKOUT = "blackout"
    POSTCOPY = "postcopy"
    CLEANUP = "cleanup"
    ROLLBACK = "rollback"
    RECEIVE = "receive"
    RECEIVE_MEMORY = "receive memory"
    RESTORE = "restore"
    RECEIVE_STATE = "receive state"
    CREATE_VM = "create vm"
    RESTORE_DEVICES = "restore devices"
    RESUME = "resume"
    PREFAULT = "prefault"


class EventName(StrEnum):
    """The name of an instant on a span."""

    VM_PAUSED = "vm.paused"
    VM_RESUMED = "vm.resumed"
    DEVICE_PAUSED = "vm.device.paused"
    DEVICE_RESUMED = "vm.device.resumed"
    CONVERGED = "vm.migration.converged"
    FAILED = "vm.migration.failed"
    VCPU_WAITED_FOR = "vm.vcpu.waited_for"
    DEVICE_STATE = "vm.device.state_changed"
    DEVICE_RESET = "vm.device.reset"
    DEVICE_LEFT = "vm.device.not_resumed"
    DISK_LOCKED = "vm.disk.locked"
    PAGER_FAILED = "vm.memory.pager_failed"
    NETWORK_NOT_TOLD = "vm.network.not_told"
    CLOCK_NOT_SET = "vm.clock.not_set"


class SpanRow(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: SpanName
    parents: tuple[SpanName, ...]
    """Each parent that it can have; none for the root."""
    role: Role
    """Whose resource it has."""
    kind: SpanKind
    note: str


_SOURCE: Final = Role.SOURCE
_DESTINATION: Final = Role.DESTINATION


def _row(
    name: SpanName, parents: tuple[SpanName, ...], role: Role, note: str, kind: SpanKind = SpanKind.INTERNAL
) -> SpanRow:
    return SpanRow(name=name, parents=parents, role=role, kind=kind, note=note)


SPANS: Final = (
    _row(
        SpanName.MIGRATION,
        (),
        _SOURCE,
        "the root; encloses everything below (INTERNAL, with the destination's resource, where the source is missing)",
        SpanKind.CLIENT,
    ),
    _row(SpanName.SETUP, (SpanName.MIGRATION,), _SOURCE, "connect, TLS, the requests before memory"),
    _row(SpanName.PRECOPY, (SpanName.MIGRATION,), _SOURCE, "memory is copied while the guest runs"),
    _row(SpanName.MEMORY_ITERATION, (SpanName.PRECOPY,), _SOURCE, "one for each memory iteration while the guest runs"),
    _row(
        SpanName.DOWNTIME,
        (SpanName.MIGRATION,),
        _SOURCE,
        "as the hypervisor defines it: from the pause to the acknowledgement that the guest was resumed",
    ),
    _row(SpanName.PAUSE, (SpanName.DOWNTIME,), _SOURCE, "vCPUs and devices stop"),
    _row(SpanName.FINAL_DELTA, (SpanName.DOWNTIME,), _SOURCE, "the last memory, with the guest paused"),
    _row(SpanName.SNAPSHOT, (SpanName.DOWNTIME,), _SOURCE, "the state of vCPUs and devices is taken"),
    _row(SpanName.SEND, (SpanName.DOWNTIME,), _SOURCE, "the state is sent, the destination restores it"),
    _row(SpanName.COMPLETE, (SpanName.DOWNTIME,), _SOURCE, "the destination resumes the guest and says so"),
    _row(
        SpanName.UNACCOUNTED,
        (SpanName.DOWNTIME, SpanName.MIGRATION),
        _SOURCE,
        "what nothing accounts for; at the end of the root, the wait for the destination's last word",
    ),
    _row(SpanName.BLACKOUT, (SpanName.MIGRATION,), _SOURCE, "the vCPUs stand still: across both hosts, with bounds"),
    _row(SpanName.POSTCOPY, (SpanName.MIGRATION,), _SOURCE, "pages are served until all are there (postcopy only)"),
    _row(SpanName.CLEANUP, (SpanName.MIGRATION,), _SOURCE, "what the migration held is released"),
    _row(SpanName.ROLLBACK, (SpanName.MIGRATION,), _SOURCE, "the guest is resumed after a failure in the downtime"),
    _row(
        SpanName.RECEIVE,
        (SpanName.MIGRATION,),
        _DESTINATION,
        "the destination's part; the one CLIENT -> SERVER edge between the hosts",
        SpanKind.SERVER,
    ),
    _row(SpanName.RECEIVE_MEMORY, (SpanName.RECEIVE,), _DESTINATION, "one for each request with memory"),
    _row(
        SpanName.RESTORE,
        (SpanName.SEND, SpanName.RECEIVE),
        _DESTINATION,
        "the state is received and the VM built from it",
    ),
    _row(SpanName.RECEIVE_STATE, (SpanName.RESTORE,), _DESTINATION, "until the configuration is there"),
    _row(SpanName.CREATE_VM, (SpanName.RESTORE,), _DESTINATION, "from the configuration to the restore of devices"),
    _row(SpanName.RESTORE_DEVICES, (SpanName.RESTORE,), _DESTINATION, "vCPUs and devices get their state"),
    _row(SpanName.RESUME, (SpanName.COMPLETE, SpanName.RECEIVE), _DESTINATION, "vCPUs and devices start"),
    _row(SpanName.PREFAULT, (SpanName.RECEIVE,), _DESTINATION, "missing pages are fetched (postcopy only)"),
)
"""Every span, in the order in which the documents show them."""


def span_table() -> str:
    """Return the table in Markdown, as the documents show it."""
    lines = ["| span | parent | resource | kind | what it is |", "|---|---|---|---|---|"]
    for row in SPANS:
        parents = ", ".join(f"`{parent}`" for parent in row.parents) or "none"
        lines.append(f"| `{row.name}` | {parents} | {row.role} | {row.kind} | {row.note} |")
    return "\n".join(lines)


class EventRow(Struct, frozen=True, kw_only=True):
    """One row of the table of events."""

    name: EventName
    on: tuple[SpanName, ...]
    """Each span that can have it; none where it stands on the shortest span within which it was."""
    note: str
    attributes: tuple[str, ...] = ()


EVENTS: Final = (
    EventRow(name=EventName.VM_PAUSED, on=(SpanName.PAUSE, SpanName.DOWNTIME), note="the guest is said to be paused"),
    EventRow(name=EventName.VM_RESUMED, on=(SpanName.RESUME, SpanName.RECEIVE), note="the guest is said to run again"),
    EventRow(
        name=EventName.DEVICE_PAUSED,
        on=(SpanName.PAUSE,),
        note="a device of the guest is paused",
        attributes=(names.VM_DEVICE_TYPE,),
    ),
    EventRow(
        name=EventName.DEVICE_RESUMED,
        on=(SpanName.RESUME,),
        note="a device of the guest is resumed",
        attributes=(names.VM_DEVICE_TYPE,),
    ),
    EventRow(
        name=EventName.CONVERGED,
        on=(SpanName.PRECOPY,),
        note="the source stops iterating over memory, and why",
        attributes=(names.VM_MIGRATION_CONVERGENCE_REASON,),
    ),
    EventRow(
        name=EventName.FAILED,
        on=(SpanName.MIGRATION,),
        note="the first sign that the attempt failed",
        attributes=(names.ERROR_TYPE,),
    ),
    EventRow(
        name=EventName.VCPU_WAITED_FOR,
        on=(SpanName.PAUSE,),
        note="the pause waits for the thread of a vCPU",
        attributes=(names.VM_VCPU_WAIT_DURATION, names.VM_VCPU_WAIT_COUNT),
    ),
    EventRow(
        name=EventName.DEVICE_STATE,
        on=(),
        note="a passed-through device is told to change its state for the migration",
        attributes=(names.VM_DEVICE_STATE,),
    ),
    EventRow(
        name=EventName.DEVICE_RESET, on=(), note="a passed-through device cannot say in which state it is, and is reset"
    ),
    EventRow(name=EventName.DEVICE_LEFT, on=(), note="a device is not resumed with the others"),
    EventRow(name=EventName.DISK_LOCKED, on=(), note="a disk cannot be locked: somebody else still holds it"),
    EventRow(name=EventName.PAGER_FAILED, on=(), note="pages that the guest lacks cannot be fetched any more"),
    EventRow(name=EventName.NETWORK_NOT_TOLD, on=(), note="the network was not told that the guest is on another host"),
    EventRow(name=EventName.CLOCK_NOT_SET, on=(), note="the clock of a vCPU could not be set as it was on the source"),
)
"""Every event, in the order in which the documents show them."""


def event_table() -> str:
    """Return the table of events in Markdown, as the documents show it."""
    lines = ["| event | on | attributes | what it is |", "|---|---|---|---|"]
    for row in EVENTS:
        on = ", ".join(f"`{span}`" for span in row.on) or "the shortest span within which it was"
        lines.append(f"| `{row.name}` | {on} | {', '.join(f'`{name}`' for name in row.attributes)} | {row.note} |")
    return "\n".join(lines)
