"""What must happen before what across the two hosts, as one table of rules.

Each rule names two kinds of instants, one on either side, that the protocol orders: the sender logs before it
writes, the receiver after it read, and the source waits for every answer. Requests are 16-byte headers followed by
a payload; a ``Command`` line is printed once the header was read.

Not ordered, and therefore in no rule: the destination's ``migration-receive-ready`` and the source's connect (the
event is printed after ``listen``); connected and accepted (the kernel accepts from the backlog); the two
``TLS handshake`` lines; ``migration-receive-finished`` or ``-failed`` and anything on the source (printed after the
answer was written); the destination's end-of-file and the source's failure lines (the socket drops first); ``Memory``
commands when several connections carry memory (they do not pass the main loop).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt_lines import lines_of
from otelmig.hypervisors.cloud_hypervisor.causality.instants import (
    DESTINATION,
    OF_BOTH,
    SOURCE,
    InstantKind,
    LogFlags,
)
from otelmig.hypervisors.cloud_hypervisor.causality.memory_match import memory_constraints
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES, Releases
from otelmig.migration.constraint import destination_first, source_first
from otelmig.migration.side import Role
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.migration.constraint import Constraint, Endpoint
    from otelmig.migration.side import Side

__all__ = [
    "RULES",
    "Rule",
    "applies",
    "constraints_between",
    "instants_between",
    "own_instants",
    "rule_table",
]

_OF_MEMORY: Final = frozenset(
    {
        "iteration-written",
        "iteration-acknowledged",
        "final-delta-written",
        "final-delta-acknowledged",
        "memory-received",
        "final-memory-received",
    }
)
"""Instants that occur several times, of which any may be missing: which belong together is found by more than order."""


_UNTIL_HEAD: Final = frozenset({"accepted->start-acknowledged"})
"""Rules about an event that comes later in a migration, and is ordered less, in versions after HEAD."""


class Rule(Struct, frozen=True, kw_only=True):
    """An instant of one kind happens before one of another, on the other host."""

    id: str
    source_first: bool
    source: InstantKind
    destination: InstantKind
    why: str

    def printed(self) -> Iterator[tuple[Releases, LogFlags]]:
        """Yield the releases that print both instants, and what that takes."""
        for need, group in groupby(range(len(RELEASES)), key=self.need):
            releases = list(group)
            if need is not None:
                yield Releases(first=releases[0], last=releases[-1]), need

    def need(self, release: int) -> LogFlags | None:
        """Return what it takes in a release (an index into ``RELEASES``) to print both; None if one is not printed."""
        first, second = self.source.need(release), self.destination.need(release)
        return None if first is None or second is None else first | second


def constraints_between(source: Side, destination: Side, drift_ppb: int) -> Sequence[Constraint]:
    """Return every constraint that the rules give for these two sides.

    Receipts of Memory are told apart as far as everything else, and clocks that drift by at most ``drift_ppb``, allow.
    """
    constraints: list[Constraint] = []
    sent, received = lines_of(source), lines_of(destination)
    instants = instants_between(sent, received)
    for rule in RULES:
        if not applies(rule, received):
            continue
        for one, other in zip(instants[rule.source.key], instants[rule.destination.key], strict=False):
            if one is None or other is None:
                continue
            constraints.append(
                source_first(rule.id, one, other) if rule.source_first else destination_first(rule.id, other, one)
            )
    return [*constraints, *memory_constraints(sent, received, constraints, drift_ppb)]


def applies(rule: Rule, received: AttemptLines) -> bool:
    """Return whether the instants of a rule are those of one message, wherever both are there."""
    return not (received.may_be_after_head and rule.id in _UNTIL_HEAD) and rule.destination.key not in _OF_MEMORY


def instants_between(sent: AttemptLines, received: AttemptLines) -> Mapping[str, Sequence[Endpoint | None]]:
    """Return the instants of either side, but for those of memory, by the keys of their kinds."""
    of_both = {key: kind.find(sent, received) for key, kind in _EVERY_KIND.items() if key in OF_BOTH}
    return {**own_instants(sent), **own_instants(received), **of_both}


_EVERY_KIND: Final = {**SOURCE, **DESTINATION}


def own_instants(lines: AttemptLines) -> Mapping[str, Sequence[Endpoint | None]]:
    """Return the instants that depend on one side's lines alone; they are looked for once."""
    known = lines.lookups.get("instants")
    if isinstance(known, dict):
        return known
    kinds = SOURCE if lines.role is Role.SOURCE else DESTINATION
    own = {key: kind.find(lines, lines) for key, kind in kinds.items() if key not in _OF_MEMORY and key not in OF_BOTH}
    lines.lookups["instants"] = own
    return own


