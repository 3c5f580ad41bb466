"""What the destination does for a request of the source, drawn below that request: cause below effect.

A viewer that shows ``send`` then shows why it took so long, and its critical path enters the destination there. The
edge is drawn only where it is true to what is known: what sticks out of the request by no more than both of its
boundaries are uncertain is moved; what sticks out by more stays where it was, linked to its request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.trace import attributes as names
from otelmig.trace.drafting.aligned_sides import seconds
from otelmig.trace.drafting.timeline import GAPS_NS
from otelmig.trace.spans import SpanName
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS

if TYPE_CHECKING:
    from otelmig.trace.drafting.span_draft import SpanDraft

__all__ = ["nest_answers"]

_ANSWERS: Final = ((SpanName.RESTORE, SpanName.SEND), (SpanName.RESUME, SpanName.COMPLETE))
"""What the destination does, and the request of the source that asks for it."""
_MOST_NS: Final = 2 * MILLISECOND_NS
"""Nothing is moved by more than this, however little is known."""


def nest_answers(root: SpanDraft, received: SpanDraft) -> None:
    """Draw each answer below its request, if it fits; ``received`` keeps a link to it. Both are laid out already."""
    by_name = {draft.name: draft for draft in root.walk()}
    for answer_name, request_name in _ANSWERS:
        answer, request = by_name.get(answer_name), by_name.get(request_name)
        if answer is None or request is None or names.VM_MIGRATION_RESTORE_WITH_WAIT in answer.attributes:
            continue
        if _fitted(answer, request):
            received.children.remove(answer)
            request.children.append(answer)
            received.links.append((answer, names.LinkKind.PART))
        else:
            answer.links.append((request, names.LinkKind.REQUEST))
            request.links.append((answer, names.LinkKind.RESPONSE))


def _fitted(answer: SpanDraft, request: SpanDraft) -> bool:
    """Move ``answer`` into ``request``, if what is known allows it; return whether it lies inside."""
    before_ns = max(request.start_ns - answer.start_ns, 0)
    after_ns = max(answer.end_ns - request.end_ns, 0)
    clamp_ns = max(before_ns, after_ns)
    if clamp_ns == 0:
        return True
    excess_ns = (answer.end_ns - answer.start_ns) - (request.end_ns - request.start_ns)
    if clamp_ns > _leeway_ns(answer, request) or excess_ns > GAPS_NS:
        return False
    by_ns = before_ns if before_ns > after_ns else -after_ns
    for draft in answer.walk():
        draft.start_ns = min(max(draft.start_ns + by_ns, request.start_ns), request.end_ns - MICROSECOND_NS)
        draft.end_ns = min(max(draft.end_ns + by_ns, draft.start_ns + MICROSECOND_NS), request.end_ns)
    answer.attributes[names.OTELMIG_CLOCK_CLAMP_DURATION] = seconds(clamp_ns)
    return True


def _leeway_ns(answer: SpanDraft, request: SpanDraft) -> int:
    """Return how far the two may be off against each other, on the side where less is known."""
    sides = ((answer.start.error_ns, request.start.error_ns), (answer.end.error_ns, request.end.error_ns))
    known = [theirs + ours for theirs, ours in sides if theirs is not None and ours is not None]
    return min(max(known), _MOST_NS) if len(known) == len(sides) else 0
