"""Which kinds of observations begin a migration attempt, belong to it, end it, and may still follow its end."""

from __future__ import annotations

from typing import Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.side import Role

__all__ = [
    "AFTER_CLOSING",
    "AFTER_COMPLETION",
    "AFTER_FAILURE",
    "AFTER_RECEIVE",
    "ANY_BEGIN",
    "BEFORE",
    "BEFORE_FATE",
    "BEGINS",
    "BESIDES",
    "COMPLETED",
    "DRAINED",
    "ENDINGS",
    "ENDS_PROCESS",
    "FAILED",
    "FATES",
    "HAS_GUEST",
    "NOT_RECEIVED",
    "NO_ATTEMPT",
    "OF_MIGRATIONS",
    "OF_NO_ATTEMPT",
    "POSTCOPY",
    "PREFAULT_ENDED",
    "RECEIVED",
    "RECEIVE_ENDED",
    "ROLES",
    "TAKEN_BACK",
]

BEGINS: Final = {
    Role.SOURCE: (Kind.SEND_REQUESTED, Kind.SEND_STARTED, Kind.SEND_ANNOUNCED),
    Role.DESTINATION: (Kind.RECEIVE_REQUESTED, Kind.RECEIVE_STARTED, Kind.RECEIVE_READY, Kind.ACCEPTED),
}
"""How an attempt begins, in order: a kind that cannot follow what is there already begins a new attempt."""

_BEGUN: Final = {
    Role.SOURCE: (
        Kind.ITERATION_SENT,
        Kind.FINAL_DELTA_SENT,
        Kind.COMPLETED,
        Kind.DOWNTIME_BREAKDOWN,
        Kind.DIRTY_ROUND,
        Kind.SEND_FAILED,
        Kind.SEND_FAILURE_ANNOUNCED,
        Kind.SEND_FINISHED,
        Kind.PRECOPY_CONVERGED,
        Kind.POSTCOPY_SERVING,
        Kind.POSTCOPY_DRAINED,
    ),
    Role.DESTINATION: (
        Kind.COMMAND_RECEIVED,
        Kind.STATE_RECEIVED,
        Kind.RESUME_TIMED,
        Kind.ACCEPT_STOPPED,
        Kind.RECEIVE_ABORTED,
        Kind.RECEIVE_FINISHED,
        Kind.RECEIVE_FAILED,
        Kind.CALL_TO_RECEIVE_FAILED,
    ),
}
"""What only an attempt does: a log that begins in its middle still shows it."""

