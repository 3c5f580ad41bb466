"""What the builders of the tree share: both sides' facts, placed on one timeline."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from otelmig.migration.facts import DestinationFacts, ErrorType, SourceFacts
from otelmig.migration.side import Result, Role
from otelmig.migration.stamp import COARSE_NS
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from otelmig.migration.facts import Instant, RequestKind
    from otelmig.migration.side import Side
    from otelmig.trace.drafting.timeline import Moment, Timeline

__all__ = ["AlignedSides", "seconds"]


def seconds(ns: int) -> float:
    """Return nanoseconds as the double of seconds that conventions ask for."""
    return ns / SECOND_NS


class AlignedSides(Struct, frozen=True, kw_only=True, dict=True):
    """One migration on one timeline; either side may be missing, and its facts are then empty."""

    source: Side | None
    destination: Side | None
    timeline: Timeline

    @cached_property
    def sent(self) -> SourceFacts:
        """What the source says."""
        return SourceFacts() if self.source is None else self.source.sent

    @cached_property
    def received(self) -> DestinationFacts:
        """What the destination says."""
        return DestinationFacts() if self.destination is None else self.destination.received

    def on_source(self, instant: Instant | None) -> Moment | None:
        """Return when an instant of the source was."""
        return None if instant is None else self.timeline.at(Role.SOURCE, instant)

    def on_destination(self, instant: Instant | None) -> Moment | None:
        """Return when an instant of the destination was."""
        return None if instant is None else self.timeline.at(Role.DESTINATION, instant)

    def requested(self, kind: RequestKind) -> Moment | None:
        """Return when the destination read the first request of this kind."""
        return self.on_destination(self.received.first(kind))

    @cached_property
    def failure(self) -> Moment | None:
        """The instant at which the source gave up: its earliest sign."""
        failure = self.sent.failure
        return None if failure is None else self.on_source(failure.at)

    @cached_property
    def evidence_ends(self) -> Moment | None:
        """The end of a source that neither completed nor failed: the destination saw it go, else its last line."""
        if self.source is None or self.source.result is not Result.UNKNOWN:
            return None
        last = self.timeline.at(Role.SOURCE, self.source.last)
        lost = self.on_destination(self._saw_source_go)
        return last if lost is None else lost.not_before(last)

    @property
    def _saw_source_go(self) -> Instant | None:
        """When the destination saw the source go; None for one that says that it finished."""
        return self.received.peer_gone if self.sent.finished is None else None

    def lost(self, side: Side) -> str | None:
        """Return how ``side``, whose log stops without a word, is known to be gone; None if nothing says so.

        What killed it says so, or its peer, which saw the connection end.
        """
        if side.role is Role.SOURCE:
            peer, killed, was_noticed = Role.DESTINATION, self.sent.killed, self._saw_source_go is not None
        else:
            peer, killed, failure = Role.SOURCE, self.received.killed, self.sent.failure
            was_noticed = failure is not None and failure.error_type is ErrorType.SOCKET_ERROR
        if killed is None and not was_noticed:
            return None
        gone = f"'s log stops at {side.last.where}" if killed is None else f" was killed by {killed.by}"
        text = f"the {side.role}{gone}"
        return f"{text}; the {peer} saw the connection end" if was_noticed else text

    @cached_property
    def paused(self) -> bool:
        """Whether the migration itself stopped the guest."""
        return self.sent.pause.sign is not None

    @cached_property
    def coarse(self) -> bool:
        """Whether the source's stamps are too coarse to place the parts of its downtime."""
        downtime = self.sent.downtime
        return downtime is not None and downtime.end.stamp.error_ns > COARSE_NS

    @cached_property
    def error_type(self) -> ErrorType:
        """What the failure is: the destination's refusal says it best, unless the source ran out of time."""
        failure, refusal = self.sent.failure, self.received.refusal
        if failure is not None and failure.timed_out:
            return failure.error_type
        if refusal is not None and refusal.error_type is not ErrorType.OTHER:
            return refusal.error_type
        return ErrorType.OTHER if failure is None else failure.error_type
