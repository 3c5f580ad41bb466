"""Delivery: every trace reaches the receiver, or the account says which one did not, why, and where it is.

Payloads are sent in batches. A batch is durable (one fsync) before its first byte leaves, and is acknowledged once the
answer proves that the receiver accepted it (another fsync, before the next one leaves). After a crash, what is not
acknowledged is sent again, and counted as re-sent if it may have arrived. What cannot be delivered stays in the spool.
"""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from otelmig.otlp.account import Account, Reason
from otelmig.otlp.ledger import Ledger
from otelmig.otlp.receiver.answer import Answer
from otelmig.otlp.receiver.settings import JSON
from otelmig.otlp.spool.content import SpoolContent, may_hold_payloads
from otelmig.otlp.spool.directory import check_spool
from otelmig.otlp.spool.session import stored_payload
from otelmig.otlp.spool.spool import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from otelmig.otlp.payload import Payload
    from otelmig.otlp.receiver.sender import Sender
    from otelmig.otlp.receiver.settings import Settings

__all__ = ["LARGEST_REQUEST", "PER_BATCH", "Delivery", "Origin"]

LARGEST_REQUEST: Final = 2_000_000
"""Bytes of the largest request: below 2 MiB, half of gRPC's default limit, which a later hop may apply unnoticed."""
PER_BATCH: Final = 50
"""At most this many payloads share a request and two fsyncs: a crash can duplicate as many."""
_HELD: Final = frozenset({Reason.REJECTED, Reason.REJECTED_SPANS, Reason.TOO_LARGE})
"""Reasons to hold a leftover back: the receiver would reject it again, or get a duplicate of what it did accept."""


class Origin(Enum):
    """Where a payload comes from, and therefore what keeps it."""

    TRACED = auto()
    """It was just made: the spool keeps it."""
    ARCHIVE = auto()
    """It was read from an archive, which keeps it; the spool records only what became of it."""
    SPOOL = auto()
    """The spool keeps it, and this run is asked to deliver it."""
    LEFTOVER = auto()
    """The spool keeps it from an earlier attempt, and this run delivers it in passing."""


