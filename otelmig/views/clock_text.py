"""Sentences about the two clocks and about how long the guest stood still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.migration.side import Result, Role
from otelmig.migration.stamp import ClockDomain
from otelmig.trace import attributes as names
from otelmig.trace.attributes import MIXED_CLOCKS, ClockBasis, GuestLocation
from otelmig.trace.spans import SpanName
from otelmig.units import SECOND_NS
from otelmig.views.units import duration, number, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.trace.span import AttributeValue, Trace

__all__ = ["blackout_text", "clock_lines", "drift_text", "missing_side"]

_BLACKOUT: Final = (
    names.VM_MIGRATION_BLACKOUT_DURATION,
    names.VM_MIGRATION_BLACKOUT_MIN,
    names.VM_MIGRATION_BLACKOUT_MAX,
    names.VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC,
    names.VM_MIGRATION_BLACKOUT_WIDTH_CLOCK,
)
_WHOLE_PPM: Final = 1000
"""Parts per million from which on there is no fraction."""
_EXCESS: Final = (
    names.VM_MIGRATION_DOWNTIME_EXCESS_DURATION,
    names.VM_MIGRATION_DOWNTIME_EXCESS_MIN,
    names.VM_MIGRATION_DOWNTIME_EXCESS_MAX,
)


def clock_lines(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield sentences about the offset, each with its style: ``plain``, or ``error`` where the clocks contradict."""
    receive = trace.first(SpanName.RECEIVE)
    if receive is None or trace.root.role is Role.DESTINATION:
        yield f"only one: {missing_side(trace)}", "plain"
        return
    clock = receive.attributes
    status = clock.get(names.OTELMIG_CLOCK_STATUS)
    if status == ClockStatus.UNSYNCED:
        yield (
            "the offset between the wall clocks was not asked for, or nothing bounds it; timestamps are as printed",
            "plain",
        )
        return
    if status == ClockStatus.CONFLICT:
        yield from ((text, "error") for text in _conflict(clock))
        return
    yield _offset(clock), "plain"
    if names.OTELMIG_CLOCK_DRIFT_REQUIRED in clock:
        needed, assumed = drift_text(clock[names.OTELMIG_CLOCK_DRIFT_REQUIRED]), drift_text(_assumed(clock))
        yield (
            f"they drifted by at least {needed}, more than was to be assumed: {assumed} are allowed for",
            "plain",
        )


def missing_side(trace: Trace) -> str:
    """Return what to do about the side that a trace lacks."""
    missing = Role.SOURCE if trace.root.role is Role.DESTINATION else Role.DESTINATION
    if trace.root.attributes.get(names.OTELMIG_PAIRING_REASONS):
        return f"no log of a {missing} fits without doubt"
    return f"add the {missing}'s log"


def _assumed(clock: Mapping[str, AttributeValue]) -> AttributeValue | None:
    return clock.get(names.OTELMIG_CLOCK_DRIFT_ASSUMED)


def drift_text(value: AttributeValue | None) -> str:
    """Return a relative rate in ppm."""
    ppm = number(value) * 1e6
    return f"{ppm:.3g} ppm" if ppm < _WHOLE_PPM else f"{ppm:.0f} ppm"


def _offset(clock: Mapping[str, AttributeValue]) -> str:
    lo, hi = clock.get(names.OTELMIG_CLOCK_OFFSET_MIN), clock.get(names.OTELMIG_CLOCK_OFFSET_MAX)
    used = number(clock.get(names.OTELMIG_CLOCK_OFFSET_ESTIMATE))
    realtime = clock.get(names.OTELMIG_CLOCK_DOMAIN) == ClockDomain.REALTIME
    if lo is None or hi is None:
        bound = number(hi) if lo is None else number(lo)
        most = "at most" if (lo is None) == (bound >= 0) else "at least"
        what = f"the destination is {_ahead(bound)}" if realtime else f"the destination's zero is {_earlier(bound)}"
        return f"{what} by {most} {abs(bound):.4f} s, and nothing bounds it on the other side"
    proof = f"{_how(clock)} to lie in {number(lo):.4f} .. {number(hi):.4f} s"
    if clock.get(names.OTELMIG_CLOCK_DOMAIN) == MIXED_CLOCKS:
        width = duration((number(hi) - number(lo)) * SECOND_NS)
        return f"one log has a wall clock; when the other's process started is {_how(clock)} to within {width}"
    if not realtime:
        near, far = sorted((number(lo), number(hi)) if used >= 0 else (-number(lo), -number(hi)))
        zero = f"the destination's zero is {abs(used):.4f} s {_earlier(used)}"
        return f"{zero}: {_how(clock)} to lie in {near:.4f} .. {far:.4f} s (process starts, not the hosts' clocks)"
    if number(lo) <= 0 <= number(hi):
        return f"the clocks may agree: offset {proof}"
    return f"destination is {abs(used):.3f} s {_ahead(used)}: {proof}"


def _ahead(offset: float) -> str:
    """Return how the destination's wall clock stands to the source's."""
    return "ahead" if offset >= 0 else "behind"


def _earlier(offset: float) -> str:
    """Return when the destination's clock read zero, seen from the source's: a clock that is ahead began earlier."""
    return "earlier" if offset >= 0 else "later"


def _how(clock: Mapping[str, AttributeValue]) -> str:
    """Return what the bounds rest on."""
    if clock.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.ASSUMED:
        return "known, if these two belong together,"
    believed = clock.get(names.OTELMIG_CLOCK_BASIS) == ClockBasis.BELIEVED
    return "believed (by the hosts' time services)" if believed else "proved"


