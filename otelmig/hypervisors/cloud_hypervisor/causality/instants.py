"""Instants of a migration that the protocol orders, and which releases print them at which verbosity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.causality.finders import (
    answer_read,
    command,
    complete_written_after,
    fault_connect,
    final_memory,
    final_memory_acknowledged,
    final_memory_written,
    first_of,
    iterations_acknowledged,
    iterations_written,
    last_answered,
    last_before_drop,
    last_command,
    memory_received,
    paused,
    peer_failure,
    peer_lost,
    received,
    refusal_read,
    resumed,
    snapshot_done,
    state_acknowledged,
    state_written_after,
)
from otelmig.hypervisors.cloud_hypervisor.causality.handshake import (
    acknowledged_config,
    acknowledged_start,
    first_tls,
    main_connect,
    start_read,
)
from otelmig.hypervisors.cloud_hypervisor.kinds import Command, Kind
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, Releases, since, until
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.constraint import Endpoint

    Finder = Callable[[AttemptLines, AttemptLines], Sequence[Endpoint | None]]

__all__ = ["DESTINATION", "OF_BOTH", "SOURCE", "InstantKind", "LogFlags"]


class LogFlags(Struct, frozen=True, kw_only=True):
    """What it takes for an instant to be printed: ``verbosity`` times ``-v``, or else the event monitor."""

    verbosity: int = 0
    event_monitor: bool = False

    def __or__(self, other: LogFlags) -> LogFlags:
        """Return what it takes for both."""
        return LogFlags(
            verbosity=max(self.verbosity, other.verbosity), event_monitor=self.event_monitor or other.event_monitor
        )

    def __str__(self) -> str:
        flags = ["-" + "v" * self.verbosity] if self.verbosity else []
        return ", ".join([*flags, "--event-monitor"] if self.event_monitor else flags) or "always"


class InstantKind(Struct, frozen=True, kw_only=True):
    """A kind of instant on one side."""

    key: str
    """Its name in the ids of rules."""
    find: Finder
    """The instants of this kind in their order, given the source and the destination."""
    printed: tuple[tuple[Releases, LogFlags], ...]
    """Which releases print it, and what that takes."""

    def need(self, release: int) -> LogFlags | None:
        """Return what it takes in a release (an index into ``RELEASES``); None if it does not print it."""
        return next((need for releases, need in self.printed if releases.first <= release <= releases.last), None)


_ALWAYS: Final = LogFlags()
_V: Final = LogFlags(verbosity=1)
_VV: Final = LogFlags(verbosity=2)
_VVV: Final = LogFlags(verbosity=3)
_MONITOR: Final = LogFlags(event_monitor=True)
_INFO: Final = ((ALL, _V),)
_EVENT: Final = ((until("v49.0"), _MONITOR), (since("v50.0"), _V))
_TIMED: Final = ((since("v52.0"), _VV),)
_COMMAND: Final = ((until("v49.0"), _V), (until("v52.0", first="v50.0"), _VVV), (since("v53.0"), _VV))


def _table(*rows: tuple[str, Finder, tuple[tuple[Releases, LogFlags], ...]]) -> dict[str, InstantKind]:
    return {key: InstantKind(key=key, find=find, printed=printed) for key, find, printed in rows}


SOURCE: Final = _table(
    ("connecting", main_connect, _INFO),
    ("start-read", start_read, _INFO),
    ("start-acknowledged", acknowledged_start, _INFO),
    ("config-acknowledged", acknowledged_config, _INFO),
    ("iteration-written", iterations_written, _INFO),
    ("iteration-acknowledged", iterations_acknowledged, _INFO),
    ("final-delta-written", final_memory_written, _INFO),
    ("final-delta-acknowledged", final_memory_acknowledged, _INFO),
    ("paused", paused, _EVENT),
    ("snapshotted", snapshot_done, _INFO),
    ("state-written", state_written_after, _TIMED),
    ("state-acknowledged", state_acknowledged, _TIMED),
    ("complete-written", complete_written_after, _TIMED),
    ("completed", first_of(Kind.COMPLETED, Kind.SEND_FINISHED), _INFO),
    ("fault-connecting", fault_connect, ((since("v53.0"), _V),)),
    ("drained", first_of(Kind.POSTCOPY_DRAINED), ((since("v53.0"), _V),)),
    ("last-line", last_before_drop, _INFO),
    ("refusal-read", refusal_read, ((ALL, _ALWAYS),)),
    ("answer-read", answer_read, ((ALL, _ALWAYS),)),
    ("peer-gone", peer_failure, ((ALL, _ALWAYS),)),
)
"""Instants on the source, in the order of a migration. What a printed duration is added to is named by its end."""

DESTINATION: Final = _table(
    ("receiving", received(Kind.RECEIVE_STARTED), _INFO),
    ("ready", received(Kind.RECEIVE_READY), ((since("v53.0"), _V),)),
    ("tls", first_tls, ((since("v53.0"), _V),)),
    ("accepted", received(Kind.ACCEPTED), ((since("v52.0"), _V),)),
    ("start-received", command(Command.START), _COMMAND),
    ("protocol", received(Kind.PROTOCOL_AGREED), ((since("v53.0"), _VV),)),
    ("memory-fd-received", command(Command.MEMORY_FD), _COMMAND),
    ("config-received", command(Command.CONFIG), _COMMAND),
    ("cpuid", received(Kind.CPUID_GENERATED), _INFO),
    ("cpu-compatible", received(Kind.CPU_COMPATIBLE), _INFO),
    ("memory-mapped", received(Kind.MEMORY_MAPPED), _INFO),
    ("memory-received", memory_received, _COMMAND),
    ("final-memory-received", final_memory, _COMMAND),
    ("state-received", command(Command.STATE), _COMMAND),
    ("accept-stopped", received(Kind.ACCEPT_STOPPED), ((until("v52.0", first="v52.0"), _V), (since("v53.0"), _VV))),
    ("vm-config", received(Kind.VM_CONFIG), _INFO),
    ("restoring", received(Kind.RESTORING), _EVENT),
    ("restored", received(Kind.RESTORED, Kind.RESTORING), _EVENT),
    ("restore-timed", received(Kind.STATE_RECEIVED), _TIMED),
    ("complete-received", command(Command.COMPLETE), _COMMAND),
    ("resuming", received(Kind.VM_RESUMING, Kind.PAUSED_STATE_RECEIVED), _EVENT),
    ("resumed", resumed, _EVENT),
    ("resume-timed", received(Kind.RESUME_TIMED), _TIMED),
    ("final-state-timed", received(Kind.FINAL_STATE_TIMED, Kind.PAUSED_STATE_RECEIVED), _TIMED),
    ("prefault-started", received(Kind.PREFAULT_STARTED), ((since("v53.0"), _V),)),
    ("prefault-done", received(Kind.PREFAULT_DONE), ((since("v53.0"), _V),)),
    ("peer-lost", peer_lost, ((since("v52.0"), _ALWAYS),)),
    ("aborted", received(Kind.RECEIVE_ABORTED), ((since("v50.0"), _ALWAYS),)),
    ("last-command", last_command, _COMMAND),
    ("last-answered", last_answered, _COMMAND),
)
"""Instants on the destination, in the order of a migration; ``-received`` is a request's header, read."""

OF_BOTH: Final = frozenset({"paused", "resumed", "memory-received", "final-memory-received"})
"""Instants that depend on the lines of both sides; all others on those of their own, and are looked for once."""
