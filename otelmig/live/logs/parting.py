"""How far a log had been read when a process of it was gone: what it says up to there is not needed any more."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Parting"]


class Parting(NamedTuple):
    """How far a log had been read when a process of it was gone."""

    place: int
    """Of its last line."""
    processes: frozenset[str]
    """The keys of those that wrote to it until then."""
