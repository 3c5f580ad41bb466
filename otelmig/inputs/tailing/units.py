"""Units of the systemd journal that are followed: one by its name, or those that match a pattern, now and later."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from otelmig.errors import InputError
from otelmig.inputs.record import JOURNAL
from otelmig.printable import printable
from otelmig.structs import Struct

__all__ = ["Unit", "unit_of"]

_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_PATTERN: Final = re.compile(r"[A-Za-z0-9:_.\\@!\[\]*?-]+")
"""What systemd takes for a name, and for a pattern of names. (``src/basic/unit-name.c``)"""
_LONGEST: Final = 255
_TYPES: Final = (
    *(".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer"),
    *(".slice", ".scope"),
)
"""How the names of units end; one that ends otherwise is a service's."""


class Unit(Struct, frozen=True, kw_only=True):
    """One unit, or a pattern of units."""

    name: str
    is_pattern: bool = False

    @property
    def key(self) -> str:
        """The unit as an argument names it."""
        return f"{JOURNAL}{self.name}"

    def wants(self, name: str) -> bool:
        """Return whether a unit of this name is meant."""
        return fnmatchcase(name, self.name) if self.is_pattern else name == self.name


def unit_of(text: str) -> Unit | None:
    """Return the unit that an argument names, as ``journald:ch@1.service``; None if it names a file.

    Raises:
        InputError: no unit has such a name.
    """
    if not text.startswith(JOURNAL):
        return None
    name = text.removeprefix(JOURNAL)
    is_pattern = any(character in name for character in "*?[")
    if (_PATTERN if is_pattern else _NAME).fullmatch(name) is None or len(name) > _LONGEST:
        raise InputError(
            f"{printable(text)}: want the name of a unit (letters, digits and :_.\\@-), or a pattern (*?[] too)"
        )
    return Unit(name=name if is_pattern or name.endswith(_TYPES) else f"{name}.service", is_pattern=is_pattern)
