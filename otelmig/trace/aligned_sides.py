"""What the builders of the tree share: both sides, placed on one timeline, and the instants that bound phases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from otelmig.migration.observation import Kind
from otelmig.migration.side import Result, Role
from otelmig.migration.stamp import COARSE_NS

if TYPE_CHECKING:
    from otelmig.migration.observation import Command, Observation
    from otelmig.migration.side import Side
    from otelmig.trace.timeline import Moment, Timeline

__all__ = ["AlignedSides", "seconds"]


def seconds(ns: int) -> float:
    """Nanoseconds as the double of seconds that conventions ask for."""
    return ns / 1e9


@dataclass(frozen=True, kw_only=True)
class AlignedSides:
    """One migration on one timeline; either side may be missing."""

    source: Side | None
    destination: Side | None
    timeline: Timeline

    def on_source(self, seen: Observation | None) -> Moment | None:
        """When the source observed ``seen``."""
        return None if seen is None else self.timeline.at(Role.SOURCE, seen)

    def on_destination(self, seen: Observation | None) -> Moment | None:
        """When the destination observed ``seen``."""
        return None if seen is None else self.timeline.at(Role.DESTINATION, seen)

    def source_first(self, *kinds: Kind) -> Moment | None:
        """The first of ``kinds`` on the source."""
        return None if self.source is None else self.on_source(self.source.first(*kinds))

    def source_last(self, *kinds: Kind) -> Moment | None:
        """The last of the first of ``kinds`` that the source has."""
        return None if self.source is None else self.on_source(self.source.last(*kinds))

    def destination_first(self, *kinds: Kind) -> Moment | None:
        """The first of ``kinds`` on the destination."""
        return None if self.destination is None else self.on_destination(self.destination.first(*kinds))

    def destination_last(self, *kinds: Kind) -> Moment | None:
        """The last of the first of ``kinds`` that the destination has."""
        return None if self.destination is None else self.on_destination(self.destination.last(*kinds))

    def command(self, name: Command) -> Moment | None:
        """When the destination received it first."""
        return None if self.destination is None else self.on_destination(self.destination.command(name))

    @cached_property
    def failure(self) -> Moment | None:
        """The instant at which the source gave up: its earliest sign."""
        return None if self.source is None else self.on_source(self.source.failure)

    @cached_property
    def evidence_ends(self) -> Moment | None:
        """Where a source that neither completed nor failed ends: the destination saw it go, else its last line."""
        if self.source is None or self.source.result is not Result.UNKNOWN:
            return None
        last = self.timeline.at(Role.SOURCE, self.source.observations[-1])
        lost = self.on_destination(self.peer_lost)
        return last if lost is None else lost.not_before(last)

    @cached_property
    def peer_lost(self) -> Observation | None:
        """Where the destination found that the source had gone: end of file, or a page that cannot be fetched."""
        if self.destination is None:
            return None
        return self.destination.first(Kind.PEER_LOST, Kind.PREFAULT_ERROR, Kind.PREFAULT_FAILED)

    @cached_property
    def paused(self) -> bool:
        """Whether the migration itself stopped the guest."""
        return self.source is not None and self.source.first(Kind.VM_PAUSING, Kind.DEVICE_PAUSING) is not None

    @cached_property
    def coarse(self) -> bool:
        """Whether the source's stamps are too coarse to place the parts of its downtime."""
        completed = self.source_first(Kind.COMPLETED)
        return completed is not None and (completed.error_ns or 0) > COARSE_NS

    @cached_property
    def error_type(self) -> str:
        """What the failure is, as ``error.type``: the destination's refusal says it best, then the source's text."""
        if self.source is not None and self.source.first(Kind.TIMED_OUT) is not None:
            return "convergence_timeout"
        for side, kinds in (
            (self.destination, (Kind.RECEIVE_ABORTED, Kind.CPU_INCOMPATIBLE)),
            (self.source, (Kind.PEER_REPORTED_ERROR,)),
            (self.source, (Kind.SEND_FAILED,)),
        ):
            seen = None if side is None else side.first(*kinds)
            if seen is not None and (found := seen.word("error_type")) not in (None, "_OTHER"):
                return found or "_OTHER"
        return "_OTHER"

    @cached_property
    def refusal(self) -> str | None:
        """What the destination said when it turned the migration down: the root cause of what the source reports."""
        refused = None if self.destination is None else self.destination.first(Kind.RECEIVE_ABORTED)
        if refused is not None:
            return f"{refused.word('command')} failed: {refused.word('error')}"
        mismatch = None if self.destination is None else self.destination.first(Kind.CPU_INCOMPATIBLE)
        return None if mismatch is None else f"Config failed: incompatible CPUID entry: {mismatch.word('error')}"
