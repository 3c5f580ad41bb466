"""How long the VM's state travelled, one way: from its first byte written to its last byte read, with error bars.

Neither instant is printed. The state cannot leave before the snapshot is done on the source, nor before its header
was read minus the way there; it has arrived where the destination starts to restore it. What the destination alone
measures (from the header to the last byte) needs no clock and is the least that it can have been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.observation import Kind
from otelmig.trace import attributes as names
from otelmig.trace.aligned_sides import seconds

if TYPE_CHECKING:
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.observation import Observation
    from otelmig.migration.side import Side
    from otelmig.trace.aligned_sides import AlignedSides

__all__ = ["state_transfer_attributes"]

_MS: Final = 10**6


def state_transfer_attributes(aligned: AlignedSides, proof: ClockProof | None) -> dict[str, float]:
    """The one-way transfer of the state: middle of what is possible, least and most, in seconds; empty if unknown."""
    source, destination, placement = aligned.source, aligned.destination, aligned.timeline.placement
    if source is None or destination is None or proof is None or placement is None or placement.bounds is None:
        return {}
    left = source.first(Kind.SNAPSHOTTED)
    arrived_ns = _arrived_ns(destination)
    if left is None or arrived_ns is None or source.first(Kind.COMPLETED) is None:
        return {}
    bounds = proof.bounds_between(left.stamp.lo_ns, arrived_ns - placement.estimate_ns)
    latest = None if bounds is None else bounds.latest_source_ns(arrived_ns)
    candidates = [] if latest is None else [latest - left.stamp.lo_ns]
    received = destination.first(Kind.STATE_RECEIVED)
    parts = source.first(Kind.DOWNTIME_BREAKDOWN)
    sent_ns = None if parts is None else parts.number("send_ns")
    if sent_ns is not None:  # from the first byte to the answer, which came after the restore
        restored_ns = _number(received, "restore_ns")  # by the destination's clock
        candidates.append(sent_ns + _MS - restored_ns + _drifted(restored_ns, proof))
    received_ns = _number(received, "receive_ns")
    least = received_ns - _drifted(received_ns, proof)
    most = min(candidates, default=None)
    if most is None or most < least:  # unknown, or printed durations that cannot be true together
        return {}
    return {
        names.VM_MIGRATION_STATE_TRANSFER_DURATION: seconds((least + most) // 2),
        names.VM_MIGRATION_STATE_TRANSFER_MIN: seconds(least),
        names.VM_MIGRATION_STATE_TRANSFER_MAX: seconds(most),
    }


def _drifted(ns: int, proof: ClockProof) -> int:
    """By how much the other clock may have run differently while one ran for so long."""
    return -(-ns * proof.bounds.drift_ppb // 10**9)


def _number(seen: Observation | None, name: str) -> int:
    return 0 if seen is None else seen.number(name) or 0


def _arrived_ns(destination: Side) -> int | None:
    """The destination's time by which all of the state had been read."""
    received = destination.first(Kind.STATE_RECEIVED)
    if received is not None:
        return received.stamp.hi_ns - _number(received, "restore_ns")
    seen = destination.first(Kind.VM_CONFIG, Kind.RESTORING)
    return None if seen is None else seen.stamp.hi_ns
