"""Errors of our own stay with us: the caller's migration matters more than its telemetry."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HARMLESS"]

_LOGGER: Final = logging.getLogger("otelmig.instrument")


class _Harmless:
    """A context manager that ends a block at its first error, and logs the first one of the process."""

    def __init__(self) -> None:
        self._said = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # nothing happened, or somebody wants to stop the program
        if not self._said:
            self._said = True
            with suppress(Exception):  # a handler that fails must not reach the caller either
                _LOGGER.warning("a migration is not announced as it should be; said once", exc_info=error)
        return True


HARMLESS: Final = _Harmless()
