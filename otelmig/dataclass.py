"""Dataclasses that cost a start little: :func:`dataclass` makes what that of the standard library makes.

The standard library compiles six functions for each frozen class, which was half of the time that the command took to
start. Here only ``__init__`` is compiled; all classes share what shows, compares, hashes and protects their values.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import dataclass

__all__ = ["dataclass"]


class _Made:
    """In signatures: a default that is made anew for each object."""

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()
_NO_FIELDS = ("ClassVar", "InitVar", "KW_ONLY")
"""Annotations of what is no field."""

if not TYPE_CHECKING:  # whoever checks types knows that of the standard library

    def dataclass(
        *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
    ) -> Callable[[type], type]:
        """Return the decorator that makes a dataclass of a class."""

        def decorate(cls: type) -> type:
            annotations = dict(cls.__annotations__)
            # in a text the standard library looks for these with a regular expression each: 5 % of a start
            cls.__annotations__ = {name: _without_text(each) for name, each in annotations.items()}
            with_fields = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            with_fields.__annotations__ = annotations
            for field in dataclasses.fields(with_fields):
                field.type = annotations.get(field.name, field.type)
            _add_methods(with_fields, frozen=frozen, eq=eq)
            return with_fields

        return decorate


def _without_text(annotation: object) -> object:
    """Return what stands for an annotation that is the text of a type; any other one as it is."""
    if isinstance(annotation, str) and not any(each in annotation for each in _NO_FIELDS):
        return object
    return annotation


def _add_methods(cls: Any, *, frozen: bool, eq: bool) -> None:
    """Complete ``cls``, which knows its fields."""
    fields = dataclasses.fields(cls)
    cls.__init__ = _initializer(cls, [field for field in fields if field.init], frozen=frozen)
    cls.__repr__ = _representation
    if eq:
        values = attrgetter(*(field.name for field in fields if field.compare))
        cls.__eq__ = _equality(values)
        cls.__hash__ = (lambda self: hash(values(self))) if frozen else None
    if frozen:
        cls.__setattr__, cls.__delattr__ = _refuse_to_set, _refuse_to_delete
        cls.__getstate__, cls.__setstate__ = _state, _set_state


def _initializer(cls: type, fields: Sequence[dataclasses.Field[Any]], *, frozen: bool) -> Callable[..., None]:
    """Compile ``__init__``; slots of a frozen class are set by their descriptors, since the class itself refuses."""
    known: dict[str, object] = {"_MADE": _MADE}
    body = ["_attributes = self.__dict__"] if frozen and not hasattr(cls, "__slots__") else []
    for field in fields:
        name, value = field.name, field.name
        if field.default_factory is not MISSING:
            known[f"_make_{name}"] = field.default_factory
            value = f"_make_{name}() if {name} is _MADE else {name}"
        if not frozen:
            body.append(f"self.{name} = {value}")
        elif hasattr(cls, "__slots__"):
            known[f"_set_{name}"] = getattr(cls, name).__set__
            body.append(f"_set_{name}(self, {value})")
        else:
            body.append(f"_attributes[{name!r}] = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    positional = [field for field in fields if not field.kw_only]
    keyword = [field for field in fields if field.kw_only]
    parameters = [
        "self",
        *(field.name for field in positional),
        *["*"][: len(keyword)],
        *(each.name for each in keyword),
    ]
    exec("\n ".join([f"def __init__({', '.join(parameters)}):", *body]), known)  # noqa: S102 - names of this package
    function: Any = known["__init__"]
    function.__qualname__ = f"{cls.__qualname__}.__init__"
    function.__annotations__ = {field.name: field.type for field in fields} | {"return": None}
    function.__defaults__ = tuple(_defaults(positional).values())
    function.__kwdefaults__ = _defaults(keyword)
    initializer: Callable[..., None] = function
    return initializer


def _defaults(fields: Sequence[dataclasses.Field[Any]]) -> dict[str, object]:
    defaults = {field.name: field.default if field.default_factory is MISSING else _MADE for field in fields}
    return {name: default for name, default in defaults.items() if default is not MISSING}


def _equality(values: Callable[[Any], object]) -> Callable[[object, object], bool]:
    def is_equal(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return is_equal


@recursive_repr()
def _representation(self: Any) -> str:
    values = ", ".join(
        f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr
    )
    return f"{type(self).__qualname__}({values})"


def _refuse_to_set(_: object, name: str, __: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: Sequence[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
