"""Classes of named fields: :class:`Struct`.

They are those of msgspec: a start makes over a hundred such classes, and a migration more than a thousand objects of
them, and both take many times as long with dataclasses of the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import NODEFAULT, StructMeta

if TYPE_CHECKING:
    from inspect import Signature

    from msgspec import Struct

__all__ = ["Struct"]


class _StructType(StructMeta):
    """Says what a call takes even where only a type checker knows the names of its types."""

    @property
    def __signature__(self) -> Signature:
        """The parameters, with their types as the source spells them; msgspec would look these up."""
        from inspect import Parameter, Signature, get_annotations  # noqa: PLC0415 - only whoever asks for help needs it

        fields, defaults = self.__struct_fields__, self.__struct_defaults__
        types: dict[str, object] = {}
        for base in reversed(self.__mro__):
            types |= get_annotations(base)
        values = dict(zip(reversed(fields), reversed(defaults), strict=False))
        return Signature(
            [
                Parameter(
                    name,
                    Parameter.POSITIONAL_OR_KEYWORD if name in self.__match_args__ else Parameter.KEYWORD_ONLY,
                    default=Parameter.empty if values.get(name, NODEFAULT) is NODEFAULT else values[name],
                    annotation=types[name],
                )
                for name in fields
            ]
        )


if not TYPE_CHECKING:  # whoever checks types knows that of msgspec

    class Struct(msgspec.Struct, metaclass=_StructType):
        """Base of all classes that are made of named fields; each says in its head whether it is ``frozen``."""
