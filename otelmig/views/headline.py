"""The sentences above the waterfall: what happened, where the guest is, and how sure the numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.clock.epoch import EpochOrigin
from otelmig.migration.facts import ConvergenceReason, ErrorType, Fate
from otelmig.migration.side import Result, Role
from otelmig.migration.url import Transport
from otelmig.pairing.agreement import PairingBasis
from otelmig.trace import attributes as names
from otelmig.trace.attributes import Completeness, GuestLocation, dialect_attribute
from otelmig.trace.spans import SpanName
from otelmig.units import SECOND_NS
from otelmig.views.clock_text import blackout_text, clock_lines, missing_side
from otelmig.views.summary import start_time
from otelmig.views.units import duration, number, plural, seconds_text, size, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.trace.span import Span, Trace

__all__ = ["FATE_WORDS", "closing", "headline"]

_LOUD: Final[Mapping[str, str]] = {
    Result.SUCCESS: "success",
    Result.FAILURE: "FAILED",
    Result.TIMEOUT: "TIMED OUT",
    Result.CANCELLATION: "cancelled",
    Result.UNKNOWN: "UNKNOWN: the evidence stops",
}
FATE_WORDS: Final[Mapping[str, str]] = {
    Fate.RESET: "was RESET",
    Fate.PANICKED: "PANICKED",
    Fate.SHUT_DOWN: "SHUT DOWN",
    Fate.KILLED: "was KILLED",
}
"""What became of a guest, as it follows \"the guest\"."""
_REASONS: Final[Mapping[str, str]] = {
    ConvergenceReason.NO_DIRTY_MEMORY: "converged: no dirty memory was left",
    ConvergenceReason.DOWNTIME_TARGET_MET: "converged: target met",
    ConvergenceReason.TIMEOUT_IGNORED: "converged: timeout reached, the target was ignored",
    ConvergenceReason.TIMEOUT_CANCELLED: "not converged: it did not meet the target within the timeout",
    ConvergenceReason.ITERATION_LIMIT: "precopy ended: this release makes no more memory iterations",
}
_ORIGINS: Final[Mapping[str, str]] = {
    EpochOrigin.WALLCLOCK: "by the log's wall clock",
    EpochOrigin.PARTIAL_WALLCLOCK: "by the log's wall clock, completed: see the notes",
    EpochOrigin.PEER_WALLCLOCK: "by the other log's wall clock",
    EpochOrigin.RECEIPT: "by the timestamps of the journal, syslog, the container runtime or the statistics",
    EpochOrigin.ANCHOR: "by the anchor",
    EpochOrigin.FILE_TIME: "by file times: approximate",
}


def headline(trace: Trace, *, width: int) -> Iterator[tuple[str, str]]:
    """Yield lines, each with its style: ``strong``, ``error``, ``plain`` or ``dim``.

    A line may be longer than ``width`` columns, but the id of the trace is never apart from its label.
    """
    root = trace.root.attributes
    yield from _alarm(trace)
    if names.OTELMIG_PAIRING_DOUBT in root:
        named = root.get(names.OTELMIG_PAIRING_BASIS) in (PairingBasis.ENDPOINT, PairingBasis.CLOCKS)
        yield f"{'pair':<11}not certain: {root[names.OTELMIG_PAIRING_DOUBT]}", "strong" if named else "error"
    result = str(root.get(names.VM_MIGRATION_RESULT))
    ok = result == Result.SUCCESS
    head = f"migration  {_destination(trace)}  {root.get(names.VM_MIGRATION_MODE)}  {_LOUD.get(result, result)}"
    yield f"{head}  {_guest(trace)}", "strong" if ok else "error"
    if trace.root.error is not None:
        yield f"error      {root.get(names.ERROR_TYPE)}: {trace.root.error}", "error"
    yield _figures(trace), "plain"
    for index, (text, style) in enumerate(clock_lines(trace)):
        yield f"{'' if index else 'clock':<11}{text}", style
    yield f"blackout   {blackout_text(trace)}", "plain"
    origin = _ORIGINS.get(str(root.get(names.OTELMIG_CLOCK_EPOCH_ORIGIN)), "")
    began, identity = f"began      {start_time(trace)} ({origin})", f"trace {trace.trace_id}"
    if len(began) + 3 + len(identity) <= width:
        yield f"{began}   {identity}", "dim"
    else:
        yield began, "dim"
        yield f"{'trace':<11}{trace.trace_id}", "dim"


