"""Names of files as they may be shown: to a terminal, to a viewer, in JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shown_name"]


def shown_name(path: str | Path) -> str:
    r"""Return ``path`` as text that is valid Unicode and controls nothing.

    Bytes that are no UTF-8 and characters that are not printed (control characters, line feeds, marks that change the
    direction of writing) are escaped, as ``\xff`` or ``\x1b``.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
