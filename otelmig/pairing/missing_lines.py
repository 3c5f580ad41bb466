"""What shows in a destination's own log that lines of it are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.migration.facts import RequestKind

if TYPE_CHECKING:
    from otelmig.migration.side import Side

__all__ = ["begins_late", "lacks_requests"]

_ONE_EACH: Final = (RequestKind.START, RequestKind.CONFIG, RequestKind.STATE, RequestKind.COMPLETE)
"""Requests of which there is one in each migration, in order, on the connection that is logged."""


def begins_late(destination: Side) -> bool:
    """Return whether the destination's log lacks the beginning of the attempt."""
    return destination.received.url is None and not destination.received.count(RequestKind.START)


def lacks_requests(destination: Side) -> bool:
    """Return whether a destination that prints requests has no line of one that came before others: some are lost."""
    counts = [bool(destination.received.count(kind)) for kind in _ONE_EACH]
    return any(counts) and not all(counts[: len(counts) - counts[::-1].index(True)])