def _alarm(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield what must be known before anything else: the guest runs twice, or it did not stay as it was."""
    root = trace.root.attributes
    if root.get(names.VM_MIGRATION_GUEST_LOCATION) == GuestLocation.BOTH:
        lines = str(root.get(names.OTELMIG_EVIDENCE_GUEST, "")).replace(", ", " and ")
        does = "RUNS" if root.get(names.VM_MIGRATION_GUEST_RUNNING) else "IS"
        yield f"guest      {does} ON BOTH HOSTS: the source took it back, and the destination has it ({lines})", "error"
    if names.VM_MIGRATION_GUEST_FATE in root:
        yield f"guest      {_fate(trace)}", "error"


def _destination(trace: Trace) -> str:
    root = trace.root.attributes
    if root.get(names.NETWORK_TRANSPORT) == Transport.UNIX:
        return "unix socket"
    if names.SERVER_PORT not in root:
        return "destination unknown"
    tls = "tcp+tls" if root.get(names.TLS_ESTABLISHED) else "tcp"
    return f"{tls}:{root.get(names.SERVER_ADDRESS, '<address>')}:{root[names.SERVER_PORT]}"


def _guest(trace: Trace) -> str:
    root = trace.root.attributes
    location, running = root.get(names.VM_MIGRATION_GUEST_LOCATION), root.get(names.VM_MIGRATION_GUEST_RUNNING)
    line = f" ({root[names.OTELMIG_EVIDENCE_GUEST]})" if names.OTELMIG_EVIDENCE_GUEST in root else ""
    if location == GuestLocation.UNKNOWN and root.get(names.VM_MIGRATION_RESULT) == Result.SUCCESS:
        return f"destination unknown: it may run the guest, or have stored it{line}"
    if location == GuestLocation.UNKNOWN:
        died = (
            "; if the source died, its guest died with it"
            if root.get(names.ERROR_TYPE) == ErrorType.PEER_ABORTED
            else ""
        )
        return f"nothing says where the guest is{line}{died}"
    if location == GuestLocation.NONE:
        return f"the guest is gone{line}"
    paused = "guest is paused" if root.get(names.VM_MIGRATION_VM_WAS_PAUSED) else "guest does not run"
    state = {True: "guest runs", False: paused, None: "guest is"}[running if isinstance(running, bool) else None]
    again = ", another boot" if root.get(names.VM_MIGRATION_GUEST_FATE) == Fate.RESET else ""
    where = "both hosts" if location == GuestLocation.BOTH else f"the {location}"
    unknown = "" if isinstance(running, bool) else "; no line says whether it runs"
    return f"{state} on {where}{again}{line}{unknown}"


def _fate(trace: Trace) -> str:
    """Return what became of the guest, when, and the line that says so."""
    root = trace.root.attributes
    fate, uptime = root[names.VM_MIGRATION_GUEST_FATE], root.get(names.VM_MIGRATION_GUEST_UPTIME)
    location = root.get(names.VM_MIGRATION_GUEST_LOCATION)
    place = f" on the {location}" if location in (GuestLocation.SOURCE, GuestLocation.DESTINATION) else ""
    after = "" if uptime is None else f" {seconds_text(uptime)} after it ran"
    cause = f"{root.get(names.OTELMIG_EVIDENCE_FATE)}: {root.get(names.VM_MIGRATION_GUEST_CAUSE)}"
    return f"{FATE_WORDS[Fate(str(fate))]}{after}{place} ({cause})"


def _figures(trace: Trace) -> str:
    root = trace.root.attributes
    dialect = dialect_attribute(str(root.get(names.VM_MIGRATION_SYSTEM_NAME)))
    versions = [
        f"{role} {resource.get(names.SERVICE_VERSION) or resource.get(dialect, 'of an unknown release')}"
        for role in Role
        if (resource := trace.resources.get(role)) is not None
    ]
    parts = [" -> ".join(versions), duration(trace.root.duration_ns)]
    if names.VM_MIGRATION_MEMORY_SIZE in root:
        parts.append(f"{size(root[names.VM_MIGRATION_MEMORY_SIZE])} sent")
    if (attempt := number(root.get(names.VM_MIGRATION_ATTEMPT))) > 1:
        parts.append(f"attempt {attempt:.0f}")
    if (stopped := trace.first(SpanName.DOWNTIME)) is not None:
        parts.append(f"downtime {_downtime(trace, stopped)}")
    return "   ".join(parts)


def _downtime(trace: Trace, stopped: Span) -> str:
    """Return how long the downtime was; one whose end is not logged was that at most, if anything bounds it."""
    attributes = stopped.attributes
    if names.VM_MIGRATION_DOWNTIME_MAX in attributes:
        return f"at most {seconds_text(attributes[names.VM_MIGRATION_DOWNTIME_MAX])}"
    if names.VM_MIGRATION_DOWNTIME_OPEN in attributes:
        return "not known: its end is not logged"
    printed = attributes.get(names.VM_MIGRATION_DOWNTIME_DURATION)
    length = stopped.duration_ns if printed is None else number(printed) * SECOND_NS
    return f"{duration(length)}{_target_met(trace, length)}"


def _target_met(trace: Trace, length_ns: float) -> str:
    """Return how a downtime of ``length_ns`` compares with its target, if there was one."""
    stopped = trace.first(SpanName.DOWNTIME)
    target = None if stopped is None else stopped.attributes.get(names.VM_MIGRATION_DOWNTIME_TARGET)
    if target is None:
        return ""
    target_ns = number(target) * SECOND_NS
    if length_ns <= target_ns:
        return f", target {duration(target_ns)} met"
    return f", target {duration(target_ns)} missed by {duration(length_ns - target_ns)}"


def closing(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield the lines below the waterfall: why the migration converged, what the log cost, what is missing."""
    yield from ((text, "plain") for text in _convergence(trace))
    root = trace.root.attributes
    stopped = trace.first(SpanName.DOWNTIME)
    logging = number(root.get(names.VM_MIGRATION_LOGGING_DURATION)) * SECOND_NS
    if stopped is not None and logging >= stopped.duration_ns / 20:
        cost = f"{duration(logging)} of these {duration(stopped.duration_ns)}"
        yield f"writing the log cost {cost}: less verbosity avoids it", "plain"
    paused = trace.first(SpanName.PAUSE)
    if paused is not None and (waited := number(paused.attributes.get(names.VM_VCPU_WAIT_DURATION))):
        times = plural(int(number(paused.attributes[names.VM_VCPU_WAIT_COUNT])), "time")
        yield (
            f"the pause waited for a vCPU that did not respond: {duration(waited * SECOND_NS)} (said {times})",
            "plain",
        )
    completeness = root.get(names.OTELMIG_EVIDENCE_COMPLETENESS)
    if completeness == Completeness.PARTIAL:
        what = missing_side(trace) if len(trace.resources) == 1 else "a log stops before the end"
        yield f"evidence is partial: {what}", "dim"
    elif completeness == Completeness.INFERRED:
        text = "some phases are inferred from timestamps: the log prints no breakdown of the downtime"
        yield f"{text} (otelmig doctor says which flag would)", "dim"
    for doubt in texts(root.get(names.OTELMIG_EVIDENCE_DOUBTS)):
        yield f"doubtful: {doubt}", "error"
    reasons = texts(root.get(names.OTELMIG_PAIRING_REASONS))
    if reasons:
        yield f"paired: {'; '.join(reasons)}" if len(trace.resources) > 1 else f"alone: {'; '.join(reasons)}", "dim"
    yield from ((note, "dim") for note in trace.notes)


def _convergence(trace: Trace) -> Iterator[str]:
    precopy, stopped = trace.first(SpanName.PRECOPY), trace.first(SpanName.DOWNTIME)
    reason = None if precopy is None else precopy.attributes.get(names.VM_MIGRATION_CONVERGENCE_REASON)
    if precopy is None or reason is None:
        return
    text = _REASONS.get(str(reason), f"converged: {reason}")
    estimate = number(precopy.attributes.get(names.VM_MIGRATION_DOWNTIME_ESTIMATED)) * SECOND_NS
    if estimate:
        text += f" ({duration(estimate)} estimated)"
    if stopped is not None and estimate and stopped.error is None:
        text += f", real downtime {stopped.duration_ns / estimate:.1f}x the estimate"
        memory = trace.first(SpanName.FINAL_DELTA)
        if memory is None or memory.duration_ns < stopped.duration_ns / 2:
            text += ": state, not memory, is the cause"
    yield text
