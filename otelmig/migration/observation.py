"""What one VMM did at one instant, and the line that says so: the evidence that facts rest on."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from otelmig.migration.facts import Instant
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.inputs.line import Where
    from otelmig.migration.stamp import Stamp

__all__ = ["NO_VALUES", "Observation", "Value"]

Value = str | int | float | bool
"""A value printed in a message: times in ns, sizes in bytes, rates in bytes per second."""

NO_VALUES: Mapping[str, Value] = MappingProxyType({})


class Observation(Struct, frozen=True):
    """What one VMM did at one instant, and the line that says so."""

    kind: str
    """What was observed, in its hypervisor's own vocabulary; only that hypervisor's package knows the words."""
    stamp: Stamp
    where: Where
    thread: str
    text: str
    """The record as printed where it identifies the attempt (its first lines), else empty."""
    values: Mapping[str, Value] = NO_VALUES
    since: Stamp | None = None
    """First instant of an observation that took several lines."""

    @property
    def instant(self) -> Instant:
        """When it was, and the line."""
        return Instant(self.stamp, self.where)

    def number(self, name: str) -> int | None:
        """Return the integer called ``name``, or None where the message does not print it."""
        value = self.values.get(name)
        return value if type(value) is int else None

    def rate(self, name: str) -> float | None:
        """Return the number called ``name`` as a float, or None."""
        value = self.values.get(name)
        if type(value) is float:
            return value
        return float(value) if type(value) is int else None

    def word(self, name: str) -> str | None:
        """Return the text called ``name``, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def flag(self, name: str) -> bool | None:
        """Return the truth value called ``name``, or None."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else None
