"""Classes of named fields: what `help` says of them."""

from __future__ import annotations

import inspect
import pydoc
from typing import TYPE_CHECKING, Final

import pytest
from msgspec import StructMeta, field

import otelmig
from otelmig.structs import Struct

if TYPE_CHECKING:
    from decimal import Decimal

_NAMES: Final = [
    name for name in otelmig.__all__ if inspect.isroutine(thing := getattr(otelmig, name)) or inspect.isclass(thing)
]


class _Base(Struct, frozen=True):
    """Two fields that may be given by position."""

    width: Decimal
    height: int = 3


class _More(_Base, frozen=True, kw_only=True):
    """Fields that must be named beside those."""

    depth: Decimal
    parts: list[Decimal] = field(default_factory=list)


def test_what_a_call_takes() -> None:
    """A signature has the types as they are written, also those that only a type checker knows."""
    text = str(inspect.signature(_More)).replace("'", "")
    assert text == "(width: Decimal, height: int = 3, *, depth: Decimal, parts: list[Decimal] = <factory>)"


@pytest.mark.parametrize("name", _NAMES)
def test_help_of_a_public_name(name: str) -> None:
    """`help` of every public name says something; of a class of fields, what a call takes."""
    thing = getattr(otelmig, name)
    text = pydoc.plain(pydoc.render_doc(thing))
    takes = f"{name}{str(inspect.signature(thing))[:20]}" if isinstance(thing, StructMeta) else name
    assert takes in text


def test_help_of_the_package() -> None:
    """`help(otelmig)` shows the public names."""
    text = pydoc.plain(pydoc.render_doc(otelmig))
    assert not [name for name in _NAMES if name not in text]
