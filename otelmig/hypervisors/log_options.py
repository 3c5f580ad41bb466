"""What the caller knows about how the logs were written, and the logs do not say themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["LogOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Options for reading logs."""

    log_formats: tuple[str, ...] = ()
    """``--log-format`` strings that the hypervisor was started with; tried before those that are known anyway."""
    year: int | None = None
    """The year of stamps that print none."""
    zone: tzinfo | None = None
    """The zone of stamps that print none."""
