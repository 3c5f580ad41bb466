"""A log and its event stream as one list: what the stream adds to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import OF_EVENTS
from otelmig.migration.stamp import COARSE_NS, ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import Fit
    from otelmig.migration.observation import Observation

__all__ = ["merged"]


def merged(log: Sequence[Observation], events: Sequence[Observation], shift: Fit) -> tuple[Observation, ...]:
    """Return the log's observations with the stream's: where a line is missing, or known to less than a millisecond."""
    on_clock = {
        at: _on_log_clock(event, shift, log[0].stamp.domain)
        for at, event in enumerate(events)
        if event.kind in OF_EVENTS
    }
    result = []
    for line, seen in enumerate(log):
        own = on_clock.pop(shift.same[line]) if line in shift.same else None
        coarse = own is not None and seen.stamp.error_ns > max(COARSE_NS, own.stamp.error_ns)
        if own is not None and coarse and line not in shift.uncertain:
            result.append(own._replace(thread=seen.thread, text=seen.text))
        else:
            result.append(seen)
    for event in on_clock.values():
        at = len(result)
        while at and result[at - 1].stamp.ns > event.stamp.ns:
            at -= 1
        result.insert(at, event)
    return tuple(result)


def _on_log_clock(event: Observation, shift: Fit, domain: ClockDomain) -> Observation:
    middle = (shift.lo_ns + shift.hi_ns) // 2
    stamp = Stamp(
        ns=event.stamp.ns + middle,
        error_ns=event.stamp.error_ns + shift.hi_ns - middle,
        text=event.stamp.text,
        domain=domain,
    )
    return event._replace(stamp=stamp, text="")
