"""A file that nobody writes any more -> the sides of its process are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.live.logs.live_logs import log_key

if TYPE_CHECKING:
    from otelmig.inputs.record import FileKey
    from otelmig.live.assembly import Assembly

__all__ = ["writer_gone"]


def writer_gone(assembly: Assembly, file: FileKey, now_s: float) -> None:
    """Take it that nobody writes a file any more: what its process has not said of its attempts it never says."""
    key = log_key(file)
    assembly.read_late([key])
    for side in [waiter.side for waiter in assembly.sides if waiter.side.vmm.inputs[0] == key]:
        current = assembly.again(side)
        if current is not None:
            assembly.waiting.take(assembly.departed.mark(current), now_s)
