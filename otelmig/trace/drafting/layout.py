"""The layout that makes the boundaries of a tree fit viewers.

Viewers draw microseconds; Jaeger's critical path skips siblings that touch. So every boundary becomes a whole
microsecond, every span lasts at least one, siblings that follow each other leave exactly one between them, and no
child leaves its parent.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from otelmig.trace.drafting.span_draft import SpanDraft
from otelmig.trace.spans import SpanName
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SHORTEST_TILE_NS", "lay_out", "tiles"]

SHORTEST_TILE_NS: Final = 3 * MICROSECOND_NS
"""Less than this between two parts is not worth a span: it goes to the part before it."""


def tiles(parent: SpanDraft, parts: Sequence[SpanDraft]) -> list[SpanDraft]:
    """Return the parts of ``parent``, in order, with ``unaccounted`` spans wherever something is left between them.

    Together they cover the parent without a gap; parts too short to show are left out.
    """
    filled: list[SpanDraft] = []
    cursor = parent.start
    for part in parts:
        start = part.start.not_before(cursor).not_after(parent.end)
        end = part.end.not_before(start).not_after(parent.end)
        if end.ns - start.ns < 2 * MICROSECOND_NS:
            continue
        if start.ns - cursor.ns >= SHORTEST_TILE_NS:
            filled.append(SpanDraft(SpanName.UNACCOUNTED, cursor, start, role=parent.role))
        elif start.ns > cursor.ns:
            start = cursor
        part.start, part.end = start, end
        filled.append(part)
        cursor = end
    if parent.end.ns - cursor.ns >= SHORTEST_TILE_NS or not filled:
        filled.append(SpanDraft(SpanName.UNACCOUNTED, cursor, parent.end, role=parent.role))
    else:
        filled[-1].end = parent.end
    return filled


def lay_out(root: SpanDraft, *, fixed: SpanDraft | None) -> None:
    """Set the final boundaries of the whole tree, in order of time; ``fixed`` (the downtime) keeps its length."""
    for draft in root.walk():
        draft.start_ns = draft.start.ns // MICROSECOND_NS * MICROSECOND_NS
        draft.end_ns = max(draft.end.ns // MICROSECOND_NS * MICROSECOND_NS, draft.start_ns + MICROSECOND_NS)
    _settle(root, fixed)
    _untie(root)


def _untie(root: SpanDraft) -> None:
    """Let what runs beside the phases end just before a phase does, where both end at once.

    Viewers walk back from a phase to whatever ended last before it, and would leave the phases there.
    """
    phases = [child for child in root.children if child.sequential]
    for beside in root.children:
        if beside.sequential:
            continue
        tied = next((span for span in phases if 0 <= beside.end_ns - span.end_ns <= SHORTEST_TILE_NS), None)
        following = None if tied is None else next((span for span in phases if span.start_ns > tied.start_ns), None)
        if tied is not None and tied.end_ns - 2 * MICROSECOND_NS < root.start_ns:
            continue  # there is no room for it before the end of the phase
        if tied is not None and (following is None or beside.end_ns < following.start_ns):
            for draft in beside.walk():
                draft.end_ns = min(draft.end_ns, tied.end_ns - MICROSECOND_NS)
                draft.start_ns = min(draft.start_ns, draft.end_ns - MICROSECOND_NS)


def _settle(draft: SpanDraft, fixed: SpanDraft | None) -> None:
    """Lay out the children, then let the parent enclose them."""
    if not draft.children:
        return
    sequence = [child for child in draft.children if child.sequential]
    anchor = next((index for index, child in enumerate(sequence) if child is fixed), None)
    if draft is fixed:
        _part(sequence)
    elif anchor is None:
        _push_left(sequence, draft.end_ns, fixed)
    else:
        _settle(sequence[anchor], fixed)
        _push_left(sequence[:anchor], sequence[anchor].start_ns - MICROSECOND_NS, fixed)
        _push_right(sequence[anchor + 1 :], sequence[anchor].end_ns + MICROSECOND_NS, fixed)
    for child in draft.children:
        if not child.sequential:
            _settle(child, fixed)
    draft.children.sort(key=lambda child: (child.start_ns, -child.end_ns))
    if draft is fixed:
        return
    for child in draft.children:
        if child.start_ns < draft.start_ns:
            draft.start_ns, draft.start = child.start_ns, child.start.moved(0, draft.role)
        if child.end_ns > draft.end_ns:
            draft.end_ns, draft.end = child.end_ns, child.end.moved(0, draft.role)


def _part(parts: Sequence[SpanDraft]) -> None:
    """Leave a microsecond between tiles; it is taken from the earlier one."""
    for part, following in pairwise(parts):
        part.end_ns = following.start_ns - MICROSECOND_NS
    for part in parts:
        _settle(part, None)


def _push_left(sequence: Sequence[SpanDraft], limit_ns: int, fixed: SpanDraft | None) -> None:
    """Make each span end a microsecond before the next begins, and the last one by ``limit_ns``."""
    for draft in reversed(sequence):
        draft.end_ns = min(draft.end_ns, limit_ns)
        draft.start_ns = min(draft.start_ns, draft.end_ns - MICROSECOND_NS)
        _settle(draft, fixed)
        limit_ns = draft.start_ns - MICROSECOND_NS


def _push_right(sequence: Sequence[SpanDraft], limit_ns: int, fixed: SpanDraft | None) -> None:
    """Make each span begin a microsecond after the one before ended, the first one not before ``limit_ns``."""
    for draft in sequence:
        draft.start_ns = max(draft.start_ns, limit_ns)
        draft.end_ns = max(draft.end_ns, draft.start_ns + MICROSECOND_NS)
        _settle(draft, fixed)
        limit_ns = draft.end_ns + MICROSECOND_NS
