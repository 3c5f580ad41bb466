"""The message table: what Cloud Hypervisor prints about a migration -> what that means.

One row per message and form, in the order of a migration: process, source, destination, both, and what is known and
needed by no trace. A row names the releases that print it (from the tagged sources), by its
:class:`~otelmig.hypervisors.cloud_hypervisor.kinds.Kind` the moment that it marks, and whose last word it is, if
nothing that comes more than a moment after it changes the trace (every prefix of the recordings was read).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otelmig.hypervisors.cloud_hypervisor.failures import command_error_type, error_type
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.reading.message_form import COMMANDS, VM_CALLS, Row
from otelmig.hypervisors.cloud_hypervisor.reading.vm_config import vm_config_values
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, DRAFT, FORK, LastWord, Releases, since, until
from otelmig.migration.facts import ErrorType
from otelmig.migration.incident import IncidentKind
from otelmig.migration.side import Role, SideState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.migration.observation import Value

__all__ = ["FAMILIES", "TABLE"]

_V36_37: Final = until("v37.0")
_V36_40: Final = until("v40.0")
_V36_49: Final = until("v49.0")
_V36_51: Final = until("v51.0")
_V36_52: Final = until("v52.0")
_V38_51: Final = until("v51.0", first="v38.0")
_V43: Final = since("v43.0")
_V50: Final = since("v50.0")
_V52: Final = since("v52.0")
_V52_ONLY: Final = until("v52.0", first="v52.0")
_V51_52: Final = until("v52.0", first="v51.0")  # builds between the two, whose wording neither has
_V53: Final = since("v53.0")
_V53_ONLY: Final = until("v53.0", first="v53.0")
_HEAD: Final = since("HEAD")

_SOURCE_LAST: Final = LastWord(role=Role.SOURCE, releases=ALL)
_DESTINATION_LAST: Final = LastWord(role=Role.DESTINATION, releases=ALL)
_DESTINATION_MAYBE_LAST: Final = LastWord(role=Role.DESTINATION, releases=_V36_49, state=SideState.ASK_PARTNER)
"""Until v49 a destination resumes one device after the other, and nothing says which is the last."""

_CONTEXT: Final = (
    "bw={bandwidth:mib_per_s}MiB/s "
    "transfer={transfer_ns:decimal_s}s overhead={overhead_ns:ms}ms est_downtime={estimate_ns:ms}ms "
    "elapsed={elapsed_ns:decimal_s}s avg_bw={average_bandwidth:mib_per_s}MiB/s"
)
_FIGURES: Final = f"iter={{iteration:int}} curr={{size_bytes:mib}}MiB total={{total_bytes:mib}}MiB {_CONTEXT}"
"""What v52.0 on prints of a memory iteration; sizes are rounded up to MiB, milliseconds are truncated."""
_FORK_FIGURES: Final = (
    "throttle={throttle:percent}%,size={size_bytes:mib}MiB,dirtyrate={dirty_rate:pages_per_s}pps,"
    "bandwidth={bandwidth:mib_s}MiBs,downtime(expected)={estimate_ns:ms}ms"
)
_SEND: Final = (
    "API request event: VmSendMigration VmSendMigrationData { destination_url: {url:quoted}, local: {local:bool}"
)
_RECEIVE: Final = "API request event: VmReceiveMigration VmReceiveMigrationData { receiver_url: {url:quoted}"
_LIMITS: Final = "downtime_ms: {:int}, timeout_s: {:int}, timeout_strategy: {:word}, connections: {connections:int}"
_V53_MORE: Final = "tls_dir: {tls:option}, memory_mode: {mode:lower}"


def _failure(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {**values, "error_type": error_type(str(values["error"]))}


def _abort(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {**values, "error_type": command_error_type(str(values["command"]))}


def _wrong_number(values: Mapping[str, Value]) -> Mapping[str, Value]:
    text = f"expected {values['expected']} file descriptors with the request, received {values['received']}"
    return {"error": text, "error_type": ErrorType.RECEIVE_FAILED}


def _config(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return vm_config_values(str(values["config"]))


def _row(kind: Kind, releases: Releases, form: str, **rest: Any) -> Row:  # noqa: ANN401 - passed on as given
    return Row(form=form, kind=kind, releases=releases, **rest)


def _known(releases: Releases, *forms: str) -> tuple[Row, ...]:
    """Return rows for messages that occur around a migration and that no trace needs."""
    return tuple(_row(Kind.IRRELEVANT, releases, form) for form in forms)


def _sign(kind: Kind, text: str, releases: Releases = ALL) -> Row:
    """Return the row of a line that is a sign of what becomes of the guest."""
    return _row(kind, releases, text, constants={"sign": text})


def _incident(
    what: IncidentKind, releases: Releases, form: str, kind: Kind = Kind.INCIDENT, *, sign: str | None = None
) -> Row:
    """Return the row of a line that explains time or failure; it is told as ``sign`` and the value ``rest``."""
    return _row(kind, releases, form, constants={"incident": what, "sign": sign or form.partition("{")[0]})


def _refused(text: str, kind: str, releases: Releases = _V36_40) -> Row:
    """Return the row of a line by which the source says that the destination refused, or wants no more pages."""
    return _row(Kind.PEER_REPORTED_ERROR, releases, text, constants={"error": text, "error_type": kind})


TABLE: Final[tuple[Row, ...]] = (
    # process
    _row(Kind.PROCESS_STARTED, _V52, "{version:version} starting"),
    _row(Kind.PROCESS_EXITED, since("v49.0"), "Cloud Hypervisor exited successfully"),
    _row(
        Kind.API_REQUEST,
        ALL,
        "API request event: {call:vm_call}{:any}",
        search_prefixes=tuple(f"API request event: {call}" for call in VM_CALLS),
    ),
    _row(Kind.API_REQUEST, ALL, "VM exit event", constants={"call": "VmmShutdown"}),
    _row(Kind.VM_CONFIG, ALL, "Booting VM from config: Mutex { data: VmConfig {{config:any}", derived=_config),
    # source: the request and the start
    _row(
        Kind.SEND_REQUESTED,
        _V36_37,
        "API request event: VmSendMigration(VmSendMigrationData { destination_url: {url:quoted}, "
        "local: {local:bool} }, {:rest}",
    ),
    _row(Kind.SEND_REQUESTED, _V38_51, _SEND + " }"),
    _row(Kind.SEND_REQUESTED, _V52_ONLY, f"{_SEND}, {_LIMITS} }}"),
    _row(Kind.SEND_REQUESTED, _V53_ONLY, f"{_SEND}, {_LIMITS}, {_V53_MORE} }}"),
    _row(Kind.SEND_REQUESTED, _HEAD, f"{_SEND}, preserve_source: {{:bool}}, {_LIMITS}, {_V53_MORE} }}"),
    _row(Kind.SEND_STARTED, _V36_51, "Sending migration: destination_url = {url:url}, local = {local:bool}"),
    _row(
        Kind.SEND_STARTED,
        _V52_ONLY,
        "Sending migration: destination_url={url:url},local={local:bool},downtime={target_ns:ms}ms,"
        "timeout={timeout_ns:s}s,timeout_strategy={strategy:strategy}",
    ),
    _row(
        Kind.SEND_STARTED,
        _V53,
        "Sending migration: destination_url={url:url},local={local:bool},tls={tls:bool},downtime={target_ns:ms}ms,"
        "timeout={timeout_ns:s}s,timeout_strategy={strategy:strategy}",
    ),
    _row(Kind.CONNECTING, _V43, "Connecting to TCP socket at {:url}"),
    _row(Kind.CONNECTING, _V43, "Connecting to UNIX socket at {:quoted}"),
    _row(Kind.TLS_ESTABLISHED, _V53, "TLS handshake (client-side/sender) successful"),
    _row(Kind.CPUID_GENERATED, _V36_52, "Generating guest CPUID for with physical address size: {:int}"),
    _row(Kind.CPUID_GENERATED, _V53, "Generating guest CPUID with physical address size: {:int}"),
    _row(Kind.PROTOCOL_AGREED, _V53, "Using migration protocol {protocol:int}"),
    # source: memory
    _row(Kind.DIRTY_ROUND, _V36_51, "Dirty memory migration {round:int} of {rounds:int}"),
    _row(Kind.DIRTY_TABLE, ALL, "Dirty Memory Range Table:", constants={"part": "begin"}),
    _row(Kind.DIRTY_TABLE, ALL, "Dirty Memory Range Table is empty", constants={"part": "empty"}),
    _row(Kind.DIRTY_TABLE, ALL, "GPA: {:hex} size: {dirty_bytes:kib} (KiB)", constants={"part": "range"}),
    _row(Kind.ITERATION_SENT, _V52, f"Precopy: {_FIGURES}"),
    _row(
        Kind.ITERATION_SENT,
        _V51_52,
        f"Precopy: iter={{iteration:int}} total={{total_bytes:mib}}MiB curr={{size_bytes:mib}}MiB {_CONTEXT}",
        variant=DRAFT,
    ),
    _row(
        Kind.ITERATION_SENT,
        _V50,
        f"iter={{iteration:int}},dur={{:ms}}ms,overhead={{overhead_ns:ms}}ms,{_FORK_FIGURES}",
        variant=FORK,
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: No more memory to transfer",
        constants={"reason": "no_dirty_memory"},
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: Target downtime can be met: {estimate_ns:ms}ms <= {target_ns:ms}ms",
        constants={"reason": "downtime_target_met"},
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: Pausing VM, ignoring target downtime ({target_ns:ms}ms) due to timeout ({timeout_ns:s}s): "
        "Estimated downtime: {estimate_ns:ms}ms",
        constants={"reason": "timeout_ignored"},
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V50,
        "Memory delta transmission stopping - cutoff condition reached!",
        constants={"reason": "downtime_target_met"},
        variant=FORK,
    ),
    _row(Kind.PRECOPY_CONVERGED, _V52, f"Precopy converged: {_FIGURES}"),
    _row(Kind.FINAL_DELTA_SENT, _V52, f"Precopy complete: {_FIGURES}"),
    _row(
        Kind.FINAL_DELTA_SENT,
        _V50,
        f"Memory Migration finished: iter={{:overhead}},{_FORK_FIGURES}",
        variant=FORK,
    ),
    # source: the end
    _row(Kind.COMPLETED, _V36_51, "Migration complete", last_word=_SOURCE_LAST),
    _row(
        Kind.COMPLETED,
        _V52,
        "Migration completed after {total_ns:decimal_s}s with a downtime of {downtime_ns:ms}ms "
        "(goal was {target_ns:ms}ms)",
    ),
    _row(
        Kind.COMPLETED,
        _V51_52,
        "Migration complete: actual downtime was {downtime_ns:ms}ms and migration took {total_ns:float_s}s",
        variant=DRAFT,
    ),
    _row(
        Kind.COMPLETED,
        _V50,
        "Migration complete: downtime:{downtime_ns:ms}ms,total:{total_ns:float_s}s,iterations:{:int}",
        variant=FORK,
        last_word=_SOURCE_LAST,
    ),
    _row(
        Kind.DOWNTIME_BREAKDOWN,
        _V52,
        "Downtime breakdown: {downtime_ns:ms}ms (final_iter:{final_delta_ns:ms}ms state:{snapshot_ns:ms}ms "
        "send_state:{send_ns:ms}ms complete:{complete_ns:ms}ms)",
    ),
    _row(
        Kind.DOWNTIME_BREAKDOWN,
        _V51_52,
        "Migration downtime breakdown: final_memory_delta={final_delta_ns:ms}ms snapshot={snapshot_ns:ms}ms "
        "sending_snapshot={send_ns:ms}ms completing={complete_ns:ms}ms",
        variant=DRAFT,
    ),
    _row(Kind.POSTCOPY_SERVING, _V53, "Postcopy: source entering PageFault serve loop"),
    _row(
        Kind.POSTCOPY_DRAINED,
        _V53,
        "Postcopy: destination closed the fault connection \N{EM DASH} drain complete",
    ),
    _refused("Postcopy: received Abandon, exiting serve loop", ErrorType.POSTCOPY_FAILED, _V53),
    _row(Kind.PEER_REPORTED_ERROR, _V53, "Receiver reported error: aborting migration"),
    _refused("Error starting migration", ErrorType.CONFIG_REJECTED),
    _refused("Error during config migration", ErrorType.CONFIG_REJECTED),
    _refused("Error during memory fd migration", ErrorType.RECEIVE_FAILED),
    _refused("Error during memory migration", ErrorType.RECEIVE_FAILED),
    _refused("Error during dirty memory migration", ErrorType.RECEIVE_FAILED),
    _refused("Error during state migration", ErrorType.RESTORE_FAILED),
    _refused("Error completing migration", ErrorType.COMPLETE_FAILED),
    _row(
        Kind.SEND_FAILED,
        _V50,
        "Migration failed with the following chain of errors:{error:any}",
        derived=_failure,
        multiline=True,
        variant=FORK,
        last_word=_SOURCE_LAST,
    ),
    _row(
        Kind.SEND_FAILED,
        ALL,
        "Migration failed: {error:any}",
        derived=_failure,
        multiline=True,
        last_word=_SOURCE_LAST,
    ),
    _row(Kind.SEND_CANCELLED, _V50, "Migration cancelled", variant=FORK, last_word=_SOURCE_LAST),
    _row(Kind.TIMED_OUT, _V50, "Migration timed out after {:rest}", variant=FORK),
    _row(
        Kind.RESUMED_AFTER_FAILURE,
        _V53,
        "Resumed VM successfully after failed migration",
        last_word=_SOURCE_LAST,
    ),
    _row(
        Kind.RESUME_FAILED,
        _V53,
        "Failed resuming VM after failed migration: {error:any}",
        multiline=True,
        last_word=_SOURCE_LAST,
    ),
    _row(Kind.VM_PAUSING, _V50, "pausing VM", variant=FORK),
    _row(Kind.VM_PAUSED, _V50, "paused VM", variant=FORK),
    # destination
    _row(
        Kind.RECEIVE_REQUESTED,
        _V36_37,
        "API request event: VmReceiveMigration(VmReceiveMigrationData { receiver_url: {url:quoted} }, {:rest}",
    ),
    _row(Kind.RECEIVE_REQUESTED, until("v52.0", first="v38.0"), _RECEIVE + " }"),
    _row(Kind.RECEIVE_REQUESTED, _V53_ONLY, f"{_RECEIVE}, {_V53_MORE} }}"),
    _row(Kind.RECEIVE_REQUESTED, _HEAD, f"{_RECEIVE}, {_V53_MORE}, vfio_fds: {{:any}} }}"),
    _row(Kind.RECEIVE_STARTED, _V53_ONLY, "Receiving migration: receiver_url={url:url},tls={tls:bool}"),
    _row(Kind.RECEIVE_STARTED, _HEAD, "Receiving migration: receiver_url={url:url},tls={tls:bool},zone_updates={:any}"),
    _row(
        Kind.RECEIVE_STARTED,
        _V50,
        "Receiving migration: receiver_url = {url:url}, net_fds={:any}, tcp_url={:any}, zones={:any}",
        variant=FORK,
    ),
    _row(Kind.RECEIVE_STARTED, _V36_52, "Receiving migration: receiver_url = {url:url}"),
    _row(Kind.RECEIVE_READY, _V50, "Waiting for incoming migration (timeout {:int}s) ...", variant=FORK),
    _row(Kind.TLS_ESTABLISHED, _V53, "TLS handshake (server-side/receiver) successful"),
    _row(
        Kind.COMMAND_RECEIVED,
        _V36_49,
        "{command:command} Command Received",
        search_prefixes=tuple(f"{command} Command Received" for command in COMMANDS if command != "Abandon"),
    ),
    _row(
        Kind.COMMAND_RECEIVED,
        ALL,
        "Abandon Command Received",
        constants={"command": Command.ABANDON},
        last_word=_DESTINATION_LAST,
    ),
    _row(Kind.COMMAND_RECEIVED, until("v52.0", first="v50.0"), "Command {command:command} received"),
    _row(Kind.COMMAND_RECEIVED, _V53, "Command '{command:command}' received"),
    _row(Kind.CPU_COMPATIBLE, ALL, "No CPU incompatibility detected."),
    _row(
        Kind.CPU_INCOMPATIBLE,
        ALL,
        "Detected incompatible CPUID entry: {error:rest}",
        constants={"error_type": ErrorType.CONFIG_REJECTED},
    ),
    _row(Kind.MEMORY_MAPPED, until("v50.0"), "Anonymous mapping at 0x{:hex} (size = 0x{:hex})"),
    _row(Kind.MEMORY_MAPPED, since("v51.0"), "RAM region mapping at 0x{:hex} (size = 0x{:hex})"),
    _row(Kind.ACCEPT_STOPPED, _V52, "Stopped accepting additional connections. Cleaning up threads."),
    _row(
        Kind.STATE_RECEIVED,
        _V52,
        "Migration (incoming): recv_snapshot:{receive_ns:ms}ms restore:{restore_ns:ms}ms",
    ),
    _row(
        Kind.STATE_RECEIVED,
        _V51_52,
        "Migration (incoming): receiving state took {waiting_ns:ms}ms",
        variant=DRAFT,
    ),
    _row(Kind.RESUME_TIMED, _V52, "Migration (incoming): resume:{resume_ns:ms}ms"),
    _row(Kind.RESUME_TIMED, _V51_52, "Migration (incoming): resuming took {resume_ns:ms}ms", variant=DRAFT),
    _row(
        Kind.FINAL_STATE_TIMED,
        _V52,
        "Migration (incoming): Receiving final state and resuming the VM took {:ms}ms",
    ),
    _row(Kind.PAUSED_STATE_RECEIVED, _V52, "Migration (incoming): Receiving final state of a paused VM"),
    _row(
        Kind.RECEIVE_ABORTED,
        _V50,
        "Migration aborted as migration command {command:word} failed: {error:any}",
        derived=_abort,
        multiline=True,
        last_word=_DESTINATION_LAST,
    ),
    _row(
        Kind.PEER_LOST,
        _V53,
        "Failed to read migration request: sender likely failed, aborting",
        last_word=_DESTINATION_LAST,
    ),
    _row(
        Kind.PEER_LOST,
        _V52,
        "ReceiveAdditionalConnections was not cleaned up! Either cleanup() was never called (programming error) "
        "or it failed before completing.",
        last_word=_DESTINATION_LAST,
    ),
    *(
        _row(Kind.CALL_TO_RECEIVE_FAILED, releases, form, derived=_failure, last_word=_DESTINATION_LAST)
        for releases, form in (
            (_V52, "HTTP API error response: Error from API: Error starting migration receiver: {error:any}"),
            (_V53, "HTTP API error response: Error from API: Error receiving migration: {error:any}"),
        )
    ),
    _row(
        Kind.CALL_TO_RECEIVE_FAILED,
        _HEAD,
        "Expected {expected:int} FDs in VmReceiveMigration request, received {received:int}",
        derived=_wrong_number,
        last_word=_DESTINATION_LAST,
    ),
    _row(Kind.PREFAULT_STARTED, _V53, "UFFD: spawning handler for {:int} region(s)"),
    _row(
        Kind.PREFAULT_DONE,
        _V53,
        "UFFD handler: prefault done in {:any} \N{EM DASH} prefaulted={:int} served={:int} total={:int}",
    ),
    _row(Kind.PREFAULT_FAILED, _V53, "UFFD prefault: abandoning background prefault after error"),
    _row(Kind.PREFAULT_ERROR, _V53, "UFFD prefault: source error at {:word}: {error:rest}"),
    _row(Kind.PREFAULT_ERROR, _V53, "UFFD handler exited with error: {error:rest}"),
    # both sides
    _row(Kind.DEVICE_PAUSING, ALL, "Pausing virtio-{device:device}"),
    _row(Kind.DEVICE_RESUMING, ALL, "Resuming virtio-{device:device}", last_word=_DESTINATION_MAYBE_LAST),
    _row(
        Kind.VCPUS_STARTED,
        ALL,
        "Starting vCPUs: desired = {:int}, allocated = {:int}, present = {:int}, paused = {paused:bool}",
    ),
    _row(Kind.VCPU_SLOW, _V50, "vCPU thread did not respond in {waited_ns:ms}ms to signal - retrying"),
    # either side: what explains time or failure
    _incident(IncidentKind.DEVICE_STATE, _V53, "VFIO migration transition -> {detail:word}"),
    _incident(IncidentKind.DEVICE_RESET, _V53, "VFIO device {rest:bdf} in indeterminate migration state, resetting"),
    _incident(IncidentKind.DEVICE_LEFT, _V52, "Skipping resume for disconnected device {rest:rest}"),
    _incident(
        IncidentKind.DISK_LOCKED, ALL, "Can't get {detail:word} lock for {rest:rest}", sign="Can't get a lock for "
    ),
    _incident(IncidentKind.PAGER_FAILED, _V52, "UFFDIO_WAKE failed at {rest:rest}"),
    _incident(IncidentKind.PAGER_FAILED, _V52, "UFFD handler terminated with error: {rest:any}", Kind.UFFD_ENDED),
    _incident(IncidentKind.PAGER_FAILED, _V52, "UFFD handler terminated unexpectedly{rest:rest}", Kind.UFFD_ENDED),
    _incident(IncidentKind.PAGER_FAILED, _V52, "uffd-handler thread panicked{rest:rest}", Kind.UFFD_ENDED),
    _incident(IncidentKind.NETWORK_NOT_TOLD, _V53, "Host RARP write to TAP failed{rest:rest}"),
    _incident(IncidentKind.NETWORK_NOT_TOLD, _V53, "Could not write to announce EventFd{rest:rest}"),
    _incident(IncidentKind.CLOCK_NOT_SET, _V53, "Could not read vCPU TSC offset{rest:rest}"),
    _incident(IncidentKind.CLOCK_NOT_SET, _V53, "Could not synchronize vCPU TSC offset{rest:rest}"),
    # the guest, by itself
    _sign(Kind.GUEST_RESET, "Guest likely triple-faulted"),
    _row(Kind.GUEST_RESET, ALL, "Watchdog triggered: {:rest}", constants={"sign": "Watchdog triggered"}),
    _sign(Kind.GUEST_RESET, "VmExit::Reset"),
    _sign(Kind.GUEST_RESET, "ACPI Reboot signalled"),
    _sign(Kind.GUEST_RESET, "i8042 reset signalled"),
    _sign(Kind.GUEST_RESET, "VM reset event"),
    _sign(Kind.GUEST_SHUT_DOWN, "VmExit::Shutdown"),
    _sign(Kind.GUEST_SHUT_DOWN, "ACPI Shutdown signalled"),
    _sign(Kind.GUEST_SHUT_DOWN, "VM guest exit event", _V52),
    _row(Kind.GUEST_PANICKED, ALL, "pvpanic got guest event {event:word}"),
    _row(Kind.PROCESS_FAILED, ALL, "Fatal error: {error:any}", constants={"sign": "Fatal error"}, multiline=True),
    _row(
        Kind.VCPU_FAILED,
        ALL,
        "VCPU generated error: {error:any}",
        constants={"sign": "VCPU generated error"},
        multiline=True,
    ),
    _row(Kind.LIFECYCLE_POSTPONED, _HEAD, "Stop sending memory: there is a pending lifecycle action"),
    _row(Kind.LIFECYCLE_POSTPONED, _V50, "Postponed post-migration lifecycle event: {:any}", variant=FORK),
    _row(Kind.LIFECYCLE_POSTPONED, _V50, "Lifecycle event postponed during migration {:any}", variant=FORK),
    # known; no trace needs them
    *_known(
        ALL,
        "API request event: {:any}",
        "Running under nested virtualisation. Hypervisor string: {:any}",
        "PAUSE_EVENT received, pausing epoll loop",
        "Watchdog paused - disabling timer",
        "Creating userspace mapping: {:any}",
        "Created userspace mapping: {:any}",
        "Request to create new vCPUs: {:any}",
        "Creating vCPU: {:any}",
        "Creating virtio-{:any}",
        "Restoring virtio-pci {:any}",
    ),
    *_known(_V36_49, "Migration not started yet", "Configuration not sent yet", "VM not created yet"),
    *_known(until("v49.0", first="v43.0"), "MemoryFd command received over TCP socket, which is not supported"),
    *_known(
        _V52,
        "HTTP API error response: {:any}",
        "Skipping pause for disconnected device {:any}",
        "Spawned thread to send VM memory.",
        "Error in send-memory thread: {:any}",
        "Error in receive-memory thread: {:any}",
        "Error cleaning up migration connections: {:any}",
        "SendAdditionalConnections was not cleaned up! {:any}",
        "Got signal to tear down connection.",
        "Connection closed by peer",
        "Connection closed by peer as expected (sender finished sending memory)",
        "Dropping connection. Only Memory commands are allowed on additional connections.",
        "Signaling termination due to an error while accepting connections.",
        "Error spawning receive-memory thread: {:any}",
        "Unexpected error while cleaning up migration connections after a main-connection memory receive failure: "
        "{:any}",
        "UFFD restore: {:any}",
        "UFFD handler: all {:int} pages served, exiting",
    ),
    *_known(
        _V53,
        "VM check migration event",
        "pause: still waiting for {:any}",
        "Failed stopping dirty log after resuming VM: {:any}",
        "Failed shutting down the VM after migration: {:any}",
        "Failed exiting the VMM after migration: {:any}",
        "Migration worker wasn't cleaned up explicitly via join()",
        "Ignored {:int} certificate(s) while loading TLS CA file {:any}",
        "The existing VM config will be overwritten",
        "Dropping connection: {:any}",
        "Failed to write to kill eventfd: {:any}",
        "UFFD: registering {:int} region(s) for demand paging",
        "UFFD handler: received stop event, exiting",
        "UFFD handler: fd closed (EPOLLHUP), exiting",
        "UFFD handler: EOF on fd, exiting",
        "VFIO device {:bdf} supports migration v2 {:any}",
    ),
    *(
        _row(Kind.IRRELEVANT, _V50, form, variant=FORK)
        for form in (
            "Will cancel ongoing live-migration",
            "Cancelling migration now",
            "Increasing auto-converge: {:int}%",
            "Entering downtime phase",
            "stopping vcpu throttling thread",
            "stopped vcpu throttling thread",
            "VM migration check event",
            "Keeping VMM alive as requested",
            "Live Migration will be encrypted using TLS.",
            "Sent {:int} MiB via additional connection.",
            "Sending disconnect message to channels",
            "Waiting for threads to finish",
            "Threads finished",
            "Migration thread wasn't cleaned up explicitly via join()",
            "  {:int}: {:any}",
        )
    ),
)
"""Every message that a trace is made of, v36.0 to HEAD, and what stands around them."""

FAMILIES: Final = (
    "Migration ",
    "Migration:",
    "Memory Migration",
    "Precopy",
    "Postcopy",
    "Downtime",
    "Sending migration",
    "Receiving migration",
    "Dirty memory migration",
    "Dirty Memory Range",
    "Event: source = vm event = migration-",
    "Event: source = vm event = postcopy-",
    "API request event: VmSendMigration",
    "API request event: VmReceiveMigration",
    "Receiver reported",
    "Failed resuming VM after",
    "Using migration protocol",
    "TLS handshake",
    "UFFD prefault",
)
"""How lines that speak of a migration begin; one of these that no row explains is counted as not understood."""
