r"""JSON from outside, decoded: its texts are valid Unicode, whatever it says.

JSON can say halves of surrogate pairs (``"\ud800"``), which no encoding has: whoever hashed, wrote or sent such a text
would fail over it.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeVar

__all__ = ["decoded", "json_object", "sound"]

_T = TypeVar("_T")
_HALF: Final = re.compile(r"\\u[dD]")
"""Where JSON may say half of a pair."""


def decoded(text: str | bytes) -> object:
    r"""Return the value that ``text`` is; halves of surrogate pairs are escaped, as ``\ud800``.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    value: object = json.loads(text)
    return sound(value) if _HALF.search(text if isinstance(text, str) else text.decode("latin-1")) else value


def json_object(text: str | bytes) -> dict[str, object] | None:
    """Return the JSON object that ``text`` is; None if it is none."""
    try:
        entry = decoded(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def sound(value: _T) -> _T:
    """Return a decoded document whose texts, keys included, are valid Unicode.

    Raises:
        RecursionError: it is nested too deeply.
    """
    result: object = value
    if isinstance(value, str):
        result = value.encode("utf-8", "backslashreplace").decode()
    elif isinstance(value, dict):
        result = {sound(key): sound(item) for key, item in value.items()}
    elif isinstance(value, list):
        result = [sound(item) for item in value]
    return result  # type: ignore[return-value] # of the same type
