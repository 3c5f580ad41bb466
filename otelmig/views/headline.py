"""The sentences above the waterfall: what happened, where the guest is, and how sure the numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.migration.side import Role
from otelmig.trace.attributes import dialect_attribute
from otelmig.views.clock_text import blackout_text, clock_lines
from otelmig.views.summary import start_time
from otelmig.views.units import duration, number, size, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.trace.span import Trace

__all__ = ["closing", "headline"]

_LOUD = {
    "success": "success",
    "failure": "FAILED",
    "timeout": "TIMED OUT",
    "cancellation": "cancelled",
    "unknown": "UNKNOWN: the evidence stops",
}
_REASONS = {
    "no_dirty_memory": "converged: no dirty memory was left",
    "downtime_target_met": "converged: target met",
    "timeout_ignored": "converged: timeout reached, the target was ignored",
    "timeout_cancelled": "not converged: it did not meet the target within the timeout",
    "iteration_limit": "converged: the last round of this release was reached",
}


def headline(trace: Trace) -> Iterator[tuple[str, str]]:
    """Lines with their style: ``strong``, ``error``, ``plain`` or ``dim``."""
    root = trace.root.attributes
    result = str(root.get("vm.migration.result"))
    ok = result == "success"
    head = f"migration  {_target(trace)}  {root.get('vm.migration.mode')}  {_LOUD.get(result, result)}"
    yield f"{head}  {_guest(trace)}", "strong" if ok else "error"
    if trace.root.error is not None:
        yield f"error      {root.get('error.type')}: {trace.root.error}", "error"
    yield _figures(trace), "plain"
    for index, (text, style) in enumerate(clock_lines(trace)):
        yield f"{'' if index else 'clock':<11}{text}", style
    yield f"blackout   {blackout_text(trace)}", "plain"
    origin = {
        "wallclock": "by the log's wall clock",
        "partial_wallclock": "by the log's wall clock, completed: see the notes",
        "peer_wallclock": "by the other log's wall clock",
        "receipt": "by the stamps of the journal, syslog, the container runtime or the statistics",
        "anchor": "by the given anchor",
        "file_time": "by file times: approximate",
    }.get(str(root.get("otelmig.clock.epoch.origin")), "")
    yield f"began      {start_time(trace)} ({origin})   trace {trace.trace_id}", "dim"


def _target(trace: Trace) -> str:
    root = trace.root.attributes
    if root.get("network.transport") == "unix":
        return "unix socket"
    if "server.port" not in root:
        return "destination unknown"
    tls = "tcp+tls" if root.get("tls.established") else "tcp"
    return f"{tls}:{root.get('server.address', '<address>')}:{root['server.port']}"


def _guest(trace: Trace) -> str:
    root = trace.root.attributes
    location, running = root.get("vm.migration.guest.location"), root.get("vm.migration.guest.running")
    line = f" ({root['otelmig.evidence.guest']})" if "otelmig.evidence.guest" in root else ""
    if location == "unknown":
        return f"where the guest is, is not known{line}"
    if location == "none":
        return f"the guest is gone{line}"
    state = {True: "guest runs", False: "guest is paused", None: "guest is"}[
        running if isinstance(running, bool) else None
    ]
    return f"{state} on the {location}{line}"


def _figures(trace: Trace) -> str:
    root = trace.root.attributes
    dialect = dialect_attribute(str(root.get("vm.migration.system.name")))
    versions = [
        f"{role} {found.get('service.version') or found.get(dialect, 'of an unknown release')}"
        for role in Role
        if (found := trace.resources.get(role)) is not None
    ]
    parts = [" -> ".join(versions), duration(trace.root.duration_ns)]
    if "vm.migration.memory.size" in root:
        parts.append(f"{size(root['vm.migration.memory.size'])} sent")
    if (attempt := number(root.get("vm.migration.attempt"))) > 1:
        parts.append(f"attempt {attempt:.0f}")
    if (stopped := trace.first("downtime")) is not None:
        printed = stopped.attributes.get("vm.migration.downtime.duration")
        length = stopped.duration_ns if printed is None else number(printed) * 1e9
        parts.append(f"downtime {duration(length)}{_goal(trace, length)}")
    return "   ".join(parts)


def _goal(trace: Trace, length_ns: float) -> str:
    stopped = trace.first("downtime")
    goal = None if stopped is None else stopped.attributes.get("vm.migration.downtime.target")
    if goal is None:
        return ""
    goal_ns = number(goal) * 1e9
    if length_ns <= goal_ns:
        return f", goal {duration(goal_ns)} met"
    return f", goal {duration(goal_ns)} missed by {duration(length_ns - goal_ns)}"


def closing(trace: Trace) -> Iterator[tuple[str, str]]:
    """Lines below the waterfall: why it converged, what dominated, what is missing."""
    yield from ((text, "plain") for text in _convergence(trace))
    root = trace.root.attributes
    stopped = trace.first("downtime")
    logging = number(root.get("vm.migration.logging.duration")) * 1e9
    if stopped is not None and logging >= stopped.duration_ns / 20:
        cost = f"{duration(logging)} of these {duration(stopped.duration_ns)}"
        yield f"writing dirty tables to the log cost {cost}: less verbosity avoids it", "plain"
    completeness = root.get("otelmig.evidence.completeness")
    if completeness == "partial":
        yield "evidence is partial: a side is missing, or a log stops before the end", "dim"
    elif completeness == "inferred":
        text = "some phases are inferred from stamps: the log prints no breakdown of the downtime"
        yield f"{text} (otelmig doctor says which flag would)", "dim"
    for doubt in texts(root.get("otelmig.evidence.doubts")):
        yield f"doubtful: {doubt}", "error"
    reasons = texts(root.get("otelmig.pairing.reasons"))
    if reasons:
        yield f"paired: {'; '.join(reasons)}" if len(trace.resources) > 1 else f"alone: {'; '.join(reasons)}", "dim"
    yield from ((note, "dim") for note in trace.notes)


def _convergence(trace: Trace) -> Iterator[str]:
    precopy, stopped = trace.first("precopy"), trace.first("downtime")
    reason = None if precopy is None else precopy.attributes.get("vm.migration.convergence.reason")
    if precopy is None or reason is None:
        return
    text = _REASONS.get(str(reason), f"converged: {reason}")
    estimate = number(precopy.attributes.get("vm.migration.downtime.estimated")) * 1e9
    if estimate:
        text += f" ({duration(estimate)} estimated)"
    if stopped is not None and estimate and stopped.error is None:
        text += f", real downtime {stopped.duration_ns / estimate:.1f}x the estimate"
        memory = trace.first("final delta")
        if memory is None or memory.duration_ns < stopped.duration_ns / 2:
            text += ": state, not memory, is the cause"
    yield text
