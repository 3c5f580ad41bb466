"""Numbers of OTLP's enumerations and flags, and which attributes of otelmig's are hardly worth remembering encoded."""

from __future__ import annotations

from typing import Final

from otelmig.trace import attributes as names
from otelmig.trace.span import SpanKind

__all__ = ["ERROR", "HARDLY_REPEATED", "KINDS", "flags"]

KINDS: Final = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3}
"""The span kinds."""
ERROR: Final = 2
"""The status code ERROR."""
HARDLY_REPEATED: Final = frozenset(
    {names.OTELMIG_EVIDENCE_START, names.OTELMIG_EVIDENCE_END, names.OTELMIG_TIME_START, names.OTELMIG_TIME_END}
)
"""Attributes that every span has, texts whose values hardly ever repeat."""
_HAS_IS_REMOTE: Final = 0x100
"""Whether the context is remote is known."""
_IS_REMOTE: Final = 0x200
"""The context is remote."""


def flags(*, remote: bool) -> int:
    """Return the flags of a span whose parent, or of a link whose target, is ``remote`` or not."""
    return _HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)
