"""What one side of a migration says, in terms that hold for every hypervisor.

A hypervisor's package turns its own lines into these facts; nothing after it looks at lines. Every fact is optional:
what no line says is None. A fact carries the line that it rests on and how exactly it is known: an :class:`Instant`
has its stamp, a :class:`Printed` duration its precision. A :class:`Window` bounds an instant that nobody logs; it
never becomes the length of a span.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.inputs.line import Where
    from otelmig.migration.stamp import Stamp
    from otelmig.migration.url import MigrationUrl

__all__ = [
    "Convergence",
    "ConvergenceReason",
    "DestinationFacts",
    "DeviceInstant",
    "DirtyRateMethod",
    "Downtime",
    "DowntimeParts",
    "ErrorType",
    "Failure",
    "Fate",
    "GuestFate",
    "Instant",
    "Killed",
    "MemoryCopy",
    "MemoryFigures",
    "MemoryIteration",
    "Pause",
    "Prefault",
    "Printed",
    "Refusal",
    "Request",
    "RequestKind",
    "Restore",
    "Resume",
    "Snapshot",
    "SourceFacts",
    "Stretch",
    "Terms",
    "VcpuWait",
    "VmConfig",
    "Window",
]


class ErrorType(StrEnum):
    """Why a migration failed, as ``error.type`` names it."""

    CONVERGENCE_TIMEOUT = "convergence_timeout"
    CONNECTION_FAILED = "connection_failed"
    SOCKET_ERROR = "socket_error"
    TLS_ERROR = "tls_error"
    CONFIG_REJECTED = "config_rejected"
    PAUSE_FAILED = "pause_failed"
    SNAPSHOT_FAILED = "snapshot_failed"
    RESTORE_FAILED = "restore_failed"
    RESUME_FAILED = "resume_failed"
    SEND_FAILED = "send_failed"
    RECEIVE_FAILED = "receive_failed"
    COMPLETE_FAILED = "complete_failed"
    DIRTY_LOG_FAILED = "dirty_log_failed"
    POSTCOPY_FAILED = "postcopy_failed"
    PEER_ABORTED = "peer_aborted"
    GUEST_RESET = "guest_reset"
    """The guest was reset while it migrated, and its VMM ended with that."""
    GUEST_SHUT_DOWN = "guest_shut_down"
    """The guest powered itself off while it migrated."""
    OTHER = "_OTHER"


class ConvergenceReason(StrEnum):
    """Why the source stopped iterating over memory."""

    NO_DIRTY_MEMORY = "no_dirty_memory"
    DOWNTIME_TARGET_MET = "downtime_target_met"
    TIMEOUT_IGNORED = "timeout_ignored"
    """Time was up, and the guest was paused in spite of the downtime target."""
    TIMEOUT_CANCELLED = "timeout_cancelled"
    """Time was up, and the migration was given up."""
    ITERATION_LIMIT = "iteration_limit"


class DirtyRateMethod(StrEnum):
    """How the rate at which the guest writes memory is known."""

    PRINTED = "printed"
    DIRTY_TABLE = "dirty_table"
    """The log lists what one reading of the dirty log found: exact to the page."""
    NEXT_ITERATION_SIZE = "next_iteration_size"
    """What the next memory iteration sent, rounded up to MiB."""


class RequestKind(StrEnum):
    """What the source asks of the destination over their connection."""

    START = "start"
    CONFIG = "config"
    """Here is the configuration of the VM: make room for it."""
    MEMORY = "memory"
    """Here is memory: an iteration, or a share of one."""
    STATE = "state"
    """Here is the state of vCPUs and devices."""
    COMPLETE = "complete"
    """Resume the guest."""
    OTHER = "other"


class Fate(StrEnum):
    """What happened to a guest by itself, rather than because somebody asked for it."""

    RESET = "reset"
    """It was reset: what runs is another boot, and what it had in memory is lost."""
    PANICKED = "panicked"
    """It reported that it crashed, and stands still."""
    SHUT_DOWN = "shut_down"
    """It powered itself off."""
    KILLED = "killed"
    """Its VMM died, and the guest with it."""


class Instant(Struct, frozen=True):
    """When something happened, by the clock of its side, and the line that says so.

    ``shift_ns`` is what was added to the stamp to get there (a printed duration), ``error_ns`` how much less well than
    the stamp it is known for that.
    """

    stamp: Stamp
    where: Where
    shift_ns: int = 0
    error_ns: int = 0

    @property
    def ns(self) -> int:
        """The instant, in ns of its side's clock."""
        return self.stamp.ns + self.shift_ns


