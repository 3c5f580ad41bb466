"""What a live service says of itself to whoever asks: a document for ``GET /status`` and for a file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.live.sides import phase_of
from otelmig.printable import printable
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.live.logs.live_logs import LiveLogs
    from otelmig.live.receiving.requests import RequestQueue
    from otelmig.live.work import Work
    from otelmig.migration.side import Side
    from otelmig.otlp.intake.exchange import Refusal

__all__ = ["AGE_S", "Status"]

_SCHEMA: Final = "otelmig.status/1"
AGE_S: Final = 1.0
"""Seconds after which the document is made anew."""
_MOST_NAMED: Final = 200
"""At most so many sides are listed, those that began first; and so many refusals, the most frequent."""


@dataclass(slots=True, kw_only=True)
class Status:
    """How a live service is."""

    work: Work
    requests: RequestQueue
    replayed: int = 0
    """Requests that the last run had taken, and left to this one."""
    last_delay_s: float | None = None
    """Seconds from the last line of the latest migration to its trace being made."""
    ready: bool = False
    """Whether everything that was on the disk at the start is worked off."""
    document: Mapping[str, object] = field(init=False)
    """What is said to whoever asks."""
    made_s: float = 0.0
    """When the document was made, once the service works (monotonic clock)."""

    def __post_init__(self) -> None:
        self.document = _document(self, time.monotonic())

    def renew(self, now_s: float) -> bool:
        """Make the document anew if it is a second old; return whether it was."""
        if now_s - self.made_s < AGE_S:
            return False
        self.made_s = now_s
        with self.work.guarded("the status"):
            self.document = _document(self, now_s)
        return True

    def heartbeat(self, now_s: float) -> str:
        """Return how the service is, as one line for a log."""
        assembly, outlet = self.work.assembly, self.work.outlet
        return (
            f"{assembly.tally.traces} migrations traced, {len(assembly.waiting.reasons(now_s))} sides under way, "
            f"{self.requests.taken} requests taken, {outlet.backlog} traces not safe yet"
        )


def _document(service: Status, now_s: float) -> dict[str, object]:
    """Return what the service does at the moment, as a JSON object; see ``otelmig/schemas``."""
    assembly, outlet = service.work.assembly, service.work.outlet
    reasons = sorted(assembly.waiting.reasons(now_s), key=lambda waiting: -waiting[1])
    tally, files, announcements = assembly.tally, assembly.files, assembly.announcements
    return {
        "schema": _SCHEMA,
        "version": __version__,
        "ready": service.ready,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "requests": {
            "taken": service.requests.taken,
            "replayed": service.replayed,
            "refused": dict(sorted(service.requests.refused.items())),
            "waiting": len(service.requests),
        },
        "refusals": [_refusal(refusal) for refusal in service.requests.refusals()[:_MOST_NAMED]],
        "records": {
            "taken": tally.records,
            "copies": files.copies,
            "held": files.held,
            "lost": files.lost,
            "passed_over": {str(reason): count for reason, count in sorted(service.requests.passed_over.items())},
        },
        "logs": {
            "known": len(assembly.logs),
            "read_again": assembly.logs.counts.read_again,
            "lines": assembly.logs.counts.lines,
            "forgotten": assembly.store.forgotten,
            "lines_of_others": assembly.logs.counts.passed_over,
            "unreadable": assembly.logs.counts.unreadable,
            "not_understood": _not_understood(assembly.logs),
            "without_beginning": files.without_beginning,
        },
        "migrations": {
            "traced": tally.traces,
            "with_both_sides": tally.paired,
            "with_one_side": tally.alone,
            "conflicts": tally.conflicts,
            "as_they_stood": tally.as_they_stood,
            "late_partners": assembly.waiting.late,
            "late_fates": tally.late_fates,
            "given_up": assembly.waiting.hurried,
            "changed_ids": assembly.past.salted,
        },
        "under_way": [_side(*waiting) for waiting in reasons[:_MOST_NAMED]],
        "under_way_count": len(reasons),
        "announcements": {
            "taken": announcements.taken,
            "waiting": len(announcements),
            "unmatched": announcements.unmatched,
            "late": announcements.late,
            "evicted": announcements.evicted,
        },
        "traces": {
            "not_safe_yet": outlet.backlog,
            "written": outlet.counts.written,
            "failures": outlet.counts.failures,
            "delivery": None if outlet.open_delivery is None else outlet.account.document(),
        },
        "faults": service.work.faults,
        "state": {"bytes": service.work.state_bytes, "last_delay_s": service.last_delay_s},
    }


def _not_understood(logs: LiveLogs) -> Mapping[str, int]:
    counts = sum((reader.report.not_understood for reader in logs.readers.values()), Counter[str]())
    return {printable(reason): count for reason, count in sorted(counts.items())}


def _refusal(refusal: Refusal) -> Mapping[str, object]:
    return {
        "sender": printable(refusal.peer),
        "status": int(refusal.status),
        "reason": printable(refusal.reason),
        "times": refusal.times,
    }


def _side(side: Side, age_s: float, why: str) -> Mapping[str, object]:
    host = side.vmm.host
    return {
        "log": printable(side.name),
        "host": None if host is None else printable(host.name or host.id or ""),
        "role": str(side.role),
        "attempt": side.attempt,
        "state": str(side.state),
        "phase": phase_of(side),
        "age_s": round(age_s, 3),
        "waits_for": printable(why),
    }
