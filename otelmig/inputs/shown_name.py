"""Names of files as they may be shown: to a terminal, to a viewer, in JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otelmig.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shown_name"]


def shown_name(path: str | Path) -> str:
    r"""Return ``path`` as printable text; bytes that are no UTF-8 are escaped, too, as ``\xff``."""
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))
