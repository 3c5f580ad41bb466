"""A thread that delivers while another one reads; an interrupt lets what is on its way arrive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from otelmig.otlp.delivery import Delivery

__all__ = ["carrier"]


@contextmanager
def carrier(delivery: Delivery) -> Iterator[Callable[..., Future[Any]]]:
    """What it is given to do; interrupted, ``delivery`` ends with the request under way, which is waited for."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            yield executor.submit
        except KeyboardInterrupt:
            delivery.interrupt()
            raise
