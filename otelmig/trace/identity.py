"""Ids that depend on what happened alone, so that tracing the same logs twice gives the same trace.

The identity of an attempt is the printed text of its first source records (the destination's, if there is no
source) and its number; never a path, a file time, or which other files were given.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from otelmig.errors import UsageError
from otelmig.migration.identity import digest_of
from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.migration.side import Side

__all__ = ["Identity", "TraceParent", "identity_of"]

_TRACE_PARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class TraceParent(Struct, frozen=True, kw_only=True):
    """The outer span that a migration's root belongs under (W3C Trace Context, header ``traceparent``)."""

    trace_id: str
    span_id: str

    @classmethod
    def parse(cls, text: str) -> TraceParent:
        """Read ``VERSION-TRACEID-SPANID-FLAGS``; the sampled flag does not matter here.

        Raises:
            UsageError: the text is no traceparent, or an id in it is zero.
        """
        match = _TRACE_PARENT.fullmatch(text.strip().lower())
        if match is None or text.lower().startswith("ff") or not int(match[1], 16) or not int(match[2], 16):
            raise UsageError(f"not a traceparent: {text!r} (want 00-<32 hex digits>-<16 hex digits>-01)")
        return cls(trace_id=match[1], span_id=match[2])


class Identity(Struct, frozen=True, kw_only=True):
    """Where the ids of one attempt come from."""

    digest: bytes
    parent: TraceParent | None
    name: str | None
    """The id that the caller gave this migration."""

    @property
    def trace_id(self) -> str:
        """32 hex digits, never zero."""
        if self.parent is not None:
            return self.parent.trace_id
        seed = self.digest if self.name is None else digest_of("trace", self.name)
        return seed[:16].hex()

    def span_id(self, path: str) -> str:
        """Return 16 hex digits for the span at ``path``: names and numbers from the root, each after a slash."""
        return hashlib.sha256(self.digest + path.encode()).digest()[:8].hex()


def identity_of(side: Side, *, parent: TraceParent | None, name: str | None) -> Identity:
    """Return the identity of the attempt that ``side`` (the source, if there is one) tells of."""
    return Identity(digest=side.identity, parent=parent, name=name)
