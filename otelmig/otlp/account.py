"""What became of every trace that was to be delivered: one record, for the account line and for scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Account", "Reason", "Tally"]


class Reason(StrEnum):
    """Why a trace was not delivered."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TLS = "tls"
    NOT_OTLP = "not_otlp"
    """A redirect, a web page, another protocol: there is no OTLP receiver at this URL."""
    UNAUTHORIZED = "unauthorized"
    RECEIVER_BUSY = "receiver_busy"
    RECEIVER_ERROR = "receiver_error"
    """The receiver failed over it (HTTP 500); whether it took it is not known."""
    REJECTED = "rejected_by_receiver"
    REJECTED_SPANS = "rejected_spans"
    """The receiver took the request and said that it dropped some of its spans."""
    TOO_LARGE = "too_large"
    DIFFERS = "delivered_before_with_other_content"
    BROKEN_LINE = "broken_line"
    SPOOL_FULL = "spool_full"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    EVICTED_SIZE = "evicted_size"
    EVICTED_AGE = "evicted_age"


@dataclass(slots=True, kw_only=True)
class Tally:
    """A number of traces (for lines of others: of lines) and of the spans in them."""

    traces: int = 0
    spans: int = 0

    def add(self, spans: int) -> None:
        """Count one more."""
        self.traces += 1
        self.spans += spans

    def take(self, spans: int) -> None:
        """Count one less."""
        self.traces -= 1
        self.spans -= spans

    def join(self, other: Tally) -> None:
        """Count what the other one counted, too."""
        self.traces += other.traces
        self.spans += other.spans

    def document(self) -> dict[str, int]:
        """As JSON."""
        return {"traces": self.traces, "spans": self.spans}


@dataclass(slots=True, kw_only=True)
class Account:
    """One delivery."""

    exported: Tally = field(default_factory=Tally)
    """Taken by the receiver in this run, as its answer proves."""
    already_delivered: Tally = field(default_factory=Tally)
    """The spool's record says that this receiver has it: not sent again."""
    spooled: Tally = field(default_factory=Tally)
    """Not taken, but on disk."""
    not_exported: Tally = field(default_factory=Tally)
    """Neither taken nor kept: only the log or the archive that it comes from has it."""
    from_spool: Tally = field(default_factory=Tally)
    """Left over from earlier runs and taken in this one."""
    re_sent: Tally = field(default_factory=Tally)
    """Sends that followed one whose result is not known: so many second copies are possible at most."""
    evicted: Tally = field(default_factory=Tally)
    """Removed from the spool, which is bounded, without having been delivered."""
    waiting: Tally = field(default_factory=Tally)
    """What the spool holds after this run."""
    reasons: dict[Reason, Tally] = field(default_factory=dict)
    """Of what was spooled, not exported or evicted: why not taken, and why not kept where it should have been."""

    def because(self, reason: Reason, spans: int) -> None:
        """Count a reason for one that was not taken, not kept, or evicted."""
        self.reasons.setdefault(reason, Tally()).add(spans)

    def not_because(self, reason: Reason, spans: int) -> None:
        """The reason went away: it was taken after all."""
        self.reasons[reason].take(spans)
        if not self.reasons[reason].traces:
            del self.reasons[reason]

    def lose_spooled(self) -> None:
        """What was on the disk is there no longer."""
        lost, self.spooled = self.spooled, Tally()
        if lost.traces:
            self.not_exported.join(lost)
            self.reasons.setdefault(Reason.SPOOL_UNAVAILABLE, Tally()).join(lost)

    def break_line(self) -> None:
        """Count a line of an archive that cannot be sent; what spans it held cannot be known."""
        self.not_exported.add(0)
        self.because(Reason.BROKEN_LINE, 0)

    @property
    def given(self) -> tuple[Tally, ...]:
        """What the traces that were given are counted in, each in one."""
        return self.exported, self.already_delivered, self.spooled, self.not_exported

    @property
    def complete(self) -> bool:
        """Whether everything that was given is at the receiver."""
        return not self.spooled.traces and not self.not_exported.traces

    def words(self) -> str:
        """The account line's words about the delivery."""
        parts = [
            (self.from_spool, "more from the spool"),
            (self.re_sent, "re-sent"),
            (self.already_delivered, "already delivered"),
            (self.spooled, "spooled"),
            (self.not_exported, "not exported"),
            (self.evicted, "evicted from the spool"),
        ]
        said = ", ".join(
            [f"{self.exported.traces} exported"] + [f"{each.traces} {how}" for each, how in parts if each.traces]
        )
        reasons = ", ".join(f"{each.traces} {why.replace('_', ' ')}" for why, each in sorted(self.reasons.items()))
        return f"{said} ({reasons})" if reasons else said

    def document(self) -> dict[str, object]:
        """As JSON: the same keys always."""
        return {
            "exported": self.exported.document(),
            "already_delivered": self.already_delivered.document(),
            "spooled": self.spooled.document(),
            "not_exported": self.not_exported.document(),
            "from_spool": self.from_spool.document(),
            "re_sent": self.re_sent.document(),
            "evicted": self.evicted.document(),
            "waiting_in_spool": self.waiting.document(),
            "reasons": {str(reason): tally.document() for reason, tally in sorted(self.reasons.items())},
        }