class Delivery:
    """One run's delivery to one receiver; a context manager, which closes the spool and the connection.

    ::

        settings = Settings.of(os.environ, url="http://collector:4318")
        with Delivery(settings, Sender(settings), directory=default_spool(os.environ), say=print) as delivery:
            delivery.deliver(map(Payload.of_trace, trace_migrations(paths)), Origin.TRACED)
            delivery.deliver_leftovers()
        print(delivery.account.words())  # "3 exported, 1 already delivered"
    """

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
        """Prepare; nothing is opened yet. Without a ``directory`` (of the spool) nothing is kept or remembered.

        With ``resend``, traces that the receiver has acknowledged are sent, too. ``say`` gets one line at a time.
        """
        self.display_url = settings.display_url
        self.directory = directory
        self._spool_key = settings.spool_key
        self._protocol = settings.protocol
        self._sender = sender
        self._bounds = bounds or Bounds()
        self._resend = resend
        self._say = say
        self._ledger = Ledger(settings, directory=directory, bounds=self._bounds, say=say)
        self._interrupted = False

    @property
    def account(self) -> Account:
        """The counts so far."""
        return self._ledger.account

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.settle()
        for entry in self._ledger.spool.close():
            self.account.waiting.add(entry.spans)
        self._sender.close()

    def preflight(self) -> None:
        """Ask the spool and the receiver, and say in one line what would keep everything from being delivered."""
        self._ledger.spool.check()
        if self._ledger.spool.blocked_by is not None:
            self._ledger.report(f"not exported: {self._ledger.spool.blocked_by}", Reason.SPOOL_UNAVAILABLE)
            return
        answer = self._sender.preflight()
        if answer.failure is None or answer.concerns_request:  # a request without spans may be rejected for that alone
            return
        if answer.retryable:
            self._say(f"{answer.failure}; will be tried again")
        else:
            self._ledger.report(answer.failure, answer.reason)

    def may_hold_traces(self) -> bool:
        """Return whether something waits in the spool, or might, since it cannot be read now."""
        return self.directory is not None and may_hold_payloads(self.directory, self._bounds.since_s(time.time()))

    def open_spool(self) -> None:
        """Open the spool before it is needed; this may have to wait until another process releases it."""
        self._ledger.spool.get()

    def interrupt(self) -> None:
        """Let the request under way be the last one; may be called while another thread delivers."""
        self._interrupted = True

    def deliver(self, payloads: Iterable[Payload], origin: Origin) -> None:
        """Send each of ``payloads`` that the receiver is not known to have, and count what becomes of it."""
        batch: dict[str, Payload] = {}
        size = 0
        # `batch` holds the payloads of the next request by ident, and `size` their bytes; it is sent, and begun anew,
        # when the next payload has an ident of the batch, or does not fit into it
        for payload in payloads:
            if self._interrupted:
                return
            if payload.ident in batch:
                self._send(list(batch.values()), origin)
                batch, size = {}, 0
            version = self._ledger.stored_version(payload)
            if len(batch) == PER_BATCH or size + len(version.body) > LARGEST_REQUEST:
                self._send(list(batch.values()), origin)
                batch, size = {}, 0
            if not self._is_known(version, origin):
                batch[version.ident] = version
                size += len(version.body)
        self._send(list(batch.values()), origin)

    def deliver_spool(self) -> bool:
        """Send everything that waits in the spool, whichever endpoint it is for; False if the spool cannot be used."""
        session = self._ledger.spool
        spool = session.get()
        if spool is None:
            return False
        waiting = spool.waiting()
        self.deliver(session.payloads(waiting), Origin.SPOOL)
        obsolete = [entry for entry in waiting if self._ledger.is_obsolete(entry)]
        session.attempt(lambda spool: spool.drop(obsolete))
        return True

    def deliver_leftovers(self) -> None:
        """Retry what the spool holds for this endpoint, except what the endpoint rejected."""
        waiting = [entry for entry in self._ledger.leftovers() if entry.reason not in _HELD]
        if waiting and self._sender.refusal(last_chance=True) is None:
            self.deliver(self._ledger.spool.payloads(waiting), Origin.LEFTOVER)

    def has_settled(self, ident: str) -> bool:
        """Return whether the receiver has a payload: by this run, or from before."""
        return self._ledger.has_settled(ident)

    def keeps(self, payload: Payload) -> bool:
        """Return whether a payload cannot be lost any more: the receiver or the spool has it."""
        return self.has_settled(payload.ident) or self._ledger.is_stored(payload)

    def document(self) -> dict[str, object]:
        """Return the delivery as a JSON object."""
        spool = None if self.directory is None else str(self.directory)
        return {"endpoint": self.display_url, "protocol": self._protocol, "spool": spool, **self.account.document()}

    def plan(self, payloads: Iterable[Payload] | None) -> tuple[int, int]:
        """Return how many of ``payloads`` (None: of the spool) could be sent, and how many the receiver has.

        Damaged lines are counted in the account; nothing is sent or changed, and the spool is read without its lock.

        Raises:
            SpoolError: the spool cannot be read.
        """
        self._sender.close()
        content = None
        if self.directory is not None and check_spool(self.directory):
            content = SpoolContent(self.directory, since_s=self._bounds.since_s(time.time()))
        planned: set[str] = set()
        count = known = 0
        for payload in _stored_payloads(content) if payloads is None else payloads:
            if payload is None:
                self.account.count_broken_line()
                continue
            count += 1
            delivered = content is not None and content.delivered(payload.ident, self._spool_key) is not None
            known += (delivered or payload.ident in planned) and not self._resend
            planned.add(payload.ident)
        return count, known

    def _is_known(self, payload: Payload, origin: Origin) -> bool:
        """Return whether the receiver has a version of ``payload``: then it is not sent, and counted here."""
        digest = self._ledger.acknowledged(payload.ident)
        if digest is None or self._resend:
            return False
        if origin is Origin.LEFTOVER:
            return digest == payload.digest
        if digest == payload.digest:
            self._ledger.count_known(payload)
        elif payload.estimated and origin is not Origin.ARCHIVE:
            self._ledger.count_superseded(payload)
        else:
            version = f"a different version of trace {payload.ident[:32]} (see `Delivery.resend`)"
            self._ledger.report(f"{self.display_url} already has {version}", Reason.DIFFERS)
            self._ledger.count_different(payload)
        return True

    def _send(self, batch: Sequence[Payload], origin: Origin) -> None:
        """Store, send, record and count one batch."""
        if not batch or self._interrupted:
            return
        refusal = self._refusal()
        uncertain = {payload.ident: self._ledger.is_uncertain(payload) for payload in batch}
        self._ledger.store(batch, lines=origin is Origin.TRACED, sending=refusal is None)
        if refusal is not None:
            self._fail(batch, refusal, origin, uncertain)
            return
        for group in self._one_by_one(batch) if self._protocol == JSON else [batch]:
            self._send_group(group, origin, uncertain)
        self._ledger.sync()

    def _refusal(self) -> Answer | None:
        """Return the failure because of which nothing is sent at the moment; None if sending is worth trying."""
        blocked_by = self._ledger.spool.blocked_by
        if blocked_by is not None:
            return Answer(failure=str(blocked_by), reason=Reason.SPOOL_UNAVAILABLE)
        return self._sender.refusal()

    def _one_by_one(self, batch: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
        """Yield each payload as a group of its own, until an interrupt."""
        for payload in batch:
            if self._interrupted:
                return
            yield [payload]

    def _send_group(self, group: Sequence[Payload], origin: Origin, uncertain: dict[str, bool]) -> None:
        """Send one request; if it is too large, or the receiver rejects it as a whole, send one for each payload.

        ``uncertain`` says by ident which payloads the receiver may have already.
        """
        refusal = self._sender.refusal()
        if refusal is not None:
            self._fail(group, refusal, origin, uncertain)
            return
        arrived = False
        repeats = dict.fromkeys(uncertain, 0)
        # a large payload takes several requests: `answer` is that of the last one, `arrived` says whether any of them
        # may have been accepted, and `repeats` counts by ident the sends of one request that may have made duplicates
        for body in self._bodies(group):
            result = self._sender.send(body, on_repeat=lambda: self._ledger.store_repeat(group))
            arrived |= result.arrivals > 0
            for ident, doubt in uncertain.items():
                repeats[ident] = max(repeats[ident], result.arrivals if doubt else result.repeats)
            answer = result.answer
            if answer.failure is not None:
                break
        self._ledger.count_repeats(group, repeats)
        if answer.failure is None:
            self._ledger.record_exported(group, leftover=origin is Origin.LEFTOVER)
        elif answer.concerns_request and not arrived and len(group) > 1:
            for single in self._one_by_one(group):
                self._send_group(single, origin, uncertain)
        else:
            self._fail(group, answer, origin, {ident: doubt or arrived for ident, doubt in uncertain.items()})

    def _bodies(self, group: Sequence[Payload]) -> list[bytes]:
        """Return the bodies of the requests for ``group``; protobuf messages one after the other are one message."""
        if len(group) > 1:
            return [b"".join(payload.body for payload in group)]
        return group[0].requests(LARGEST_REQUEST, as_json=self._protocol == JSON)

    def _fail(self, group: Sequence[Payload], answer: Answer, origin: Origin, uncertain: dict[str, bool]) -> None:
        """Record and count payloads that were not exported; a leftover was counted when it was stored."""
        self._ledger.record_failed(group, answer, uncertain)
        if origin is not Origin.LEFTOVER:
            self._ledger.count_failed(group, answer, archived=origin is Origin.ARCHIVE)


def _stored_payloads(content: SpoolContent | None) -> Iterator[Payload | None]:
    """Yield the payloads that wait in a spool, and None for each that is damaged."""
    if content is not None:
        yield from (stored_payload(content, entry) for entry in content.waiting())
        yield from [None] * content.lost
