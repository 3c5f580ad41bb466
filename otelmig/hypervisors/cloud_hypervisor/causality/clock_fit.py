"""Whether one clock offset can fit two sides at all, told fast: what most pairs that are none fail by.

A rule gives an upper bound of the offset, or a lower one, as the difference of two instants. Each side's instants stand
in one row, in the order of the rules, so that all bounds of a pair are the differences of two rows.
"""

from __future__ import annotations

from operator import sub
from typing import TYPE_CHECKING, Final, NamedTuple

from otelmig.hypervisors.cloud_hypervisor.attempt_lines import lines_of
from otelmig.hypervisors.cloud_hypervisor.causality.finders import resumed_by_any, stops_the_guest
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import RULES, applies, own_instants
from otelmig.migration.side import Role
from otelmig.units import PPB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines
    from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import Rule
    from otelmig.migration.constraint import Endpoint
    from otelmig.migration.side import Side

    _Instants = Mapping[str, Sequence[Endpoint | None]]

__all__ = ["length_ns", "no_offset_fits"]

_NEVER: Final = 1 << 80
"""Stands for an instant that is missing, on the side on which it bounds nothing."""
_UPPER: Final = tuple(rule for rule in RULES if rule.source_first)
_LOWER: Final = tuple(rule for rule in RULES if not rule.source_first)
_RESUMED: Final = "resumed"
_FIRST: Final = "connecting"
_LAST: Final = "completed"


class _Row(NamedTuple):
    """One side's ends of all bounds."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    reach_ns: int
    """How far apart two of its instants lie at most."""


def no_offset_fits(source: Side, destination: Side, drift_ppb: int) -> bool:
    """Return whether the rules surely exclude each other; what is not sure only all constraints can tell.

    Receipts of Memory are left out: which one is which takes longer to find out.
    """
    sent, received = _row(lines_of(source)), _row(lines_of(destination))
    excess_ns: int = max(map(sub, received.lower, sent.lower)) - min(map(sub, received.upper, sent.upper))
    return excess_ns > -(-sent.reach_ns * drift_ppb // PPB)


def length_ns(side: Side) -> int | None:
    """Return the most that may have passed between a source's connecting and its completion; None if it says neither.

    Of a destination: the least that passed between what comes after the one and what comes before the other.
    """
    lines = lines_of(side)
    instants = own_instants(lines)
    if side.role is Role.SOURCE:
        (first,), (last,) = instants[_FIRST], instants[_LAST]
        if first is None or last is None or not stops_the_guest(lines):
            return None
        return last.hi_ns - first.lo_ns
    instants = {**instants, _RESUMED: resumed_by_any(lines)}
    begin = [rule.destination.key for rule in _UPPER if rule.source.key == _FIRST and applies(rule, lines)]
    end = [rule.destination.key for rule in _LOWER if rule.source.key == _LAST and applies(rule, lines)]
    firsts = [endpoint.hi_ns for key in begin for endpoint in instants.get(key, ()) if endpoint is not None]
    lasts = [endpoint.lo_ns for key in end for endpoint in instants.get(key, ()) if endpoint is not None]
    return max(lasts) - min(firsts) if firsts and lasts else None


def _row(lines: AttemptLines) -> _Row:
    known = lines.lookups.get("row")
    if not isinstance(known, _Row):
        known = lines.lookups["row"] = _sent(lines) if lines.role is Role.SOURCE else _received(lines)
    return known


def _sent(lines: AttemptLines) -> _Row:
    instants = own_instants(lines)
    stops = stops_the_guest(lines)
    upper, lower = ([_of_source(rule, instants, stops=stops) for rule in rules] for rules in (_UPPER, _LOWER))
    times = [time for endpoint in (*upper, *lower) if endpoint is not None for time in (endpoint.lo_ns, endpoint.hi_ns)]
    return _Row(
        upper=tuple(-_NEVER if endpoint is None else endpoint.lo_ns for endpoint in upper),
        lower=tuple(_NEVER if endpoint is None else endpoint.hi_ns for endpoint in lower),
        reach_ns=max(times) - min(times) if times else 0,
    )


def _of_source(rule: Rule, instants: _Instants, *, stops: bool) -> Endpoint | None:
    return _one(rule.source.key, instants) if stops or rule.destination.key != _RESUMED else None


def _received(lines: AttemptLines) -> _Row:
    instants = {**own_instants(lines), _RESUMED: resumed_by_any(lines)}
    upper, lower = (
        [_one(rule.destination.key, instants) if applies(rule, lines) else None for rule in rules]
        for rules in (_UPPER, _LOWER)
    )
    return _Row(
        upper=tuple(_NEVER if endpoint is None else endpoint.hi_ns for endpoint in upper),
        lower=tuple(-_NEVER if endpoint is None else endpoint.lo_ns for endpoint in lower),
        reach_ns=0,
    )


def _one(key: str, instants: _Instants) -> Endpoint | None:
    ends = instants.get(key, ())
    return ends[0] if len(ends) == 1 else None