class DeviceInstant(NamedTuple):
    """When one device was paused or resumed."""

    at: Instant
    device: str
    """The type of the device."""


class Printed(NamedTuple):
    """A duration that the hypervisor printed: the true one lies in ``[ns, ns + error_ns]``."""

    ns: int
    error_ns: int


class Stretch(Struct, frozen=True, kw_only=True):
    """Something that lasted from one logged instant to another."""

    begin: Instant
    end: Instant
    inferred: bool = False
    """Whether no line names these two ends: they were inferred from what was logged around them."""


class Window(Struct, frozen=True, kw_only=True):
    """Bounds of an instant that nobody logs: it came after ``first`` and before ``last`` (None: open on that side)."""

    first: Instant | None
    last: Instant | None

    def __post_init__(self) -> None:
        if self.first is None and self.last is None:
            raise ValueError("a window that is open on both sides bounds nothing: leave it out")

    @property
    def lo_ns(self) -> int | None:
        """Earliest local time."""
        return None if self.first is None else self.first.stamp.lo_ns

    @property
    def hi_ns(self) -> int | None:
        """Latest local time."""
        return None if self.last is None else self.last.stamp.hi_ns

    @property
    def width_ns(self) -> int | None:
        """Time between the two lines; None where a side is open."""
        if self.first is None or self.last is None:
            return None
        return max(self.last.stamp.ns - self.first.stamp.ns, 0)


class VmConfig(Struct, frozen=True, kw_only=True):
    """The allow-listed facts of a VM's configuration."""

    id: str | None = None
    memory_bytes: int | None = None
    vcpus: int | None = None
    identity: str | None = None
    """A digest of what tells this VM from others of its size (disks, MAC addresses); only for comparing."""


class MemoryFigures(Struct, frozen=True, kw_only=True):
    """What a line about a memory iteration prints; bytes, bytes per second."""

    size_bytes: int | None = None
    total_bytes: int | None = None
    """All bytes sent so far."""
    bandwidth: float | None = None
    average_bandwidth: float | None = None
    transfer_ns: int | None = None
    overhead_ns: int | None = None
    """The iteration without its transfer."""
    throttle_percent: int | None = None
    """By how much vCPUs were slowed down."""
    downtime_estimate_ns: int | None = None
    """The downtime to expect if the guest were paused now; None where the hypervisor cannot know it yet."""


class MemoryIteration(Struct, frozen=True, kw_only=True):
    """A memory iteration that was sent while the guest ran, and acknowledged."""

    number: int
    """From 0, as printed (else counted)."""
    at: Instant
    """The line that says that it was acknowledged, or the first line that shows it."""
    acknowledged: bool
    """Whether ``at`` is the acknowledgement itself, not merely a line that follows it."""
    figures: MemoryFigures | None = None
    dirty_rate: float | None = None
    """How fast the guest wrote memory during the iteration, as printed."""
    dirtied_bytes: int | None = None
    """How much memory the guest wrote during the iteration, where no rate is printed."""
    dirty_method: DirtyRateMethod | None = None
    """What ``dirty_rate`` or ``dirtied_bytes`` rests on."""


class Convergence(Struct, frozen=True, kw_only=True):
    """Why the source stopped iterating."""

    reason: ConvergenceReason
    at: Instant | None = None
    """The decision, where it is logged."""
    downtime_estimate_ns: int | None = None


class DowntimeParts(Struct, frozen=True, kw_only=True):
    """The parts of the downtime that the source printed, in their order; ``at`` is the line."""

    at: Instant
    total: Printed | None = None
    final_delta: Printed | None = None
    snapshot: Printed | None = None
    send: Printed | None = None
    complete: Printed | None = None


class Downtime(Struct, frozen=True, kw_only=True):
    """A downtime that ended as it should, at ``end``."""

    end: Instant
    guest_ran: bool = True
    """Whether the guest ran on the destination by then: the source waits for that on some hypervisors."""
    duration: Printed | None = None
    """The hypervisor's own word."""
    migration_ns: int | None = None
    """How long the whole migration took, by the same line."""
    target_ns: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """The source gave up."""

    at: Instant
    """The earliest sign."""
    error_type: ErrorType
    text: str | None = None
    """The error as printed."""
    timed_out: bool = False
    """Whether the migration took longer than it was allowed to: then nothing that the peer says is the cause."""


