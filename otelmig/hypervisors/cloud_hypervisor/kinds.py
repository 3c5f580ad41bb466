"""The vocabulary of Cloud Hypervisor's logs and events: which moment of a migration a line marks.

Nobody outside this package names a member of it: what leaves the package is facts.
"""

from __future__ import annotations

from enum import StrEnum, auto

__all__ = ["Command", "Kind"]


class Kind(StrEnum):
    """What was observed."""

    # the process
    PROCESS_STARTED = auto()
    """The VMM process began; ``version`` where the log prints it."""
    PROCESS_EXITED = auto()
    """The VMM process ended by itself."""
    API_REQUEST = auto()
    """Somebody asked the VMM to change the VM's state, or to end; ``call``."""
    PROCESS_KILLED = auto()
    """What killed the process says so; ``by``."""
    PROCESS_FAILED = auto()
    """The process says why it ends; ``sign``, ``error``."""
    PROCESS_READY = auto()
    """The VMM process has started; versions after HEAD say so."""
    IRRELEVANT = auto()
    """Understood, and nothing that a trace is made of."""
    VM_CONFIG = auto()
    """The VM's configuration was printed; only allow-listed facts of it are kept."""

    # the source
    SEND_REQUESTED = auto()
    """The API call for a migration arrived; ``connections``, ``mode`` where printed."""
    SEND_STARTED = auto()
    """The source's migration began: ``url``, ``local``, and where printed ``tls``, target, timeout, strategy."""
    SEND_ANNOUNCED = auto()
    """The source's start event."""
    START_ACKNOWLEDGED = auto()
    """The receiver took the migration on: on the source after its answer was read."""
    CONNECTING = auto()
    """Just before ``connect()``; once per connection."""
    TLS_ESTABLISHED = auto()
    """The handshake of one connection is done, on either side."""
    CPUID_GENERATED = auto()
    """Guest CPUID computed: on the source first after Start was acknowledged, again inside the snapshot."""
    PROTOCOL_AGREED = auto()
    """The protocol version is settled: on the source after Start was acknowledged; ``protocol``."""
    ITERATION_SENT = auto()
    """A memory iteration was acknowledged, the guest running; ``iteration`` and its figures."""
    ITERATION_ANNOUNCED = auto()
    """The event of the same instant; ``iteration``."""
    DIRTY_ROUND = auto()
    """A numbered dirty round begins, the memory iteration before it was acknowledged; ``round``, ``rounds``."""
    DIRTY_TABLE = auto()
    """One reading of the dirty log was written to the log: ``dirty_bytes``, ``ranges``; ``since`` is its first line.

    Neither number is there if the lines of its ranges are missing.
    """
    CONVERGENCE_DECIDED = auto()
    """The decision to stop iterating; ``reason``, and the estimate where printed."""
    PRECOPY_CONVERGED = auto()
    """Figures at that decision; ``elapsed_ns`` counts from the start of memory copying."""
    FINAL_DELTA_SENT = auto()
    """The last transfer, guest paused, was acknowledged."""
    SNAPSHOTTING = auto()
    SNAPSHOTTED = auto()
    COMPLETED = auto()
    """Complete was acknowledged; ``total_ns``, ``downtime_ns``, ``target_ns`` where printed."""
    DOWNTIME_BREAKDOWN = auto()
    """The printed parts of the downtime."""
    SEND_FINISHED = auto()
    """The source released what the migration held."""
    SEND_FAILED = auto()
    """The source gave up; ``error``, ``error_type``."""
    SEND_FAILURE_ANNOUNCED = auto()
    """The event of the failure."""
    PEER_REPORTED_ERROR = auto()
    """The source read from the destination that it refuses, or gives up; ``error``, ``error_type`` where known."""
    SEND_CANCELLED = auto()
    """The source stopped because it was asked to."""
    TIMED_OUT = auto()
    """The migration took longer than it was allowed to."""
    RESUMED_AFTER_FAILURE = auto()
    """The source reports that the guest runs again after a failure."""
    RESUME_FAILED = auto()
    """The source could not resume the guest after a failure."""
    POSTCOPY_SERVING = auto()
    POSTCOPY_DRAINED = auto()
    POSTCOPY_FINISHED = auto()

    # both sides
    VM_PAUSING = auto()
    VM_PAUSED = auto()
    DEVICE_PAUSING = auto()
    DEVICE_RESUMING = auto()
    VM_RESUMING = auto()
    VM_RESUMED = auto()
    VCPUS_STARTED = auto()
    """The vCPUs of a VM that is made here begin; ``paused`` says whether they wait to be resumed."""
    VCPU_SLOW = auto()
    """A vCPU's thread has not answered yet; ``waited_ns``."""
    INCIDENT = auto()
    """Something that explains time or failure; ``incident``, ``sign``, ``rest``, ``detail``."""

    # the guest, by itself
    GUEST_PANICKED = auto()
    """It reported that it crashed."""
    GUEST_RESET = auto()
    """It was reset: by itself, by a watchdog, or because it cannot go on; ``sign``."""
    VM_REBOOTING = auto()
    """The event of the same."""
    GUEST_SHUT_DOWN = auto()
    """It powered itself off; ``sign``."""
    VCPU_FAILED = auto()
    """One of its vCPUs cannot run any longer; ``sign``, ``error``."""
    LIFECYCLE_POSTPONED = auto()
    """What the guest did to itself is put off until the migration is over."""

    # the destination
    RECEIVE_REQUESTED = auto()
    RECEIVE_STARTED = auto()
    """The destination's migration began, before listening: ``url``, ``tls``."""
    RECEIVE_READY = auto()
    """Listening, nobody accepted yet."""
    ACCEPTED = auto()
    """The source's main connection was accepted."""
    COMMAND_RECEIVED = auto()
    """A request's header was read, its payload not yet; ``command`` is a :class:`Command`."""
    CPU_COMPATIBLE = auto()
    CPU_INCOMPATIBLE = auto()
    """The destination lacks a CPU feature that the guest may use; ``error``, ``error_type``."""
    MEMORY_MAPPED = auto()
    ACCEPT_STOPPED = auto()
    """No more connections are taken: the state request's header was read."""
    RESTORING = auto()
    RESTORED = auto()
    STATE_RECEIVED = auto()
    """The state was restored, its acknowledgement not yet written; ``receive_ns``, ``restore_ns`` or ``waiting_ns``."""
    RESUME_TIMED = auto()
    """The guest was resumed, its acknowledgement not yet written; ``resume_ns``."""
    FINAL_STATE_TIMED = auto()
    """Same instant; ``took_ns`` counts from the state request's header."""
    PAUSED_STATE_RECEIVED = auto()
    """The state of a VM that was paused before the migration: nothing is resumed."""
    RECEIVE_FINISHED = auto()
    """After the last acknowledgement was written: not ordered against the source."""
    RECEIVE_FAILED = auto()
    RECEIVE_ABORTED = auto()
    """The destination refuses a command, before it writes the refusal; ``command``, as it is printed, ``error``."""
    PEER_LOST = auto()
    """The destination found the connection closed by the source."""
    CALL_TO_RECEIVE_FAILED = auto()
    """What the API answers to the call to receive: it failed; ``error``, ``error_type``."""
    PREFAULT_STARTED = auto()
    PREFAULT_DONE = auto()
    PREFAULT_ERROR = auto()
    """A page could not be fetched; ``error``."""
    PREFAULT_FAILED = auto()
    """Fetching in the background was given up."""
    UFFD_ENDED = auto()
    """What fetches missing pages ended, and should not have; as :attr:`INCIDENT`."""


class Command(StrEnum):
    """What the source asks of the destination over their connection."""

    START = auto()
    CONFIG = auto()
    """Here is the configuration of the VM: make room for it."""
    MEMORY_FD = auto()
    """Here is a descriptor of the guest's memory, which is on this host and is not copied."""
    MEMORY = auto()
    """Here is the memory of one iteration, or a share of it."""
    STATE = auto()
    """Here is the state of vCPUs and devices."""
    COMPLETE = auto()
    """Resume the guest."""
    COMPLETE_PAUSED = auto()
    """Be done, but leave the guest paused, as it was."""
    PAGE_FAULT = auto()
    ABANDON = auto()
    INVALID = auto()
