"""What the caller knows about how the logs were written, and the logs do not say themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.structs import Struct

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["LogOptions"]


class LogOptions(Struct, frozen=True, kw_only=True):
    """How logs were written, where they do not say so themselves.

    >>> from datetime import timedelta, timezone
    >>> options = LogOptions(
    ...     log_formats=("[{localglog}] {level} {msg}",), year=2026, zone=timezone(timedelta(hours=2))
    ... )
    >>> str(options.zone)
    'UTC+02:00'
    """

    log_formats: tuple[str, ...] = ()
    """``--log-format`` strings that the hypervisor was started with; tried before those that are known anyway."""
    year: int | None = None
    """The year of stamps that print none; None takes the year in which the file was last written."""
    zone: tzinfo | None = None
    """The zone of stamps that print none; None takes UTC."""
