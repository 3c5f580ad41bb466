"""Sides -> migrations: which source belongs to which destination, and why we think so.

Nothing on the wire or in the logs names a migration, so the two stories must tell. A pair is *feasible* if the
modes, ports, sizes and outcomes agree and one clock offset satisfies everything that must have happened before
something else. Pairs are accepted only where they are the one way to match what is there; otherwise the
candidates are named and the user decides (``--pair``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otelmig.clock.bounds import clock_bounds
from otelmig.errors import UsageError
from otelmig.matching import Edge, match
from otelmig.observation import Kind
from otelmig.side import Mode, Result, Role
from otelmig.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otelmig.clock.bounds import ClockBounds
    from otelmig.hypervisors import Hypervisor
    from otelmig.side import Side

__all__ = ["Migration", "Pairing", "pair_sides", "unpaired", "url_port"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One attempt: a source, a destination, or both."""

    source: Side | None
    destination: Side | None
    bounds: ClockBounds | None
    """What is proved about the offset of the destination's clock; None unless both sides are there."""
    reasons: tuple[str, ...] = ()
    """Why these two belong together, or why this one stands alone."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are there, source first."""
        return tuple(side for side in (self.source, self.destination) if side is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The outcome of comparing every source with every destination."""

    migrations: tuple[Migration, ...]
    notes: tuple[str, ...]
    """What a person must be told: pairs that were possible but not certain, sides that fit nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    source: Side
    destination: Side
    bounds: ClockBounds
    reasons: tuple[str, ...]
    same_vm: bool
    clocks_agree: bool


def pair_sides(
    sides: Sequence[Side],
    hypervisors: Mapping[str, Hypervisor],
    chosen: Sequence[tuple[str, str]] = (),
) -> Pairing:
    """Match ``sides``; ``chosen`` are pairs of names that the user asserts (``--pair SRC=DST``).

    Raises:
        UsageError: a name in ``chosen`` is unknown, or causality refutes the pair.
    """
    sources = [side for side in sides if side.role is Role.SOURCE]
    destinations = [side for side in sides if side.role is Role.DESTINATION]
    forced = dict(_forced(chosen, sources, destinations))
    verdicts = dict(_verdicts(sources, destinations, hypervisors))
    verdicts |= {(i, j): _compare(sources[i], destinations[j], hypervisors) for i, j in forced.items()}
    candidates = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, _Candidate)}
    refusals = {edge: verdict for edge, verdict in verdicts.items() if isinstance(verdict, str)}
    for i, j in forced.items():
        if (i, j) in refusals:
            raise UsageError(f"--pair {sources[i].name}={destinations[j].name}: {refusals[i, j]}")
    accepted, ambiguous = match(
        {edge for edge in candidates if not any((i == edge[0]) != (j == edge[1]) for i, j in forced.items())},
        (
            {edge for edge, found in candidates.items() if found.same_vm},
            {edge for edge, found in candidates.items() if found.clocks_agree},
        ),
    )
    migrations = []
    for (i, j), found in sorted(candidates.items()):
        if accepted.get(i) == j:
            why = ("named by --pair", *found.reasons) if i in forced else found.reasons
            migrations.append(
                Migration(source=found.source, destination=found.destination, bounds=found.bounds, reasons=why)
            )
    notes: list[str] = []
    for position, (own, others, taken) in enumerate(
        ((sources, destinations, set(accepted)), (destinations, sources, set(accepted.values())))
    ):
        possible, refused = _by_side(ambiguous, position), _by_side(refusals, position)
        for k, side in enumerate(own):
            if k in taken:
                continue
            whys = {other: refusals[_edge(k, other, position)] for other in refused.get(k, ())}
            reasons = _alone(side, others, [others[other].name for other in possible.get(k, ())], whys)
            notes += (f"{side.name} is not paired: {reason}" for reason in reasons[:1])
            migrations.append(unpaired(side, reasons))
    return Pairing(migrations=tuple(migrations), notes=tuple(notes))