class Killed(Struct, frozen=True, kw_only=True):
    """The process was killed, and something says so."""

    at: Instant
    by: str
    """What killed it, as a phrase that follows "killed by"."""


class GuestFate(Struct, frozen=True, kw_only=True):
    """What became of the guest, and the first line that says so."""

    fate: Fate
    at: Instant
    """The first sign of it."""
    text: str
    """What the hypervisor says of it, as printed."""
    ran_since: Instant | None = None
    """When the guest was said to run on this side; None if it has run there all the time, or that is not known."""
    timed: bool = True
    """Whether the first sign has a time of its own; if not, it came after the last line that has one."""
    vmm_gone: bool = False
    """Whether the guest's VMM is gone, too."""

    @property
    def uptime_ns(self) -> int | None:
        """How long the guest had run by then, in ns of its side's clock; None if that is not known."""
        return max(self.at.ns - self.ran_since.ns, 0) if self.timed and self.ran_since is not None else None


class Request(Struct, frozen=True, kw_only=True):
    """A request of the source, read by the destination."""

    kind: RequestKind
    at: Instant


class Refusal(Struct, frozen=True, kw_only=True):
    """The destination turned the migration down."""

    at: Instant
    text: str
    error_type: ErrorType
    of_request: bool = True
    """Whether the destination says that it refused a request, rather than why it is going to."""
    did: str = "refused"
    """What it did, in one word."""


class Restore(Struct, frozen=True, kw_only=True):
    """The VM's state is received and the VM built from it."""

    arrived: Instant | None = None
    """When the request that carries the state was read; else the nearest line after that."""
    config: Instant | None = None
    """When the configuration in the state was known: all of the state has been read."""
    restoring: Instant | None = None
    restored: Instant | None = None
    printed_at: Instant | None = None
    """The line that prints how long receiving and restoring took."""
    receive: Printed | None = None
    restore: Printed | None = None
    with_wait: Printed | None = None
    """How long both took together with the wait for the request, where only that is printed."""


class Resume(Struct, frozen=True, kw_only=True):
    """The guest is started on the destination."""

    resuming: Instant | None = None
    resumed: Instant | None = None
    """When the hypervisor says that the guest was resumed."""
    printed_at: Instant | None = None
    """The line that prints how long it took."""
    duration: Printed | None = None
    devices: tuple[DeviceInstant, ...] = ()
    """The devices that were started, in order."""


class Prefault(Struct, frozen=True, kw_only=True):
    """Postcopy: the destination fetches the missing pages in the background."""

    begin: Instant
    done: Instant | None = None
    abandoned: Instant | None = None
    cut_off: Instant | None = None
    """Where the destination was told to end before every page was there: nothing failed by itself."""


class Terms(Struct, frozen=True, kw_only=True):
    """What the migration was asked to do, and how the two sides agreed to do it."""

    url: MigrationUrl | None = None
    tls: bool | None = None
    downtime_target_ns: int | None = None
    timeout_ns: int | None = None
    timeout_strategy: str | None = None
    connections: int = 1
    """How many connections carry memory."""
    protocol: int | None = None
    """The version of the migration protocol."""


class MemoryCopy(Struct, frozen=True, kw_only=True):
    """Memory that was copied while the guest ran, and the final delta."""

    was_sent: bool = False
    """Whether a line shows that memory was being sent."""
    since: Instant | None = None
    """When copying began, computed from a printed elapsed time."""
    iterations: tuple[MemoryIteration, ...] = ()
    """The memory iterations that were acknowledged while the guest ran, in their order."""
    iteration_count: int = 0
    """How many there were: at least those that were logged."""
    is_counted: bool = True
    """Whether there were no more; else a line is missing that says whether another one was sent."""
    iteration_under_way: bool = True
    """Whether another iteration can have been under way when the last line about memory was written."""
    final_delta: MemoryIteration | None = None
    """What was sent with the guest paused."""
    total_bytes: int | None = None
    """All memory sent, as printed last."""
    convergence: Convergence | None = None


class VcpuWait(Struct, frozen=True, kw_only=True):
    """The hypervisor waited for a vCPU's thread, and said so."""

    at: Instant
    """The last time that it said so."""
    waited_ns: int
    """How long it had waited by then, as printed."""
    count: int
    """How often it said so."""


