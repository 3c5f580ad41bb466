"""What `make test` takes of a matrix that is dear: a sample by a fixed rule. `make fuzz` takes the whole of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FULL", "dealt", "every"]

FULL: Final = bool(os.environ.get("OTELMIG_FULL"))
"""Whether the whole is taken, as with the variable OTELMIG_FULL."""
_Value = TypeVar("_Value")
_Variant = TypeVar("_Variant")


def every(step: int, values: Sequence[_Value], first: int = 0) -> list[_Value]:
    """Return every so manieth value, beginning with the one at ``first``; in a full run all."""
    return [*values] if FULL else [*values[first::step]]


def dealt(values: Sequence[_Value], variants: Sequence[_Variant], first: int = 0) -> list[tuple[_Value, _Variant]]:
    """Return each value with one of the variants, which take turns from ``first`` on; in a full run with each."""
    if FULL:
        return [(value, variant) for value in values for variant in variants]
    return [(value, variants[number % len(variants)]) for number, value in enumerate(values, start=first)]
