"""Delivery: every trace reaches the receiver, or it is known which one did not, why, and where it is.

Payloads go in batches: a batch is on the disk (one fsync) before its first byte leaves, and is acknowledged once the
answer proves that the receiver took it (another fsync, before the next batch leaves). After a crash at any instant what
is not acknowledged is sent again; what was being sent then may be there already, so it is counted as re-sent. What
cannot be delivered stays in the spool.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from otelmig.otlp.account import Account, Reason
from otelmig.otlp.receiver.settings import JSON
from otelmig.otlp.receiver.transport import Answer
from otelmig.otlp.spool.directory import check_spool
from otelmig.otlp.spool.session import SpoolSession, kept_payload
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from otelmig.otlp.payload import Payload
    from otelmig.otlp.receiver.sender import Sender
    from otelmig.otlp.receiver.settings import Settings
    from otelmig.otlp.spool.segment import Entry

__all__ = ["LARGEST_REQUEST", "PER_BATCH", "Delivery", "Origin"]

LARGEST_REQUEST: Final = 2 * 10**6
"""Bytes: below 2 MiB, half of gRPC's default limit, which a later hop may apply after the first one said yes."""
PER_BATCH: Final = 50
"""Payloads that share a request and two fsyncs: so many a crash can make copies of."""
_HELD: Final = frozenset({Reason.REJECTED, Reason.REJECTED_SPANS, Reason.TOO_LARGE})
"""Not sent again by itself: the receiver would say the same, or get a copy of what it did take."""


class Origin(Enum):
    """Where a payload comes from, and so what keeps it."""

    TRACED = auto()
    """Just made: the spool keeps it."""
    ARCHIVE = auto()
    """A file of the user's, which keeps it; the spool only records what became of it."""
    SPOOL = auto()
    """It is to be delivered out of the spool."""
    LEFTOVER = auto()
    """It is in the spool and this run was not asked for it."""


