"""A migration that is ready -> its trace: with ids of its own, below the span that asked for it, linked to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from otelmig.clock.epoch import epochs
from otelmig.live.past import fate_of
from otelmig.live.state.changes import Done
from otelmig.migration.side import Result, Role
from otelmig.pairing.absolute_time import ties_of
from otelmig.structs import Struct
from otelmig.trace.attributes import LinkKind
from otelmig.trace.build import build_trace, link_to
from otelmig.trace.identity import TraceParent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelmig.live.announced.announced import Announced
    from otelmig.live.announced.announcements import Announcements
    from otelmig.live.logs.live_logs import LiveLogs
    from otelmig.live.logs.parting import Parting
    from otelmig.live.options import LiveOptions
    from otelmig.live.past import Past
    from otelmig.live.state.changes import Changes
    from otelmig.live.waiting import Ready
    from otelmig.migration.side import Side
    from otelmig.pairing.migration import Migration
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.span import Link, Trace

__all__ = ["Drawing", "Finished", "is_gone"]


class Finished(Struct, frozen=True, kw_only=True):
    """A trace that was made, and what is not needed any more once it is safe."""

    trace: Trace
    migration: Migration
    last_word_s: float
    """When the last line of it came in, on the clock of whoever drives."""
    done: Sequence[Done]
    parted: Mapping[str, Parting]
    """Of each log whose process is gone, how far it had been read: its lines up to there are not needed any more."""


class Drawing(Struct, frozen=True, kw_only=True):
    """Makes traces."""

    options: LiveOptions
    logs: LiveLogs
    past: Past
    announcements: Announcements
    changes: Changes

    def draw(self, ready: Ready, now_ns: int) -> Finished:
        """Return the trace of a migration that is ready; note what it was made of.

        Raises:
            Exception: whatever goes wrong inside otelmig.
        """
        last_word_s = max(self.logs.touched_s(side) for side in ready.migration.sides)
        migration = self.past.with_own_ids(ready.migration)
        reference = migration.reference
        epoch = epochs([side.vmm for side in migration.sides], ties_of([migration]), {})[reference.vmm.key]
        links: list[Link] = []
        previous = self.past.before(reference)
        if previous is not None:
            links.append(link_to(previous.trace_id, previous.span_id, LinkKind.PREVIOUS_ATTEMPT))
        if ready.other is not None:
            links.append(link_to(*ready.other, LinkKind.OTHER_SIDE))
        options, asked = self._asked(migration, now_ns)
        links += (link_to(announced.trace_id, announced.span_id, LinkKind.REQUESTED_BY) for announced in asked)
        trace = build_trace(migration, epoch, options, links)
        done = [
            Done(
                side.vmm.inputs[0],
                side.role,
                original.identity,
                side.attempt,
                trace.trace_id,
                trace.root.span_id,
                now_ns,
                fate_of(side),
            )
            for side, original in zip(migration.sides, ready.migration.sides, strict=True)
        ]
        self.past.remember(done, ready.migration.sides)
        gone = [side for side in migration.sides if is_gone(side)]
        parted = {key: self.logs.parting(key) for side in gone for key in self.logs.named_alike(side.vmm.inputs[0])}
        return Finished(trace=trace, migration=migration, last_word_s=last_word_s, done=done, parted=parted)

    def _asked(self, migration: Migration, now_ns: int) -> tuple[TraceOptions, Sequence[Announced]]:
        """Return the options with the span that asked for a migration, if that is one; else those that may have."""
        options, source = self.options.trace, migration.source
        first_ns = None if source is None else self.logs.arrived_ns(source)
        if source is None or first_ns is None or options.parent is not None:
            return options, ()
        fitting = self.announcements.fitting(source, first_ns)
        if not fitting:
            self.announcements.note_unannounced(source, now_ns)
        if len(fitting) != 1:
            for asking in fitting:
                self.changes.announce(self.announcements.link(asking, now_ns))
            return options, fitting
        (announced,) = fitting
        self.changes.announce(self.announcements.use(announced, source, now_ns))
        if not (announced.is_sampled or self.options.parent_unsampled):
            return options, ()
        parent = TraceParent(trace_id=announced.trace_id, span_id=announced.span_id)
        return replace(options, parent=parent), ()


def is_gone(side: Side) -> bool:
    """Return whether the process of a side is gone, or goes now: a source that has handed its guest over."""
    return side.role is Role.SOURCE and side.result is Result.SUCCESS
