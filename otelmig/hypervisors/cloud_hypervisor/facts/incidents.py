"""What went on besides, on either side of an attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.migration.incident import Incident, IncidentKind

if TYPE_CHECKING:
    from otelmig.hypervisors.cloud_hypervisor.attempt_lines import AttemptLines

__all__ = ["incidents"]

_KINDS: Final = frozenset({Kind.INCIDENT, Kind.UFFD_ENDED})


def incidents(attempt: AttemptLines) -> tuple[Incident, ...]:
    """Return what went on besides, in the order in which it was logged."""
    if attempt.by_kind.keys().isdisjoint(_KINDS):
        return ()
    return tuple(
        Incident(
            kind=IncidentKind(observation.word("incident") or IncidentKind.PAGER_FAILED),
            at=observation.instant,
            text=f"{observation.word('sign')}{observation.word('rest') or ''}",
            detail=observation.word("detail"),
        )
        for observation in attempt.observations
        if observation.kind in _KINDS
    )
