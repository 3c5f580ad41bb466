"""What went on besides during a migration: it explains where the time went, or what is not as it should be."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.migration.facts import Instant

__all__ = ["Incident", "IncidentKind"]


class IncidentKind(StrEnum):
    """What it was."""

    DEVICE_STATE = "device_state"
    """A passed-through device was told to change its state for the migration; ``detail`` is the state."""
    DEVICE_RESET = "device_reset"
    """A passed-through device could not say in which state it is, and was reset."""
    DEVICE_LEFT = "device_left"
    """A device was not resumed with the others; ``detail`` is the device."""
    DISK_LOCKED = "disk_locked"
    """A disk could not be locked: somebody else, such as the source, still holds it."""
    PAGER_FAILED = "pager_failed"
    """The guest's missing pages cannot be fetched any more, or a vCPU that waits for one was not woken."""
    NETWORK_NOT_TOLD = "network_not_told"
    """The network was not told that the guest is on another host."""
    CLOCK_NOT_SET = "clock_not_set"
    """A vCPU's clock could not be set as it was on the source."""


class Incident(Struct, frozen=True, kw_only=True):
    """One of them."""

    kind: IncidentKind
    at: Instant
    text: str
    """What the hypervisor says of it, as printed."""
    detail: str | None = None