def _by_side(edges: Iterable[Edge], position: int) -> dict[int, list[int]]:
    """For each side at one end of ``edges`` those at the other end, the first few of them in order."""
    found: dict[int, list[int]] = defaultdict(list)
    for edge in sorted(edges):
        if len(found[edge[position]]) < _NAMED:
            found[edge[position]].append(edge[1 - position])
    return found


def _edge(own: int, other: int, position: int) -> Edge:
    return (own, other) if position == 0 else (other, own)


_NAMED: Final = 8
"""So many of the sides that are not, or not surely, a partner are named."""


def _verdicts(
    sources: Sequence[Side], destinations: Sequence[Side], hypervisors: Mapping[str, Hypervisor]
) -> Iterable[tuple[tuple[int, int], _Candidate | str]]:
    """Compare every source with every destination, the nearest in time first; who fits many has no one partner."""
    for i, source in enumerate(sources):
        fits = 0
        for j in sorted(range(len(destinations)), key=lambda k: _apart(source, destinations[k])):
            if fits >= _MANY:
                break
            verdict = _compare(source, destinations[j], hypervisors)
            fits += isinstance(verdict, _Candidate)
            yield (i, j), verdict


_MANY: Final = 32
"""Whoever has so many possible partners is paired with none of them by what follows: no more are looked for."""


def _apart(source: Side, destination: Side) -> int:
    """How far two sides lie apart by their wall clocks; 0 where they have none."""
    if not (source.process.domain is destination.process.domain is ClockDomain.REALTIME):
        return 0
    return abs(source.observations[0].stamp.ns - destination.observations[-1].stamp.ns)


def unpaired(side: Side, reasons: tuple[str, ...] = ()) -> Migration:
    """A side that stands alone, and why."""
    source, destination = (side, None) if side.role is Role.SOURCE else (None, side)
    return Migration(source=source, destination=destination, bounds=None, reasons=reasons)


def _alone(side: Side, others: Sequence[Side], possible: Sequence[str], refused: Mapping[int, str]) -> tuple[str, ...]:
    """Why ``side`` has no partner, as far as there is something to say."""
    if possible:
        return (f"several partners are possible: {', '.join(possible)}; name one with --pair SOURCE=DESTINATION",)
    if side.role is Role.SOURCE and not _was_answered(side):
        return ()
    return tuple(f"{others[k].name}: {why}" for k, why in sorted(refused.items()) if why != _SAME_PROCESS)


_SAME_PROCESS: Final = "the same process"


def _was_answered(source: Side) -> bool:
    """Whether a destination answered at all: the source has a line that follows Start's acknowledgement."""
    return source.first(*_ANSWERED) is not None


_ANSWERED: Final = (
    Kind.PROTOCOL_AGREED,
    Kind.CPUID_GENERATED,
    Kind.ITERATION_SENT,
    Kind.ITERATION_ANNOUNCED,
    Kind.DIRTY_ROUND,
    Kind.VM_PAUSING,
    Kind.COMPLETED,
    Kind.SEND_FINISHED,
    Kind.PEER_REPORTED_ERROR,
)


def _compare(source: Side, destination: Side, hypervisors: Mapping[str, Hypervisor]) -> _Candidate | str:
    """The candidate that these two are, or in a few words why they cannot be one migration."""
    if source.process is destination.process:
        return _SAME_PROCESS
    if source.process.system != destination.process.system:
        return "another hypervisor"
    refusal = _contradiction(source, destination)
    if refusal is not None:
        return refusal
    bounds = clock_bounds(hypervisors[source.process.system].constraints(source, destination))
    if bounds.contradiction is not None:
        worst = bounds.contradiction
        return (
            f"no clock offset fits: {worst.upper.first.where} before {worst.upper.second.where} and "
            f"{worst.lower.first.where} before {worst.lower.second.where} exclude each other by "
            f"{worst.excess_ns / 1e6:.1f} ms"
        )
    if bounds.total == 0:
        return "no line of one must come before a line of the other"
    reasons = [f"{bounds.total} causal constraints agree on one clock offset"]
    reasons += _agreements(source, destination)
    wall = all(side.process.domain is ClockDomain.REALTIME for side in (source, destination))
    at = source.observations[-1].stamp.ns
    lo, hi = bounds.lo_ns(at), bounds.hi_ns(at)
    return _Candidate(
        source=source,
        destination=destination,
        bounds=bounds,
        reasons=tuple(reasons),
        same_vm=_same_vm(source, destination) is True,
        clocks_agree=wall and lo is not None and hi is not None and lo <= _AGREE_NS and hi >= -_AGREE_NS,
    )