class Delivery:
    """One run's delivery to one receiver; a context, which closes the spool and the connection."""

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        *,
        directory: Path | None,
        bounds: Bounds | None = None,
        resend: bool = False,
        say: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is opened yet. ``say`` is told in one line what a person should know.

        Without a ``directory`` there is no spool. ``resend``: what the receiver is known to have is sent, too.
        """
        self.account = Account()
        self.place = settings.place
        self._receiver = settings.receiver
        self._protocol = settings.protocol
        self._sender = sender
        self.directory = directory
        self._bounds = bounds or Bounds()
        self._resend = resend
        self._say = say
        self._spool = SpoolSession(directory, self._bounds, say=say, evicted=self._evicted, gone=self._lose_kept)
        self._taken: dict[str, str] = {}  # digests of what was taken in this run, by ident
        self._kept: dict[str, Reason] = {}  # why what this run was asked for went into the spool, by ident
        self._settled: set[str] = set()  # what this run need not try again
        self._superseded: set[tuple[str, str]] = set()  # what the receiver has in a form that is as good
        self._said: set[Reason] = set()
        self._interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for entry in self._spool.close():
            self.account.waiting.add(entry.spans)
        self._sender.close()

    def preflight(self) -> None:
        """Say in one line what keeps everything from being delivered, before any work is done."""
        self._spool.check()
        if self._spool.bar is not None:
            self._explain(f"not exported: {self._spool.bar}", Reason.SPOOL_UNAVAILABLE)
            return
        answer = self._sender.preflight()
        if answer.failure is not None and not answer.of_request:  # what has no spans may be refused for that
            self._say(f"{answer.failure}{'; will be tried again' if answer.retryable else ''}")
            if not answer.retryable:
                self._said.add(answer.reason)

    def open_spool(self) -> None:
        """Open it, which may have to wait for another process, before the first delivery needs it."""
        self._spool.opened()

    def interrupt(self) -> None:
        """Let the request that is under way be the last one; may be called while another thread delivers."""
        self._interrupted = True

    def deliver(self, payloads: Iterable[Payload], origin: Origin) -> None:
        """Send each of ``payloads`` that the receiver is not known to have, and account for it."""
        batch: dict[str, Payload] = {}
        size = 0
        for given in payloads:
            if self._interrupted:
                return
            if given.ident in batch:
                self._send(list(batch.values()), origin)
                batch, size = {}, 0
            payload = self._as_kept(given)
            if len(batch) == PER_BATCH or size + len(payload.body) > LARGEST_REQUEST:
                self._send(list(batch.values()), origin)
                batch, size = {}, 0
            if not self._known(payload, origin):
                batch[payload.ident] = payload
                size += len(payload.body)
        self._send(list(batch.values()), origin)

    def deliver_spool(self) -> bool:
        """Send everything that waits in the spool, whichever endpoint it was meant for; False: it cannot be used."""
        spool = self._spool.opened()
        if spool is None:
            return False
        waiting = spool.waiting()
        self.deliver(self._spool.payloads(waiting), Origin.SPOOL)
        done = [each for each in waiting if self._digest(each.ident) == each.digest]
        superseded = [each for each in waiting if (each.ident, each.digest) in self._superseded]
        elsewhere = [each for each in done if each.endpoint != self._receiver]
        self._spool.use(lambda spool: spool.drop([*elsewhere, *superseded]))
        return True

    def deliver_leftovers(self) -> None:
        """Once more what waits for this very endpoint, unless the endpoint itself refused it: it may be back."""
        spool = self._spool.opened()
        if spool is None:
            return
        waiting = [
            entry
            for entry in spool.waiting(self._receiver)
            if entry.reason not in _HELD and entry.ident not in self._settled
        ]
        if waiting and self._sender.refusal(at_last=True) is None:
            self.deliver(self._spool.payloads(waiting), Origin.LEFTOVER)

    def document(self) -> dict[str, object]:
        """The delivery as JSON."""
        spool = None if self.directory is None else str(self.directory)
        return {"endpoint": self.place, "protocol": self._protocol, "spool": spool, **self.account.document()}

    def plan(self, payloads: Iterable[Payload] | None) -> tuple[int, int]:
        """How many could be sent (None: of the spool), and how many of them the receiver is known to have.

        What is damaged is counted as it would be. Nothing is changed, and nobody is waited for.

        Raises:
            SpoolError: the spool cannot be read.
        """
        self._sender.close()
        if self.directory is None or not check_spool(self.directory):
            spool, kept = None, []
        else:
            spool = Spool(self.directory, self._bounds, read_only=True)
            kept = spool.waiting() if payloads is None else []
        found = known = 0
        stored = (kept_payload(spool, entry) for entry in kept if spool is not None)
        given: Iterable[Payload | None] = stored if payloads is None else payloads
        for payload in given:
            if payload is None:
                self.account.break_line()
                continue
            found += 1
            taken = self._taken.get(payload.ident) or (spool and spool.delivered(payload.ident, self._receiver))
            known += taken is not None and not self._resend
            self._taken[payload.ident] = payload.digest
        for _ in range(spool.lost if spool is not None and payloads is None else 0):
            self.account.break_line()
        return found, known

    def _as_kept(self, payload: Payload) -> Payload:
        """It, or what the spool has under its name: that may have arrived, so nothing else may follow it."""
        entry = self._entry(payload)
        if entry is None or entry.path is None or entry.digest == payload.digest:
            return payload
        if self._digest(payload.ident) is not None:
            return payload
        return next(self._spool.payloads([entry]), payload)

    def _known(self, payload: Payload, origin: Origin) -> bool:
        """Whether the receiver has something by that name: then it is counted here and not sent."""
        digest = self._digest(payload.ident)
        if digest is None or self._resend:
            return False
        if origin is Origin.LEFTOVER:
            return digest == payload.digest
        if digest == payload.digest:
            self.account.already_delivered.add(payload.spans)
        elif payload.estimated and origin is not Origin.ARCHIVE:
            self._superseded.add((payload.ident, payload.digest))
            self.account.already_delivered.add(payload.spans)
        else:
            self._explain(
                f"{self.place} already has a different version of trace {payload.ident[:32]} (see `Delivery.resend`)",
                Reason.DIFFERS,
            )
            self.account.not_exported.add(payload.spans)
            self.account.because(Reason.DIFFERS, payload.spans)
        return True

    def _digest(self, ident: str) -> str | None:
        """Of what the receiver is known to have taken by that name."""
        spool = self._spool.opened()
        taken = self._taken.get(ident)
        return spool.delivered(ident, self._receiver) if taken is None and spool is not None else taken

    def _entry(self, payload: Payload) -> Entry | None:
        """What the spool knows of one that the receiver is not known to have."""
        spool = self._spool.opened()
        return None if spool is None else spool.entry(payload.ident, self._receiver)

    def _send(self, batch: Sequence[Payload], origin: Origin) -> None:
        """One batch: on the disk, sent, recorded, counted."""
        if not batch or self._interrupted:
            return
        refusal = self._refusal()
        before = {payload.ident: self._uncertain(payload) for payload in batch}
        lines, sending = origin is Origin.TRACED, refusal is None
        self._spool.use(lambda spool: spool.store(batch, self._receiver, lines=lines, sending=sending))
        if refusal is not None:
            self._failed(batch, refusal, origin, before)
            return
        for group in self._one_by_one(batch) if self._protocol == JSON else [batch]:
            self._send_group(group, origin, before)
        self._spool.use(lambda spool: spool.sync_receipts())

    def _refusal(self) -> Answer | None:
        """Why nothing is sent at the moment; None if it is."""
        if self._spool.bar is not None:
            return Answer(failure=str(self._spool.bar), reason=Reason.SPOOL_UNAVAILABLE)
        return self._sender.refusal()

    def _one_by_one(self, batch: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
        """Each by itself, until an interrupt."""
        for payload in batch:
            if self._interrupted:
                return
            yield [payload]

    def _uncertain(self, payload: Payload) -> bool:
        """Whether the receiver may have it: then sending it may make a copy."""
        entry = self._entry(payload)
        return (entry is not None and entry.uncertain) or self._digest(payload.ident) is not None

    def _send_group(self, group: Sequence[Payload], origin: Origin, before: dict[str, bool]) -> None:
        """One request; where it is too large or one of it is not liked, one for each."""
        refusal = self._sender.refusal()
        if refusal is not None:
            self._failed(group, refusal, origin, before)
            return
        arrived = False
        copies = dict.fromkeys(before, 0)
        for body in self._bodies(group):
            sent = self._sender.send(body)
            arrived |= sent.arrivals > 0
            for ident, uncertain in before.items():
                copies[ident] = max(copies[ident], sent.arrivals if uncertain else sent.repeats)
            answer = sent.answer
            if answer.failure is not None:
                break
        for payload in group:
            for _ in range(copies[payload.ident]):
                self.account.re_sent.add(payload.spans)
        if answer.failure is None:
            self._succeeded(group, origin)
        elif answer.of_request and not arrived and len(group) > 1:
            for single in self._one_by_one(group):
                self._send_group(single, origin, before)
        else:
            self._failed(group, answer, origin, {ident: each or arrived for ident, each in before.items()})

    def _bodies(self, group: Sequence[Payload]) -> list[bytes]:
        """What is posted: messages of protobuf that follow each other are one message."""
        if len(group) > 1:
            return [b"".join(payload.body for payload in group)]
        return group[0].requests(LARGEST_REQUEST, as_json=self._protocol == JSON)

    def _succeeded(self, group: Sequence[Payload], origin: Origin) -> None:
        for payload in group:
            self._taken[payload.ident] = payload.digest
            reason = self._kept.pop(payload.ident, None)
            if reason is not None:
                self.account.spooled.take(payload.spans)
                self.account.not_because(reason, payload.spans)
            asked_for = origin is not Origin.LEFTOVER or reason is not None
            (self.account.exported if asked_for else self.account.from_spool).add(payload.spans)
        self._spool.use(lambda spool: spool.acknowledge(group, self._receiver))

    def _failed(self, group: Sequence[Payload], answer: Answer, origin: Origin, doubt: dict[str, bool]) -> None:
        self._explain(f"not exported: {answer.failure}", answer.reason)
        uncertain = [doubt[payload.ident] for payload in group]
        self._spool.use(lambda spool: spool.fail(group, self._receiver, answer.reason, uncertain=uncertain))
        if origin is Origin.LEFTOVER:
            return
        for payload in group:
            if not answer.retryable:
                self._settled.add(payload.ident)
            self.account.because(answer.reason, payload.spans)
            if origin is not Origin.ARCHIVE and self._spool.opened() is not None:
                self.account.spooled.add(payload.spans)
                self._kept[payload.ident] = answer.reason
            else:
                self.account.not_exported.add(payload.spans)
                if self._spool.failure not in (None, answer.reason):
                    self.account.because(self._spool.failure, payload.spans)

    def _evicted(self, entry: Entry, reason: Reason) -> None:
        if reason is Reason.BROKEN_LINE:
            which = f"trace {entry.ident[:32]}" if entry.ident else "a trace"
            self._explain(f"{self.directory}: {which} is damaged, given up", reason)
        self.account.evicted.add(entry.spans)
        self.account.because(reason, entry.spans)
        if entry.endpoint == self._receiver and self._kept.pop(entry.ident, None) is not None:
            self.account.spooled.take(entry.spans)
            self.account.not_exported.add(entry.spans)

    def _lose_kept(self) -> None:
        """Nothing is there of what this run kept."""
        self.account.lose_spooled()
        self._kept.clear()

    def _explain(self, text: str, reason: Reason) -> None:
        """Each kind of failure is said once."""
        if reason not in self._said:
            self._said.add(reason)
            self._say(text)
