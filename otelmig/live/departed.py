"""Sides whose process is known to be gone: they are over, whatever their last line is."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.migration.side import SideState

if TYPE_CHECKING:
    from otelmig.migration.side import Side

__all__ = ["Departed"]

_MOST: Final = 4096


class Departed:
    """What is remembered of them: a side of which a line comes later is not over for this reason."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str, bytes], int] = OrderedDict()
        """How many lines a side had when its process was gone."""

    def mark(self, side: Side) -> Side:
        """Note that the process of a side is gone; return the side as it stands now."""
        self._lines[_key(side)] = len(side.observations)
        while len(self._lines) > _MOST:
            self._lines.popitem(last=False)
        return self.as_it_stands(side)

    def as_it_stands(self, side: Side) -> Side:
        """Return the side, over if its process is gone."""
        if not self._lines or side.state is SideState.OVER or self._lines.get(_key(side)) != len(side.observations):
            return side
        return replace(side, state=SideState.OVER)


def _key(side: Side) -> tuple[str, str, bytes]:
    return side.vmm.inputs[0], side.role, side.identity
