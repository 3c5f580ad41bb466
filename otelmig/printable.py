"""Text from outside as it may be shown: to a terminal, to a viewer, in JSON, in OTLP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

__all__ = ["printable", "printable_document", "shown_name"]


def printable(text: str, *, keep: str = "") -> str:
    r"""Return ``text`` as valid Unicode that controls nothing; the characters of ``keep`` stay as they are.

    What is not printed (control characters, line feeds, marks that change the direction of writing, halves of surrogate
    pairs) is escaped.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def printable_document(value: object) -> object:
    """Return a JSON document whose texts, keys included, are printable; numbers, booleans and null stay."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable(str(key)): printable_document(item) for key, item in value.items()}
        case list() | tuple():
            return [printable_document(item) for item in value]
        case _:
            return value


def shown_name(path: str | PurePath) -> str:
    r"""Return the name of a file as printable text; bytes that are no UTF-8 are escaped, too, as ``\xff``."""
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))
