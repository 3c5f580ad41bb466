"""What one receiver has, may have, or lacks: by the records of the spool, and by the outcomes of one run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from otelmig.otlp.account import Account, Reason
from otelmig.otlp.spool.format import ACKNOWLEDGED, SENDING, Record, copies_text
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
        self._not_sent: set[str] = set()  # payloads that the receiver has, or has as good a version of
        self._spooled: dict[str, Reason] = {}  # why a payload was stored instead of exported
        self._final: set[str] = set()  # payloads whose failure no further attempt can mend
        self._superseded: set[tuple[str, str]] = set()  # with a digest: the receiver has an equally good version
        self._sending: dict[str, int] = {}  # by payload of which the spool knows that it is being sent: its copies
        self._unsynced: dict[str, Payload] = {}  # payloads whose receipts are written, and not surely durable
        self._unrecorded: dict[str, Record] = {}  # receipts and sends that the spool could not record
        self._reported: set[Reason] = set()

    def report(self, text: str, reason: Reason) -> None:
        """Say ``text``, unless a failure for the same ``reason`` was reported already."""
        if reason not in self._reported:
            self._reported.add(reason)
            self._say(text)

    def acknowledged(self, ident: str) -> str | None:
        """Return the digest of the content that the receiver acknowledged under ``ident``; None if it never did."""
        known = self.spool.known()
        digest = self._acknowledged.get(ident)
        return known.delivered(ident, self._spool_key) if digest is None and known is not None else digest

    def has_settled(self, ident: str) -> bool:
        """Return whether this run has delivered a payload, or found that the receiver has it."""
        return ident in self._acknowledged or ident in self._not_sent

    def is_stored(self, payload: Payload) -> bool:
        """Return whether the spool, which works, keeps the line of a payload."""
        entry = None if self.spool.get() is None else self._entry(payload)
        return entry is not None and entry.path is not None

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
        """Record a batch before it is sent; see :meth:`otelmig.otlp.spool.spool.Spool.store`.

        Copies that killed runs may have made of it are counted: this run is the first that lives to tell of them.
        """
        copies = {payload.ident: int(self.is_uncertain(payload)) for payload in batch}
        for payload in batch:
            entry = self._entry(payload)
            if entry is not None and entry.copies:
                self._count_copies(entry)
                copies[payload.ident] += entry.copies
        self._store(batch, copies, lines=lines, sending=sending)

    def store_repeat(self, group: Sequence[Payload]) -> None:
        """Record that a request that may have arrived is about to be sent again, in case that this run is killed."""
        if all(payload.ident in self._sending for payload in group):
            self._store(group, {payload.ident: self._sending[payload.ident] + 1 for payload in group})

    def _store(
        self, batch: Sequence[Payload], copies: dict[str, int], *, lines: bool = False, sending: bool = True
    ) -> None:
        stored = self.spool.attempt(
            lambda spool: spool.store(batch, self._spool_key, lines=lines, sending=sending, copies=copies)
        )
        for payload in batch:
            self._sending.pop(payload.ident, None)
        if stored and sending:
            self._sending |= copies

    def sync(self) -> None:
        """Make the receipts durable."""
        if self._unsynced and not self.spool.attempt(lambda spool: spool.sync_receipts()):
            for payload in self._unsynced.values():
                self._miss(ACKNOWLEDGED, payload)
        self._unsynced.clear()

    def settle(self) -> None:
        """Record what could not be recorded at its time; count what still cannot be."""
        self.sync()
        spool = self.spool.opened
        for entry in spool.count_copies(self._spool_key) if spool is not None else ():
            self._count_copies(entry)
        if self._unrecorded and not self.spool.record_late(list(self._unrecorded.values())):
            for record in self._unrecorded.values():
                self.account.without_receipt.add(record.spans)
        self._unrecorded.clear()

    def _miss(self, kind: str, payload: Payload, copies: int = 0) -> None:
        """Remember what the spool could not record: a receipt, or a send that may have arrived."""
        if self.spool.directory is not None:
            record = Record.of(kind, payload, self._spool_key, int(time.time()), copies_text(copies))
            self._unrecorded[payload.ident] = record

    def count_known(self, payload: Payload) -> None:
        """Count a payload that is not sent, because the receiver has it."""
        self._not_sent.add(payload.ident)
        self.account.already_delivered.add(payload.spans)

    def count_superseded(self, payload: Payload) -> None:
        """Count a payload that is not sent, because the receiver has another version that is as good."""
        self._superseded.add((payload.ident, payload.digest))
        self._not_sent.add(payload.ident)
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
        if self.spool.attempt(lambda spool: spool.acknowledge(group, self._spool_key)):
            self._unsynced |= {payload.ident: payload for payload in group}
        else:
            for payload in group:
                self._miss(ACKNOWLEDGED, payload)

    def record_failed(self, group: Sequence[Payload], answer: Answer, uncertain: Mapping[str, bool]) -> None:
        """Report and record payloads that were not exported; ``uncertain`` says by ident which may have arrived."""
        self.report(f"not exported: {answer.failure}", answer.reason)
        doubts = [uncertain[payload.ident] for payload in group]
        self.spool.attempt(lambda spool: spool.fail(group, self._spool_key, answer.reason, uncertain=doubts))
        for payload, doubt in zip(group, doubts, strict=True):
            if doubt and payload.ident not in self._sending:
                self._miss(SENDING, payload)

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
        known = self.spool.known()
        return None if known is None else known.entry(payload.ident, self._spool_key)

    def _count_copies(self, entry: Entry) -> None:
        for _ in range(entry.copies):
            self.account.re_sent.add(entry.spans)

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
