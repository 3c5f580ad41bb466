"""What is ready to be drawn, and what sides are told from each other by while their logs grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelmig.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.side import Role, Side
    from otelmig.pairing.migration import Migration

__all__ = ["Candidates", "Ready", "SideKey", "side_key"]


class SideKey(NamedTuple):
    """Tells a side from all others, and stays the same while its log grows."""

    process: str
    role: Role
    attempt: int


def side_key(side: Side) -> SideKey:
    """Return the key of a side."""
    return SideKey(side.vmm.key, side.role, side.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A migration that a trace is made of now."""

    migration: Migration
    other: tuple[str, str] | None = None
    """The trace of the other side, and its root span, where that was exported before this side was there."""
    open: bool = False
    """Whether a side of it is not over: nothing was heard of it for long."""


class Candidates:
    """Sides that wait for a partner."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, Role, int], Side] = {}

    def add(self, side: Side) -> None:
        """Take a side."""
        self._sides[side.vmm.key, side.role, side.attempt] = side

    def remove(self, side: Side) -> None:
        """Forget a side."""
        self._sides.pop((side.vmm.key, side.role, side.attempt), None)

    def candidates(self, side: Side) -> Iterator[Side]:
        """Yield the sides that may be the partner of ``side``."""
        return (each for each in list(self._sides.values()) if each.role is not side.role)
