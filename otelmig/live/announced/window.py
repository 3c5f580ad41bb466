"""When a source's first line must be received for an announcement to have asked for its attempt.

From two seconds before the announcement until two seconds after the answer. Where the answer may come as soon as the
migration has begun, the migration may be noticed at any time after it, as long as announcements are kept; so it may
where there is no answer yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from otelmig.live.announced.announced import Announced
    from otelmig.migration.side import Side

__all__ = ["KEPT_NS", "is_in_time", "likeliest"]

KEPT_NS: Final = 3600 * SECOND_NS
"""For so long an announcement waits for its migration, after the answer if there is one."""
_TOLERANCE_NS: Final = 2 * SECOND_NS
"""How much earlier than the announcement, or later than the answer, a line may be received."""


def is_in_time(announced: Announced, source: Side, first_ns: int) -> bool:
    """Return whether the first line of a source, received at ``first_ns``, came in time for an announcement."""
    if first_ns < announced.announced_ns - _TOLERANCE_NS:
        return False
    if announced.returned_ns is None:
        return first_ns <= announced.announced_ns + KEPT_NS
    return first_ns <= announced.returned_ns + (KEPT_NS if _may_follow(announced, source) else _TOLERANCE_NS)


def likeliest(fitting: list[Announced], first_ns: int) -> list[Announced]:
    """Return which of several announcements are to be believed.

    Those that waited for their answer when the first line came go before those that waited for it within the
    tolerance, and these before all others.
    """
    for tolerance_ns in (0, _TOLERANCE_NS):
        if len(fitting) > 1:
            nearer = [announced for announced in fitting if _was_open(announced, first_ns, tolerance_ns)]
            fitting = nearer or fitting
    return fitting


def _may_follow(announced: Announced, source: Side) -> bool:
    """Return whether the migration may show itself long after the caller has its answer.

    It does not after an error, nor where the answer comes at the migration's end; and an announcement of which the
    migration may be traced already is not to be taken for that of the next one.
    """
    return not (announced.has_failed or source.vmm.send_blocks or announced.is_late or announced.traced_ns is not None)


def _was_open(announced: Announced, first_ns: int, tolerance_ns: int) -> bool:
    until_ns = first_ns if announced.returned_ns is None else announced.returned_ns
    return announced.announced_ns - tolerance_ns <= first_ns <= until_ns + tolerance_ns