_AGREE_NS: Final = 10**9
"""Wall clocks that are kept by NTP differ by less; only used to choose between pairs that are all possible."""


def _contradiction(source: Side, destination: Side) -> str | None:
    """What the two stories say differently, if anything."""
    for differ, why in _DIFFERENCES:
        if differ(source, destination):
            return why.format(source=source.mode, destination=destination.mode)
    return None


def _modes_differ(source: Side, destination: Side) -> bool:
    return source.mode is not destination.mode and not _mode_unknown(source, destination)


def _failed_after_completion(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.FAILURE and not _lost_later(destination)


def _completed_after_failure(source: Side, destination: Side) -> bool:
    failed = source.result in (Result.FAILURE, Result.TIMEOUT) and source.first(Kind.COMPLETED) is None
    return failed and destination.result is Result.SUCCESS


def _ends_too_early(source: Side, destination: Side) -> bool:
    completed = source.result is Result.SUCCESS
    return completed and destination.result is Result.UNKNOWN and _stops_early(source, destination)


def _receives_tcp(destination: Side) -> bool:
    """A local migration passes file descriptors, which only a UNIX socket carries."""
    started = destination.first(Kind.RECEIVE_STARTED)
    return started is not None and (started.word("url") or "").startswith("tcp:")


def _mode_unknown(source: Side, destination: Side) -> bool:
    """Some logs cannot tell: without debug lines a local migration looks like any other on the destination."""
    asked = destination.first(Kind.RECEIVE_REQUESTED)
    postcopy_differs = (
        asked is not None
        and asked.word("mode") is not None
        and ((asked.word("mode") == "postcopy") != (source.mode is Mode.POSTCOPY))
    )
    if postcopy_differs or destination.mode is Mode.POSTCOPY:
        return False
    return not destination.all(Kind.COMMAND_RECEIVED)


def _lost_later(destination: Side) -> bool:
    """Whether the destination had the guest running before its connection failed."""
    return destination.first(Kind.VM_RESUMED, Kind.PAUSED_STATE_RECEIVED) is not None


def _stops_early(source: Side, destination: Side) -> bool:
    """Whether the destination's log goes on after this attempt without the state having arrived."""
    arrived = destination.first(Kind.VM_CONFIG, Kind.RESTORING, Kind.ACCEPT_STOPPED) or destination.command("State")
    return arrived is None and source.first(Kind.COMPLETED) is not None


@lru_cache(maxsize=1024)
def url_port(url: str) -> int | None:
    """Return the port of ``tcp:HOST:PORT``, or None."""
    if not url.startswith("tcp:"):
        return None
    try:
        return urlsplit(f"//{url.removeprefix('tcp:')}").port
    except ValueError:
        return None


def _urls(source: Side, destination: Side) -> tuple[str, str] | None:
    sent, received = source.first(Kind.SEND_STARTED), destination.first(Kind.RECEIVE_STARTED)
    if sent is None or received is None:
        return None
    one, other = sent.word("url"), received.word("url")
    return None if one is None or other is None else (one, other)


def _ports_differ(source: Side, destination: Side) -> bool:
    """Whether both are TCP with different ports (two UNIX paths may be joined by a tunnel, as may one of each)."""
    urls = _urls(source, destination)
    if urls is None:
        return False
    one, other = map(url_port, urls)
    return one is not None and other is not None and one != other


def _same_vm(source: Side, destination: Side) -> bool | None:
    """Whether the printed configurations are of one VM; None if they do not say."""
    if source.config is None or destination.config is None:
        return None
    one, other = source.config.values, destination.config.values
    for key in ("vm_id", "memory_bytes", "vcpus"):
        if key in one and key in other and one[key] != other[key]:
            return False
    named = [key for key in ("vm_id", "identity") if key in one and one[key] == other.get(key)]
    return True if named else None


def _passes_differ(source: Side, destination: Side) -> bool:
    """Whether the destination received fewer or more memory passes than the source can have sent."""
    received = len(destination.commands("Memory"))
    if source.result is not Result.SUCCESS or source.connections > 1 or not received or source.mode is not Mode.PRECOPY:
        return False
    sent = source.iterations
    extra = 2  # the final delta, and from v53.0 the pass after the snapshot; either may be empty and then is not sent
    return bool(sent) and not sent <= received <= sent + extra


def _durations_differ(source: Side, destination: Side) -> bool:
    """Whether what the destination says it did takes longer than the source waited for it."""
    parts = source.first(Kind.DOWNTIME_BREAKDOWN)
    state, resume = destination.first(Kind.STATE_RECEIVED), destination.first(Kind.RESUME_TIMED)
    if parts is None:
        return False
    ms = 10**6
    if state is not None:
        took = (state.number("receive_ns") or 0) + (state.number("restore_ns") or 0)
        if took > (parts.number("send_ns") or 0) + ms:
            return True
    return resume is not None and (resume.number("resume_ns") or 0) > (parts.number("complete_ns") or 0) + ms


_DIFFERENCES: Final[tuple[tuple[Callable[[Side, Side], bool], str], ...]] = (
    (lambda source, _: not _was_answered(source), "nobody answered the source"),
    (
        lambda source, destination: source.mode is Mode.LOCAL and _receives_tcp(destination),
        "the source is local, the destination listens on TCP",
    ),
    (_modes_differ, "the source is {source}, the destination {destination}"),
    (_ports_differ, "another port or socket"),
    (lambda source, destination: _same_vm(source, destination) is False, "another VM: its configuration differs"),
    (_failed_after_completion, "the source completed, the destination failed"),
    (_completed_after_failure, "the source failed, the destination completed"),
    (_ends_too_early, "the destination's log ends before the state arrived"),
    (_passes_differ, "another number of memory passes"),
    (_durations_differ, "the destination's work does not fit into the source's times"),
)
"""What excludes a pair, in the order in which it is asked."""


def _agreements(source: Side, destination: Side) -> list[str]:
    """What else speaks for the pair, for a person to read."""
    found = []
    urls = _urls(source, destination)
    if urls is not None and (port := url_port(urls[0])) is not None and port == url_port(urls[1]):
        found.append(f"same port {port}")
    elif urls is not None and urls[0] == urls[1]:
        found.append("same socket")
    if _same_vm(source, destination):
        found.append("same VM configuration")
    received = len(destination.commands("Memory"))
    if received and source.iterations:
        found.append(f"{source.iterations} running memory passes sent, {received} received in all")
    return found


def _forced(
    chosen: Iterable[tuple[str, str]], sources: Sequence[Side], destinations: Sequence[Side]
) -> Iterable[tuple[int, int]]:
    for source_name, destination_name in chosen:
        yield _named(source_name, sources, "source"), _named(destination_name, destinations, "destination")


def _named(name: str, sides: Sequence[Side], role: str) -> int:
    found = [index for index, side in enumerate(sides) if side.name == name]
    if len(found) != 1:
        names = ", ".join(side.name for side in sides) or "none"
        raise UsageError(f"--pair: no {role} is called {name!r} (there are: {names})")
    return found[0]
