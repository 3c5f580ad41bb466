"""Who wrote a log, and how it can be read: each way in turn, until a hypervisor knows its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from otelmig.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.hypervisors.hypervisor import Hypervisor
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog

__all__ = ["recognised"]


def recognised(log: InputLog, options: LogOptions, known: Sequence[Hypervisor]) -> tuple[str | None, InputLog]:
    """Return which of the ``known`` hypervisors wrote ``log``, and the way to read it; no hypervisor, if none did.

    Raises:
        InputError: a hypervisor wrote it, but its lines cannot be read in any way.
    """
    last: InputError | None = None
    if options.year is not None or options.zone is not None:
        log = replace(log, year=options.year, zone=options.zone)
    for reading in log.readings([hypervisor.line_begin for hypervisor in known]):
        try:
            system = next(
                (hypervisor.system for hypervisor in known if hypervisor.recognises(reading.stream.head, options)), None
            )
        except InputError as error:
            last = error  # what was found behind more of what carries the log says more
            continue
        if system is not None:
            return system, reading.forwards()
    if last is not None:
        raise last
    return None, log