ANY_BEGIN: Final = frozenset(kind for kinds in BEGINS.values() for kind in kinds)
"""The lines by which an attempt begins, of either role."""
ROLES: Final[dict[str, Role]] = {kind: role for role in Role for kind in (*BEGINS[role], *_BEGUN[role])}
OF_MIGRATIONS: Final = frozenset(
    {*ROLES, Kind.CONNECTING, Kind.TLS_ESTABLISHED, Kind.START_ACKNOWLEDGED, Kind.PROTOCOL_AGREED}
)
"""What a VMM does in migrations only; anything else an operator may ask for, too."""
FAILED: Final = frozenset(
    {Kind.SEND_FAILED, Kind.SEND_FAILURE_ANNOUNCED, Kind.SEND_CANCELLED, Kind.PEER_REPORTED_ERROR}
)
COMPLETED: Final = frozenset({Kind.COMPLETED, Kind.SEND_FINISHED})
AFTER_COMPLETION: Final = FAILED | {
    Kind.DOWNTIME_BREAKDOWN,
    Kind.SEND_FINISHED,
    Kind.POSTCOPY_SERVING,
    Kind.POSTCOPY_DRAINED,
    Kind.POSTCOPY_FINISHED,
    Kind.PROCESS_KILLED,
}
TAKEN_BACK: Final = frozenset({Kind.VM_RESUMING, Kind.VM_RESUMED, Kind.RESUMED_AFTER_FAILURE, Kind.RESUME_FAILED})
"""What a source says that lets its guest run again although it had handed it over; devices it also resumes to end."""
AFTER_FAILURE: Final = FAILED | {
    Kind.VM_RESUMING,
    Kind.DEVICE_RESUMING,
    Kind.VM_RESUMED,
    Kind.RESUMED_AFTER_FAILURE,
    Kind.RESUME_FAILED,
    Kind.TIMED_OUT,
    Kind.PROCESS_KILLED,
}
RECEIVE_ENDED: Final = frozenset(
    {Kind.RECEIVE_FINISHED, Kind.RECEIVE_FAILED, Kind.RECEIVE_ABORTED, Kind.PEER_LOST, Kind.CALL_TO_RECEIVE_FAILED}
)
_PREFAULT: Final = frozenset({Kind.PREFAULT_STARTED, Kind.PREFAULT_DONE, Kind.PREFAULT_ERROR, Kind.PREFAULT_FAILED})
PREFAULT_ENDED: Final = frozenset({Kind.PREFAULT_DONE, Kind.PREFAULT_FAILED, Kind.UFFD_ENDED})
FATES: Final = frozenset(
    {
        Kind.GUEST_PANICKED,
        Kind.GUEST_RESET,
        Kind.VM_REBOOTING,
        Kind.GUEST_SHUT_DOWN,
        Kind.VCPU_FAILED,
        Kind.PROCESS_FAILED,
    }
)
"""Signs of what becomes of the guest: they belong to the attempt as long as the guest does."""
BESIDES: Final = FATES | {Kind.INCIDENT, Kind.UFFD_ENDED}
"""What neither begins an attempt nor ends it, and belongs to it for a while after its end."""
BEFORE: Final[dict[str, frozenset[Kind]]] = {
    kind: frozenset({*order[:at], Kind.TLS_ESTABLISHED, Kind.VM_CONFIG}) | BESIDES
    for order in BEGINS.values()
    for at, kind in enumerate(order)
}
"""What may stand before each of those that begin an attempt, in the same attempt."""
NO_ATTEMPT: Final = {
    Role.SOURCE: frozenset(BEGINS[Role.SOURCE][:1]) | BESIDES,
    Role.DESTINATION: frozenset(BEGINS[Role.DESTINATION][:3]) | BESIDES,
}
"""What makes no attempt yet: a request that was turned down, or a destination that only listens."""
AFTER_CLOSING: Final = _PREFAULT
AFTER_RECEIVE: Final = RECEIVE_ENDED | _PREFAULT | {Kind.PROCESS_KILLED}
HAS_GUEST: Final = (
    Kind.VM_RESUMED,
    Kind.PAUSED_STATE_RECEIVED,
    Kind.RESUME_TIMED,
    Kind.RECEIVE_FINISHED,
    Kind.DEVICE_RESUMING,
    Kind.VM_RESUMING,
)
"""Lines by which a destination has the guest, the one that tells it best first."""
BEFORE_FATE: Final = frozenset({Kind.VM_RESUMED, Kind.RESUME_TIMED, Kind.FINAL_STATE_TIMED, Kind.DEVICE_RESUMING})
"""What a destination may log after the guest's fate, because other threads are faster: it still resumes the guest."""
ENDINGS: Final = FAILED | COMPLETED | RECEIVE_ENDED
RECEIVED: Final = (Kind.RECEIVE_FINISHED, Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED, Kind.RESUME_TIMED)
NOT_RECEIVED: Final = (Kind.CPU_INCOMPATIBLE, Kind.RECEIVE_ABORTED, Kind.RECEIVE_FAILED, Kind.PEER_LOST)
DRAINED: Final = (Kind.POSTCOPY_DRAINED,)
"""What says of a postcopy that every page arrived: it is also finished when the destination gave up."""
POSTCOPY: Final = _PREFAULT | {Kind.POSTCOPY_SERVING, Kind.POSTCOPY_DRAINED, Kind.POSTCOPY_FINISHED}
OF_NO_ATTEMPT: Final = frozenset({Kind.PROCESS_STARTED, Kind.PROCESS_READY, Kind.PROCESS_EXITED, Kind.API_REQUEST})
ENDS_PROCESS: Final = "VmmShutdown"
"""The call by which a process ends; one that is asked for nothing says the same as it leaves."""
