"""A log and its event stream as one list: what the stream adds to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.hypervisors.cloud_hypervisor.attempt_kinds import ANY_BEGIN, ENDINGS
from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import LATEST_WRITE_NS, OF_EVENTS
from otelmig.migration.stamp import COARSE_NS, ClockDomain, Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.cloud_hypervisor.processes.stream_fit import Fit
    from otelmig.migration.observation import Observation

__all__ = ["merged"]

_ENDS_OF_ATTEMPTS: Final = ANY_BEGIN | ENDINGS


def merged(log: Sequence[Observation], events: Sequence[Observation], shift: Fit) -> tuple[Observation, ...]:
    """Return the log's observations with the stream's: where a line is missing, or known to less than a millisecond."""
    on_clock = {
        at: _on_log_clock(event, shift, log[0].stamp.domain)
        for at, event in enumerate(events)
        if event.kind in OF_EVENTS
    }
    result = []
    for line, observation in enumerate(log):
        own = on_clock.pop(shift.same[line]) if line in shift.same else None
        coarse = own is not None and observation.stamp.error_ns > max(COARSE_NS, own.stamp.error_ns)
        if own is not None and coarse and line not in shift.uncertain:
            result.append(replace(own, thread=observation.thread, text=observation.text))
        else:
            result.append(observation)
    for event in on_clock.values():
        at = _place(result, event)
        result.insert(at, event if not (shift.same and at) else _with_its_line(event, result[at - 1]))
    return tuple(result)


def _with_its_line(event: Observation, before: Observation) -> Observation:
    """Return an event whose line is missing from a log that has such lines: its time includes when the line was.

    What is missing must not make anything narrower: a line is written before its event is stamped.
    """
    hi_ns = event.stamp.hi_ns
    lo_ns = min(event.stamp.lo_ns, max(event.stamp.lo_ns - LATEST_WRITE_NS, before.stamp.lo_ns))
    error_ns = (hi_ns - lo_ns + 1) // 2
    return replace(event, stamp=replace(event.stamp, ns=hi_ns - error_ns, error_ns=error_ns))


def _place(log: Sequence[Observation], event: Observation) -> int:
    """Return where an event belongs by its time; the first of an attempt as early, its last as late as that may be.

    Its time is known to within the shift only, so it may seem to lie after what it must come before.
    """
    at = len(log)
    while at and log[at - 1].stamp.ns > event.stamp.ns:
        at -= 1
    if event.kind in ANY_BEGIN:
        while at and log[at - 1].stamp.hi_ns >= event.stamp.lo_ns and log[at - 1].kind not in _ENDS_OF_ATTEMPTS:
            at -= 1
    elif event.kind in ENDINGS:
        while at < len(log) and log[at].stamp.lo_ns <= event.stamp.hi_ns and log[at].kind not in ANY_BEGIN:
            at += 1
    return at


def _on_log_clock(event: Observation, shift: Fit, domain: ClockDomain) -> Observation:
    middle = (shift.lo_ns + shift.hi_ns) // 2
    stamp = Stamp(
        ns=event.stamp.ns + middle,
        error_ns=event.stamp.error_ns + shift.hi_ns - middle,
        text=event.stamp.text,
        domain=domain,
    )
    return replace(event, stamp=stamp, text="")
