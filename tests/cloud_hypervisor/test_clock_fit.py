"""The fast answer that no clock offset fits is never given where the constraints do not give it."""

from __future__ import annotations

from functools import cache
from typing import Any

from trace_invariants import CORPUS, RECORDINGS

from otelmig.clock.bounds import clock_bounds
from otelmig.hypervisors.cloud_hypervisor.attempt_lines import lines_of
from otelmig.hypervisors.cloud_hypervisor.causality.clock_fit import length_ns, no_offset_fits
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import constraints_between
from otelmig.hypervisors.cloud_hypervisor.causality.instants import DESTINATION, OF_BOTH, SOURCE
from otelmig.migration.side import Role, Side
from otelmig.pipeline import read_findings

_DRIFT_PPB = 500_000


@cache
def _recorded() -> tuple[tuple[Side, ...], tuple[Side, ...]]:
    """Every source and every destination of the recordings, with their event streams."""
    sides = []
    for name in RECORDINGS:
        paths = [path for path in sorted((CORPUS / name).iterdir()) if path.name.endswith((".log", ".events.json"))]
        sides += [side for migration in read_findings(paths).migrations for side in migration.sides]
    sources, destinations = (tuple(side for side in sides if side.role is role) for role in Role)
    return sources, destinations


def _excluded(source: Side, destination: Side) -> bool:
    constraints = constraints_between(source, destination, _DRIFT_PPB)
    return clock_bounds(constraints, drift_ppb=_DRIFT_PPB).contradiction is not None


def test_what_is_told_fast_is_true_and_most_of_what_there_is() -> None:
    """Every source with every destination: those told fast are excluded by their constraints, and few others are."""
    sources, destinations = _recorded()
    fast, excluded = 0, 0
    for source in sources:
        for destination in destinations:
            told, true = no_offset_fits(source, destination, _DRIFT_PPB), _excluded(source, destination)
            assert true or not told, (source.vmm.key, destination.vmm.key)
            fast += told
            excluded += true
    assert excluded > 300
    assert fast > 0.8 * excluded


def test_who_took_longer_than_the_source_waited_is_excluded() -> None:
    """The lengths alone exclude a pair, so partners can be looked up by them."""
    sources, destinations = _recorded()
    longer = 0
    for source in sources:
        most = length_ns(source)
        for destination in destinations:
            least = length_ns(destination)
            if most is not None and least is not None and least > most * (1 + _DRIFT_PPB / 10**9) + 1:
                longer += 1
                assert _excluded(source, destination), (source.vmm.key, destination.vmm.key)
    assert longer > 100
    assert sum(length_ns(side) is not None for side in (*sources, *destinations)) > 60


class _Unread:
    """The lines of a side at which nobody may look."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def test_what_depends_on_one_side_alone_does_not_look_at_the_other() -> None:
    """Such instants are looked for once, whoever the partner is."""
    unread: Any = _Unread()
    sources, destinations = _recorded()
    for side in (*sources, *destinations):
        lines = lines_of(side)
        kinds = SOURCE if side.role is Role.SOURCE else DESTINATION
        for key, kind in kinds.items():
            if key not in OF_BOTH:
                pair = (lines, unread) if side.role is Role.SOURCE else (unread, lines)
                kind.find(*pair)
