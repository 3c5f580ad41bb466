"""How long the VM's state travelled, one way: from its first byte written to its last byte read, with error bars.

Neither instant is printed. The state cannot leave before the snapshot is done on the source, nor before its header
was read minus the way there; it has arrived where the destination starts to restore it. What the destination alone
measures (from the header to the last byte) needs no clock and is the least that it can have been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.trace import attributes as names
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.units import PPB

if TYPE_CHECKING:
    from otelmig.clock.proof import ClockProof
    from otelmig.migration.facts import Restore
    from otelmig.trace.drafting.aligned_sides import AlignedSides

__all__ = ["state_transfer_attributes"]


def state_transfer_attributes(aligned: AlignedSides, proof: ClockProof | None) -> dict[str, float]:
    """Return how long the state travelled: middle of what is possible, least, most, in seconds; empty if unknown."""
    sent, restore, placement = aligned.sent, aligned.received.restore, aligned.timeline.placement
    left, arrived_ns = sent.snapshot.end, _arrived_ns(restore)
    if proof is None or placement is None or placement.bounds is None:
        return {}
    if left is None or arrived_ns is None or sent.downtime is None:
        return {}
    bounds = proof.bounds_between(left.stamp.lo_ns, arrived_ns - placement.estimate_ns)
    latest = None if bounds is None else bounds.latest_source_ns(arrived_ns)
    candidates = [] if latest is None else [latest - left.stamp.lo_ns]
    send = None if sent.downtime_parts is None else sent.downtime_parts.send
    if send is not None:  # from the first byte to the answer, which came after the restore
        restored_ns = 0 if restore.restore is None else restore.restore.ns  # by the destination's clock
        candidates.append(send.ns + send.error_ns - restored_ns + _drifted(restored_ns, proof))
    received_ns = 0 if restore.receive is None else restore.receive.ns
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
    """Return by how much the other clock may have run differently while one ran for ``ns``."""
    return -(-ns * proof.bounds.drift_ppb // PPB)


def _arrived_ns(restore: Restore) -> int | None:
    """Return the destination's time by which all of the state had been read."""
    if restore.printed_at is not None:
        return restore.printed_at.stamp.hi_ns - (0 if restore.restore is None else restore.restore.ns)
    instant = restore.config or restore.restoring
    return None if instant is None else instant.stamp.hi_ns