def _conflict(clock: Mapping[str, AttributeValue]) -> Iterator[str]:
    worst = clock.get(names.OTELMIG_CLOCK_EVIDENCE_CONFLICTS)
    if worst is None:
        yield "CONFLICT: a wall clock was set while it was read, so no offset holds throughout"
        yield _step_text(clock) or ""
        return
    one, other = worst if isinstance(worst, tuple) else ("", "")
    excess = seconds_text(clock.get(names.OTELMIG_CLOCK_CONFLICT_EXCESS))
    yield f"CONFLICT: no offset fits. {one} and {other} exclude each other by {excess}"
    count, total = (
        clock.get(names.OTELMIG_CLOCK_CONFLICT_CONSTRAINT_COUNT),
        clock.get(names.OTELMIG_CLOCK_CONSTRAINT_COUNT),
    )
    widening = seconds_text(clock.get(names.OTELMIG_CLOCK_CONFLICT_DURATION))
    yield f"{count} of {total} constraints exclude another; all would hold if each were {widening} looser"
    step = _step_text(clock)
    if step is not None:
        yield f"it would be explained by {step}"
    drift = clock.get(names.OTELMIG_CLOCK_DRIFT_REQUIRED)
    slewed = "" if drift is None else f", a clock slewed fast ({drift_text(drift)} would do)"
    causes = f"logs of different migrations, a clock that was set, a damaged timestamp, a missing line{slewed}"
    yield f"possible causes: {causes}"


def _step_text(clock: Mapping[str, AttributeValue]) -> str | None:
    """Return the step of a clock that explains a conflict, if one does."""
    lines = clock.get(names.OTELMIG_CLOCK_EVIDENCE_STEPS)
    if not isinstance(lines, tuple):
        return None
    lo, hi = clock.get(names.OTELMIG_CLOCK_STEP_MIN), clock.get(names.OTELMIG_CLOCK_STEP_MAX)
    if lo is not None and hi is not None:
        size = f"of {number(lo) * 1e3:+.1f} .. {number(hi) * 1e3:+.1f} ms"
    else:
        size = f"of {number(lo) * 1e3:+.1f} ms or more" if lo is not None else f"of {number(hi) * 1e3:+.1f} ms or less"
    return f"one step {size}: a wall clock was set between {lines[0]} and {lines[1]}"


def blackout_text(trace: Trace) -> str:
    """Return how long the guest stood still, how sure that is and why, and how far the printed downtime is from it."""
    root = trace.root.attributes
    if names.VM_MIGRATION_BLACKOUT_DURATION in root and names.VM_MIGRATION_BLACKOUT_MAX not in root:
        least = seconds_text(root[names.VM_MIGRATION_BLACKOUT_MIN])
        return f"vCPUs stood still at least {least}; no line bounds it from above"
    if names.VM_MIGRATION_BLACKOUT_DURATION in root:
        middle, low, high, semantic, clock = (seconds_text(root[name]) for name in _BLACKOUT)
        uncertainty = f"uncertain by {semantic} between log lines, {clock} from the clocks"
        return f"vCPUs stood still {middle} ({low} .. {high}: {uncertainty}){_excess(root)}"
    if root.get(names.VM_MIGRATION_VM_WAS_PAUSED):
        return "none: the guest was paused before"
    if trace.first(SpanName.DOWNTIME) is None:
        return _no_pause(trace)
    if root.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.CONFLICT:
        return "unknown: the clocks contradict each other"
    if len(trace.resources) > 1 and root.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.UNSYNCED:
        return "unknown without the offset between the clocks"
    return _open_end(root)


def _open_end(root: Mapping[str, AttributeValue]) -> str:
    """Return what a trace says whose guest was stopped, if the blackout has no end or no beginning."""
    location, running = root.get(names.VM_MIGRATION_GUEST_LOCATION), root.get(names.VM_MIGRATION_GUEST_RUNNING)
    if location == GuestLocation.NONE:
        return "without end: the guest is gone"
    if location == GuestLocation.SOURCE and running:
        return "unknown: these logs do not say when the vCPUs stopped"
    return "unknown: these logs do not say when the guest ran again"


def _no_pause(trace: Trace) -> str:
    """Return what a trace without a pause of the guest says about the blackout."""
    if trace.root.role is not Role.SOURCE:
        return "unknown without the source"
    root = trace.root.attributes
    if root.get(names.VM_MIGRATION_RESULT) == Result.UNKNOWN:
        return "unknown: the source's log stops before any pause"
    if root.get(names.VM_MIGRATION_GUEST_LOCATION) == GuestLocation.NONE:
        return "without end: the guest is gone"
    if root.get(names.VM_MIGRATION_GUEST_UNDISTURBED):
        if root.get(names.VM_MIGRATION_GUEST_RUNNING) is None:
            return "none by the migration; whether the guest ran before it, the log does not say"
        return "none: the guest was not stopped"
    return "unknown: these logs do not say whether the guest was stopped"


def _excess(root: Mapping[str, AttributeValue]) -> str:
    if names.VM_MIGRATION_DOWNTIME_EXCESS_DURATION not in root:
        return ""
    middle, low, high = (number(root[name]) * 1e3 for name in _EXCESS)
    than = "longer" if middle >= 0 else "shorter"
    return f"; the printed downtime is {abs(middle):.0f} ms {than} ({low:.0f} .. {high:.0f})"
