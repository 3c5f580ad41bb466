"""Waiting for what another process is about to do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["eventually"]

_PATIENCE_S: Final = 60.0
_STEP_S: Final = 0.1
_Found = TypeVar("_Found")


def eventually(look: Callable[[], _Found], enough: Callable[[_Found], bool], patience_s: float = _PATIENCE_S) -> _Found:
    """What ``look`` finds once it is ``enough``, or the last that it found when patience is at an end."""
    deadline = time.monotonic() + patience_s
    while not enough(found := look()) and time.monotonic() < deadline:
        time.sleep(_STEP_S)
    return found
