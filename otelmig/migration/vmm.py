"""One VMM process: everything that its log and its event stream say about migrations, on one clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.inputs import Host
    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation
    from otelmig.migration.stamp import ClockDomain

__all__ = ["Note", "UnparsedLine", "Vmm", "fingerprint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnparsedLine:
    """A line that looks like a migration's and was not understood, and why."""

    where: Where
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person should know about an input that no process came of."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vmm:
    """One run of a VMM, from its start (or where its log begins) to its end (or where its log ends)."""

    system: str
    """The hypervisor, as ``vm.migration.system.name`` names it."""
    name: str
    """The base name of its log, with ``[WRITER]`` or ``#2`` where several processes wrote to it."""
    inputs: tuple[str, ...]
    """The keys of the inputs that it was read from: its log first, if there is one, then what was given beside it."""
    observations: tuple[Observation, ...]
    """In the order in which they were logged; all stamps are on this process's clock."""
    domain: ClockDomain
    version: str | None
    """The version that the process printed."""
    releases_text: str
    """The releases that print what this log contains, e.g. ``v52.0`` or ``v36.0..v48.0``."""
    vcpus_resume_first: bool
    """Whether this release starts the vCPUs before the devices when it resumes a VM."""
    last_ns: int
    """The latest time printed in its log, on its clock."""
    last_written_ns: int
    """When it wrote its last line, at the latest (Unix epoch): when its log was last written."""
    shared_log: str | None = None
    """Processes with the same text here wrote to one log, one after the other, in the order in which they are given."""
    latest_zero_ns: int | None = None
    """When its clock can have read zero, at the latest (Unix epoch), by its transport's stamps or its statistics."""
    host: Host | None = None
    """The machine, where its transport names it."""
    event_stream: str | None = None
    """The key of the event stream among its inputs."""
    assumed: tuple[str, ...] = ()
    """What its stamps leave out and had to be assumed (a year, a zone)."""
    notes: tuple[str, ...] = ()
    """What a person should know about how it was read."""


def fingerprint(observations: Iterable[Observation]) -> int:
    """Tells a copy from another story: what was seen, and when, as printed."""
    return hash(tuple((seen.kind, seen.stamp.text) for seen in observations))
