"""Which process it is that took part in a migration: its hypervisor, its host, its clock."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.inputs import Host
    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import ClockDomain

__all__ = ["Vmm", "fingerprint"]


class Vmm(Struct, frozen=True, kw_only=True):
    """One run of a VMM, from its start (or where its log begins) to its end (or where its log ends)."""

    key: str
    """Tells it from every other process of a run, and stays the same as lines come in; never leaves the machine."""
    system: str
    """The hypervisor, as ``vm.migration.system.name`` names it."""
    name: str
    """The name of its log, with ``[WRITER]`` or ``#2`` where several processes wrote to it."""
    inputs: tuple[str, ...]
    """The keys of the inputs that it was read from: its log first, if there is one, then what was given beside it."""
    domain: ClockDomain
    version: str | None
    """The version that the process printed."""
    releases_text: str
    """The releases that print what this log contains, e.g. ``v52.0`` or ``v36.0..v48.0``."""
    last_ns: int
    """The latest time printed in its log, on its clock."""
    last_written_ns: int | None
    """When it wrote its last line, at the latest (Unix epoch): when its log was last written, if it is finished."""
    send_blocks: bool | None = None
    """Whether the call that asks it to send a VM is answered at the migration's end, rather than once the migration
    has begun; None where that is not known."""
    shared_log: str | None = None
    """Processes with the same text here wrote to one log, one after the other, in the order in which they are given."""
    latest_zero_ns: int | None = None
    """When its clock can have read zero, at the latest (Unix epoch), by its framing's stamps or its statistics."""
    host: Host | None = None
    """The machine, where its framing names it."""
    event_stream: str | None = None
    """The key of the event stream among its inputs."""
    assumed: tuple[str, ...] = ()
    """What its stamps, or those of its transport, leave out and had to be assumed (a year, a zone)."""
    doubts: tuple[str, ...] = ()
    """What its inputs do not agree on, in sentences: something of one of them is missing, say."""
    notes: tuple[str, ...] = ()
    """What a person should know about how it was read."""

    @property
    def is_event_stream(self) -> bool:
        """Whether an event stream is all that is known of it."""
        return self.event_stream == self.inputs[0]


def fingerprint(observations: Iterable[Observation]) -> str:
    """Return a digest that tells a copy from another log: what was observed, and when, as printed."""
    told = "\n".join([observation.kind + " " + observation.stamp.text for observation in observations])
    return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