class Pause(Struct, frozen=True, kw_only=True):
    """The migration stops the guest."""

    pausing: Instant | None = None
    """When the hypervisor says that it begins to pause the guest."""
    sign: Instant | None = None
    """The first sign that the migration stops the guest."""
    after: Instant | None = None
    """The last line that was surely written before it did."""
    stretch: Stretch | None = None
    """The pause as a whole, where both of its ends were said."""
    paused: Instant | None = None
    """When the hypervisor says that the guest is paused."""
    devices: tuple[DeviceInstant, ...] = ()
    stop: Window | None = None
    """When the vCPUs stopped."""
    broken_off: bool = False
    """Whether it is the pause that failed, or in which the log stops: the guest was never said to be paused."""
    waited: VcpuWait | None = None
    """That the pause waited for a vCPU."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """The state of vCPUs and devices is taken on the source."""

    begin: Instant | None = None
    """When the hypervisor says that it begins."""
    sign: Instant | None = None
    """The first line that is written inside it."""
    end: Instant | None = None


class SourceFacts(Struct, frozen=True, kw_only=True):
    """What the source says of one attempt."""

    begun: Instant | None = None
    """The line that says that the migration begins."""
    end: Instant | None = None
    """Where the source's part ends, as far as its own log shows."""
    terms: Terms = Terms()
    connecting: Instant | None = None
    """The first connect, else the beginning: nothing that the source does is noticed earlier."""
    last_connecting: Instant | None = None
    handshake: Instant | None = None
    """The first line after the destination took the migration on, before memory is sent."""
    answered: bool = False
    """Whether a line shows that the destination took the migration on."""
    memory: MemoryCopy = MemoryCopy()
    before_downtime: Instant | None = None
    """The last line that was surely written before the downtime's own timer began."""
    pause: Pause = Pause()
    snapshot: Snapshot = Snapshot()
    downtime: Downtime | None = None
    downtime_parts: DowntimeParts | None = None
    """What was printed of the downtime's parts, whether or not the line of its end is there."""
    logging_ns: int = 0
    """How long writing the log took inside the downtime, on the thread that migrates."""
    handed_over: Instant | None = None
    """The first line that says that the destination has the guest."""
    perhaps_stored: bool = False
    """Whether what took the VM may have stored it and not run it: the source says the same of both."""
    drained: Instant | None = None
    """Postcopy: every page has been sent."""
    finished: Instant | None = None
    """When the source had released what the migration held."""
    failure: Failure | None = None
    resumed: Instant | None = None
    """When the guest ran on the source again, after a failure."""
    resume_failed: Instant | None = None
    run: Window | None = None
    """When the vCPUs ran again on the source, after a failure."""
    ran_before: bool = False
    """Whether the guest is known to have run when the migration began: a log that begins late may not say it."""
    never_paused: bool = False
    """Whether the migration is known to have ended without stopping the guest: a line would say it."""
    killed: Killed | None = None
    fate: GuestFate | None = None
    """What became of the guest while it migrated, or once it ran here again."""


class DestinationFacts(Struct, frozen=True, kw_only=True):
    """What the destination says of one attempt."""

    begun: Instant | None = None
    """When the source was accepted; else the first sign of it."""
    end: Instant | None = None
    """Where receiving ends, where the destination's own log says so."""
    url: MigrationUrl | None = None
    requested_postcopy: bool | None = None
    """Whether the destination was asked for a postcopy; None where that is not printed."""
    requests: tuple[Request, ...] = ()
    restore: Restore = Restore()
    resume: Resume = Resume()
    run: Window | None = None
    """When the vCPUs ran."""
    ran_by: Instant | None = None
    """The first line that was surely written after they did."""
    finished: Instant | None = None
    left_paused: Instant | None = None
    """The guest had been paused before the migration, and stays paused."""
    took_over: Instant | None = None
    """When the destination had the guest: resumed, or paused as it was before."""
    runs: Instant | None = None
    """The best evidence that the guest was started here."""
    prefault: Prefault | None = None
    refusal: Refusal | None = None
    peer_lost: Instant | None = None
    """When the destination found the connection closed by the source."""
    peer_lost_text: str | None = None
    """How it says so, where its words say more than that."""
    peer_gone: Instant | None = None
    """The first sign that the source has gone, a page that cannot be fetched included."""
    killed: Killed | None = None
    fate: GuestFate | None = None
    """What became of the guest once it ran here."""

    def first(self, kind: RequestKind) -> Instant | None:
        """Return when a request of this kind was read first."""
        return next((request.at for request in self.requests if request.kind is kind), None)

    def count(self, kind: RequestKind) -> int:
        """Return how many requests of this kind were read."""
        return sum(request.kind is kind for request in self.requests)