def _forward(source: str, destinations: Sequence[str], why: str) -> Iterator[Rule]:
    for name in destinations:
        yield Rule(
            id=f"{source}->{name}",
            source_first=True,
            source=SOURCE[source],
            destination=DESTINATION[name],
            why=why,
        )


def _backward(destinations: Sequence[str], source: str, why: str) -> Iterator[Rule]:
    for name in destinations:
        yield Rule(
            id=f"{name}->{source}",
            source_first=False,
            source=SOURCE[source],
            destination=DESTINATION[name],
            why=why,
        )


RULES: Final[tuple[Rule, ...]] = (
    # source -> destination
    *_forward(
        "connecting",
        ("accepted", "tls", "start-received"),
        "the line (until v42, and among events, the start) is printed before connect(); v52.0 on has an event once the "
        "connection was accepted",
    ),
    *_forward(
        "start-read",
        ("memory-fd-received", "config-received", "cpuid", "cpu-compatible"),
        "printed after Start was acknowledged, before Config (local: MemoryFd) is sent",
    ),
    *_forward(
        "iteration-written",
        ("memory-received",),
        "memory is written after its dirty table was read and after the iteration before it was acknowledged",
    ),
    *_forward("final-delta-written", ("final-memory-received",), "the final delta is read once the guest is paused"),
    *_forward(
        "snapshotted", ("state-received", "accept-stopped", "vm-config", "restoring"), "State carries the snapshot"
    ),
    *_forward("paused", ("resuming", "resumed"), "the guest is let go by Complete, which follows State"),
    *_forward(
        "state-written",
        ("state-received", "accept-stopped", "vm-config"),
        "the printed time of the snapshot is truncated, so State cannot have been written earlier",
    ),
    *_forward(
        "complete-written",
        ("complete-received", "resuming"),
        "the printed times of snapshot and send are truncated, so Complete cannot have been written earlier",
    ),
    *_forward("fault-connecting", ("prefault-started",), "postcopy: the destination waits for the fault connection"),
    *_forward("last-line", ("peer-lost",), "the connection ends after the last thing that the source did with it"),
    # destination -> source
    *_backward(
        ("receiving", "ready"),
        "start-acknowledged",
        "nobody answers Start before the receiver was asked to receive",
    ),
    *_backward(
        ("tls", "accepted", "start-received", "protocol"), "start-acknowledged", "printed before Start is acknowledged"
    ),
    *_backward(
        ("config-received", "cpu-compatible", "memory-mapped"),
        "config-acknowledged",
        "printed before Config is acknowledged",
    ),
    *_backward(("memory-received",), "iteration-acknowledged", "printed before the iteration is acknowledged"),
    *_backward(("final-memory-received",), "final-delta-acknowledged", "printed before the delta is acknowledged"),
    *_backward(
        ("state-received", "accept-stopped", "vm-config", "restored", "restore-timed"),
        "state-acknowledged",
        "State was acknowledged before Complete was written: its printed time before the end",
    ),
    *_backward(
        ("vm-config", "restored", "complete-received", "resumed", "resume-timed", "final-state-timed"),
        "completed",
        "printed before Complete is acknowledged",
    ),
    *_backward(("aborted",), "refusal-read", "printed before the refusal is written"),
    *_backward(("last-answered",), "answer-read", "the source reads the answer to its last request"),
    *_backward(("last-command",), "peer-gone", "a receiver that reads requests has not yet gone away"),
    *_backward(
        ("prefault-done",),
        "drained",
        "the destination closes the fault connection once every page has arrived",
    ),
)
"""Every rule, with what makes it true; v36.0 to HEAD (a rule whose lines a release does not print gives nothing)."""


def rule_table() -> str:
    """Return the rules as a table in Markdown, as the documents show them."""
    lines = ["| rule | first on | printed by | why |", "|---|---|---|---|"]
    for rule in RULES:
        side = "source" if rule.source_first else "destination"
        printed = "; ".join(f"{releases}: {need}" for releases, need in rule.printed())
        lines.append(f"| `{rule.id}` | {side} | {printed} | {rule.why} |")
    return "\n".join(lines)
