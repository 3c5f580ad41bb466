"""Units, each in one place: times in ns, sizes in bytes, rates of clocks in parts per billion."""

from __future__ import annotations

from typing import Final

__all__ = ["KB", "KIB", "MB", "MIB", "MICROSECOND_NS", "MILLISECOND_NS", "PPB", "PPM_PPB", "SECOND_NS"]

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
KB: Final = 1_000
MB: Final = 1_000_000
KIB: Final = 1 << 10
MIB: Final = 1 << 20
PPB: Final = 1_000_000_000
"""A rate of 1, in parts per billion."""
PPM_PPB: Final = 1_000
"""One part per million, in parts per billion."""
