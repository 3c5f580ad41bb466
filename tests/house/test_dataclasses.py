"""The package's dataclasses are those of the standard library in everything but what it costs to make them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import otelmig
from otelmig.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = Path(otelmig.__file__).parent


class _Own:
    """Classes that are made by the package's decorator."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        """Values."""

        name: str
        size: int = 3
        parts: list[int] = dataclasses.field(default_factory=list)
        seen: int = dataclasses.field(default=0, compare=False, repr=False)

    @dataclass(frozen=True, kw_only=True)
    class WithoutSlots:
        """Values that may be computed once."""

        name: str
        parts: tuple[int, ...] = ()

    @dataclass(slots=True)
    class Mutable:
        """Values that change."""

        name: str
        size: int = 3
        _: dataclasses.KW_ONLY
        parts: list[int] = dataclasses.field(default_factory=list)
        length: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.length = len(self.name)

    @dataclass(slots=True, eq=False)
    class Itself:
        """Equal to nothing else."""

        name: str


class _Standard:
    """The same by that of the standard library."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        """Values."""

        name: str
        size: int = 3
        parts: list[int] = dataclasses.field(default_factory=list)
        seen: int = dataclasses.field(default=0, compare=False, repr=False)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class WithoutSlots:
        """Values that may be computed once."""

        name: str
        parts: tuple[int, ...] = ()

    @dataclasses.dataclass(slots=True)
    class Mutable:
        """Values that change."""

        name: str
        size: int = 3
        _: dataclasses.KW_ONLY
        parts: list[int] = dataclasses.field(default_factory=list)
        length: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.length = len(self.name)

    @dataclasses.dataclass(slots=True, eq=False)
    class Itself:
        """Equal to nothing else."""

        name: str


def _outcome(work: Callable[[], object]) -> object:
    try:
        return work()
    except (TypeError, AttributeError) as error:
        return type(error), str(error).partition("(")[0].replace("_Standard", "_Own")


def _behaviour(cls: Any) -> list[object]:
    """Return all that a class says and does, in a form that can be compared."""
    one, other, third = cls(name="a"), cls(name="a"), cls(name="b")
    outcomes: list[object] = [
        _outcome(lambda: one == other),
        _outcome(lambda: one == third),
        _outcome(lambda: one == "a"),
        _outcome(lambda: hash(one) == hash(other)),
        _outcome(lambda: hash(third) is None),
        _outcome(lambda: setattr(one, "name", "c")),
        _outcome(lambda: delattr(third, "name")),
        _outcome(lambda: cls("d").name),
        _outcome(cls),
        _outcome(lambda: cls(name="e", size=5).size),
        _outcome(lambda: cls(name="e", unheard_of=5)),
        _outcome(lambda: cls("a", 2, [3])),
        _outcome(lambda: cls(name="f").parts is not cls(name="f").parts),
    ]
    unpickled = pickle.loads(pickle.dumps(one))  # noqa: S301 - pickled here
    others = (copy.copy(one), copy.deepcopy(one), unpickled, dataclasses.replace(one, name="g"))
    for each in (one, *others):
        outcomes.append(repr(each).replace("_Standard", "_Own") if cls.__repr__ is not object.__repr__ else None)
        outcomes.append(dataclasses.astuple(each))
    outcomes.append(str(inspect.signature(cls)))
    outcomes += [cls.__match_args__, cls.__doc__, "__dict__" in dir(one)]
    return outcomes


@pytest.mark.parametrize("name", ["Frozen", "WithoutSlots", "Mutable", "Itself"])
def test_as_the_standard_library(name: str) -> None:
    """Values, equality, hashes, refusals, copies and signatures are the same."""
    assert _behaviour(getattr(_Own, name)) == _behaviour(getattr(_Standard, name))


def test_what_is_not_compared() -> None:
    """A field that is not to be compared or shown is neither."""
    one, other = _Own.Frozen(name="a", seen=1), _Own.Frozen(name="a", seen=2)
    assert one == other
    assert "seen" not in repr(one)


def test_what_contains_itself() -> None:
    """A value that holds itself can be shown."""
    own = _Own.Mutable("a")
    own.parts.append(own)  # type: ignore[arg-type] # that is the point
    assert repr(own).endswith("parts=[...], length=1)")


def test_everybody_uses_it() -> None:
    """No module makes a dataclass the dear way."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        dear = re.search(
            r"^from dataclasses import .*\bdataclass\b|^import dataclasses", path.read_text(), re.MULTILINE
        )
        assert dear is None or path == _PACKAGE / "dataclass.py", path
