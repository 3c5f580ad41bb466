"""What one receiver has, may have, or lacks: by the records of the spool, and by the outcomes of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.otlp.account import Account, Reason
from otelmig.otlp.spool.session import SpoolSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from otelmig.otlp.payload import Payload
    from otelmig.otlp.receiver.answer import Answer
    from otelmig.otlp.receiver.settings import Settings
    from otelmig.otlp.spool.entries import Entry
    from otelmig.otlp.spool.spool import Bounds

__all__ = ["Ledger"]


class Ledger:
    """The ledger of one run for one receiver: it records outcomes in the spool, and counts each one in ``account``."""

    def __init__(
        self, settings: Settings, *, directory: Path | None, bounds: Bounds, say: Callable[[str], None]
    ) -> None:
        """Prepare; the spool in ``directory`` is not opened yet.

        ``say`` is called with one line for a person about each kind of failure.
        """
        self.account = Account()
        self.spool = SpoolSession(
            directory, bounds, say=say, on_evicted=self._count_evicted, on_gone=self._lose_spooled
        )
        self._spool_key = settings.spool_key
        self._say = say
        # all of this is about the present run, by the payload's ident
        self._acknowledged: dict[str, str] = {}  # digests of what the receiver acknowledged
        self._spooled: dict[str, Reason] = {}  # why a payload was stored instead of exported
        self._final: set[str] = set()  # payloads whose failure no further attempt can mend
        self._superseded: set[tuple[str, str]] = set()  # with a digest: the receiver has an equally good version
        self._reported: set[Reason] = set()

    def report(self, text: str, reason: Reason) -> None:
        """Say ``text``, unless a failure for the same ``reason`` was reported already."""
        if reason not in self._reported:
            self._reported.add(reason)
            self._say(text)

    def acknowledged(self, ident: str) -> str | None:
        """Return the digest of the content that the receiver acknowledged under ``ident``; None if it never did."""
        spool = self.spool.get()
        digest = self._acknowledged.get(ident)
        return spool.delivered(ident, self._spool_key) if digest is None and spool is not None else digest

    def is_uncertain(self, payload: Payload) -> bool:
        """Return whether the receiver may have ``payload`` already, so that sending it may make a duplicate."""
        entry = self._entry(payload)
        return (entry is not None and entry.uncertain) or self.acknowledged(payload.ident) is not None

    def stored_version(self, payload: Payload) -> Payload:
        """Return the version of ``payload`` that is to be sent: the one in the spool, if there is one.

        The stored version may have arrived already, so no other may follow it.
        """
        entry = self._entry(payload)
        if entry is None or entry.path is None or entry.digest == payload.digest:
            return payload
        if self.acknowledged(payload.ident) is not None:
            return payload
        return next(self.spool.payloads([entry]), payload)

    def leftovers(self) -> list[Entry]:
        """Return the entries that wait for this receiver, without those that no further attempt can deliver."""
        spool = self.spool.get()
        waiting = [] if spool is None else spool.waiting(self._spool_key)
        return [entry for entry in waiting if entry.ident not in self._final]

    def is_obsolete(self, entry: Entry) -> bool:
        """Return whether the spool need not keep a waiting entry, because this receiver has it.

        An entry for this receiver itself needs no such check: its receipt overrides it.
        """
        elsewhere = entry.endpoint != self._spool_key and self.acknowledged(entry.ident) == entry.digest
        return elsewhere or (entry.ident, entry.digest) in self._superseded

    def store(self, batch: Sequence[Payload], *, lines: bool, sending: bool) -> None:
        """Record a batch before it is sent; see :meth:`otelmig.otlp.spool.spool.Spool.store`."""
        self.spool.attempt(lambda spool: spool.store(batch, self._spool_key, lines=lines, sending=sending))

    def sync(self) -> None:
        """Make the receipts durable."""
        self.spool.attempt(lambda spool: spool.sync_receipts())

    def count_known(self, payload: Payload) -> None:
        """Count a payload that is not sent, because the receiver has it."""
        self.account.already_delivered.add(payload.spans)

    def count_superseded(self, payload: Payload) -> None:
        """Count a payload that is not sent, because the receiver has another version that is as good."""
        self._superseded.add((payload.ident, payload.digest))
        self.account.already_delivered.add(payload.spans)

    def count_different(self, payload: Payload) -> None:
        """Count a payload that is not sent, because the receiver has a different version."""
        self.account.not_exported.add(payload.spans)
        self.account.add_reason(Reason.DIFFERS, payload.spans)

    def count_repeats(self, group: Iterable[Payload], repeats: Mapping[str, int]) -> None:
        """Count the sends that may have made duplicates: ``repeats`` of each payload, by ident."""
        for payload in group:
            for _ in range(repeats[payload.ident]):
                self.account.re_sent.add(payload.spans)

    def record_exported(self, group: Sequence[Payload], *, leftover: bool) -> None:
        """Record and count payloads that the receiver acknowledged.

        A ``leftover`` payload counts as exported if this run stored it, and otherwise as delivered from the spool.
        """
        for payload in group:
            self._acknowledged[payload.ident] = payload.digest
            reason = self._spooled.pop(payload.ident, None)
            if reason is not None:
                self.account.spooled.subtract(payload.spans)
                self.account.remove_reason(reason, payload.spans)
            of_this_run = not leftover or reason is not None
            (self.account.exported if of_this_run else self.account.from_spool).add(payload.spans)
        self.spool.attempt(lambda spool: spool.acknowledge(group, self._spool_key))

    def record_failed(self, group: Sequence[Payload], answer: Answer, uncertain: Mapping[str, bool]) -> None:
        """Report and record payloads that were not exported; ``uncertain`` says by ident which may have arrived."""
        self.report(f"not exported: {answer.failure}", answer.reason)
        doubts = [uncertain[payload.ident] for payload in group]
        self.spool.attempt(lambda spool: spool.fail(group, self._spool_key, answer.reason, uncertain=doubts))

    def count_failed(self, group: Sequence[Payload], answer: Answer, *, archived: bool) -> None:
        """Count payloads that were not exported: as spooled, unless they are ``archived`` or there is no spool."""
        stored = not archived and self.spool.get() is not None
        for payload in group:
            if not answer.retryable:
                self._final.add(payload.ident)
            self.account.add_reason(answer.reason, payload.spans)
            if stored:
                self.account.spooled.add(payload.spans)
                self._spooled[payload.ident] = answer.reason
            else:
                self.account.not_exported.add(payload.spans)
                if self.spool.failure not in (None, answer.reason):
                    self.account.add_reason(self.spool.failure, payload.spans)

    def _entry(self, payload: Payload) -> Entry | None:
        """Return what the spool knows of a payload that the receiver has not acknowledged; None if nothing."""
        spool = self.spool.get()
        return None if spool is None else spool.entry(payload.ident, self._spool_key)

    def _count_evicted(self, entry: Entry, reason: Reason) -> None:
        """Report a damaged entry, and count one that left the spool undelivered."""
        if reason is Reason.BROKEN_LINE:
            which = f"trace {entry.ident[:32]}" if entry.ident else "a trace"
            self.report(f"{self.spool.directory}: {which} is damaged, given up", reason)
        self.account.evicted.add(entry.spans)
        self.account.add_reason(reason, entry.spans)
        if entry.endpoint == self._spool_key and self._spooled.pop(entry.ident, None) is not None:
            self.account.spooled.subtract(entry.spans)
            self.account.not_exported.add(entry.spans)

    def _lose_spooled(self) -> None:
        """Count everything that this run stored as not exported: it has disappeared."""
        self.account.lose_spooled()
        self._spooled.clear()
