"""What became of every trace of a delivery: the counts behind the account line and its JSON document."""

from __future__ import annotations

from enum import StrEnum

from msgspec import field

from otelmig.structs import Struct

__all__ = ["Account", "Reason", "Tally"]


class Reason(StrEnum):
    """Why a trace was not delivered."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TLS = "tls"
    NOT_OTLP = "not_otlp"
    """No OTLP receiver answers at the URL: a redirect, a web page, another protocol."""
    UNAUTHORIZED = "unauthorized"
    RECEIVER_BUSY = "receiver_busy"
    RECEIVER_ERROR = "receiver_error"
    """The receiver failed while it handled the request (HTTP 500); it may have accepted the trace."""
    REJECTED = "rejected_by_receiver"
    REJECTED_SPANS = "rejected_spans"
    """The receiver accepted the request, and reported that it dropped some of the spans."""
    TOO_LARGE = "too_large"
    DIFFERS = "delivered_before_with_other_content"
    BROKEN_LINE = "broken_line"
    SPOOL_FULL = "spool_full"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    EVICTED_SIZE = "evicted_size"
    EVICTED_AGE = "evicted_age"


class Tally(Struct, kw_only=True):
    """A number of traces and of the spans in them; in an archive that another program wrote, a number of lines."""

    traces: int = 0
    spans: int = 0

    def add(self, spans: int) -> None:
        """Count one more trace, of ``spans`` spans."""
        self.traces += 1
        self.spans += spans

    def subtract(self, spans: int) -> None:
        """Count one trace less, of ``spans`` spans."""
        self.traces -= 1
        self.spans -= spans

    def merge(self, other: Tally) -> None:
        """Add the counts of ``other``."""
        self.traces += other.traces
        self.spans += other.spans

    def document(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return {"traces": self.traces, "spans": self.spans}


class Account(Struct, kw_only=True):
    """The counts of one delivery."""

    exported: Tally = field(default_factory=Tally)
    """Traces that the receiver accepted in this run, as its answers prove."""
    already_delivered: Tally = field(default_factory=Tally)
    """Traces that were not sent, because a receipt in the spool says that this receiver has them."""
    spooled: Tally = field(default_factory=Tally)
    """Traces that were not exported, and that the spool keeps."""
    not_exported: Tally = field(default_factory=Tally)
    """Traces that were neither exported nor kept: only the log or archive that they come from has them."""
    from_spool: Tally = field(default_factory=Tally)
    """Traces that earlier runs left in the spool and that the receiver accepted in this run."""
    re_sent: Tally = field(default_factory=Tally)
    """Sends that followed a send with an unknown result: at most this many duplicates are possible."""
    without_receipt: Tally = field(default_factory=Tally)
    """Traces that the receiver has, or may have, and of which the spool does not know: a later run would send them
    again and not count the copies."""
    evicted: Tally = field(default_factory=Tally)
    """Traces that left the spool undelivered, because it is bounded or they were damaged."""
    waiting: Tally = field(default_factory=Tally)
    """Traces that the spool holds after this run."""
    reasons: dict[Reason, Tally] = field(default_factory=dict)
    """Reasons, for everything spooled, not exported or evicted; there may be one more for why it was not kept."""

    def add_reason(self, reason: Reason, spans: int) -> None:
        """Count ``reason`` for a trace of ``spans`` spans that was not exported, not kept, or evicted."""
        self.reasons.setdefault(reason, Tally()).add(spans)

    def remove_reason(self, reason: Reason, spans: int) -> None:
        """Take back one ``reason``: the trace of ``spans`` spans was exported after all."""
        self.reasons[reason].subtract(spans)
        if not self.reasons[reason].traces:
            del self.reasons[reason]

    def lose_spooled(self) -> None:
        """Count everything spooled as not exported: what was stored has disappeared."""
        lost, self.spooled = self.spooled, Tally()
        if lost.traces:
            self.not_exported.merge(lost)
            self.reasons.setdefault(Reason.SPOOL_UNAVAILABLE, Tally()).merge(lost)

    def add_all(self, later: Account) -> None:
        """Add the counts of a delivery that followed this one; what waits is what waits after that."""
        pairs = (
            (self.exported, later.exported),
            (self.already_delivered, later.already_delivered),
            (self.spooled, later.spooled),
            (self.not_exported, later.not_exported),
            (self.from_spool, later.from_spool),
            (self.re_sent, later.re_sent),
            (self.without_receipt, later.without_receipt),
            (self.evicted, later.evicted),
        )
        for own, other in pairs:
            own.merge(other)
        self.waiting = later.waiting
        for reason, tally in list(later.reasons.items()):  # another thread may be counting
            self.reasons.setdefault(reason, Tally()).merge(tally)

    def count_broken_line(self) -> None:
        """Count a line of an archive that cannot be sent; how many spans it held is not known."""
        self.not_exported.add(0)
        self.add_reason(Reason.BROKEN_LINE, 0)

    @property
    def totals(self) -> tuple[Tally, ...]:
        """The tallies that together count every trace of this run, each once."""
        return self.exported, self.already_delivered, self.spooled, self.not_exported

    @property
    def complete(self) -> bool:
        """Whether the receiver has every trace of this run."""
        return not self.spooled.traces and not self.not_exported.traces

    def words(self) -> str:
        """Return what the account line says about the delivery."""
        parts = [
            (self.from_spool, "more from the spool"),
            (self.re_sent, "re-sent"),
            (self.already_delivered, "already delivered"),
            (self.spooled, "spooled"),
            (self.not_exported, "not exported"),
            (self.without_receipt, "without a receipt"),
            (self.evicted, "evicted from the spool"),
        ]
        counts = [f"{self.exported.traces} exported"]
        counts += [f"{tally.traces} {label}" for tally, label in parts if tally.traces]
        words = ", ".join(counts)
        reasons = ", ".join(
            f"{tally.traces} {reason.replace('_', ' ')}" for reason, tally in sorted(self.reasons.items())
        )
        return f"{words} ({reasons})" if reasons else words

    def document(self) -> dict[str, object]:
        """Return the counts as a JSON object that always has the same keys."""
        return {
            "exported": self.exported.document(),
            "already_delivered": self.already_delivered.document(),
            "spooled": self.spooled.document(),
            "not_exported": self.not_exported.document(),
            "from_spool": self.from_spool.document(),
            "re_sent": self.re_sent.document(),
            "without_receipt": self.without_receipt.document(),
            "evicted": self.evicted.document(),
            "waiting_in_spool": self.waiting.document(),
            "reasons": {str(reason): tally.document() for reason, tally in sorted(self.reasons.items())},
        }
