"""Two hosts with a migration between them, and whether a receiver has every line of their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from host_clock import HostClock
from replay import Playback, steps_of
from trace_invariants import CORPUS

from backends.retry import eventually
from backends.sent_lines import lines_of, rests, sent_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
    from replay import Step

    from backends.backend_stack import BackendStack

__all__ = [
    "AHEAD_NS",
    "BEGIN_NS",
    "HOSTS",
    "RECORDING",
    "SPEED",
    "Received",
    "await_all",
    "copies",
    "files_of",
    "migration_steps",
]

HOSTS: Final = {"source": "alpha", "destination": "beta"}
"""Where each side of the migration is, by role."""
SPEED: Final = 10.0
"""Times as fast as they were recorded migrations are played, unless told otherwise."""
BEGIN_NS: Final = 1_800_000_000 * 10**9
"""What the time is (Unix epoch) where the first migration begins."""
AHEAD_NS: Final = {"source": 0, "destination": 1_500_000_000}
"""By how much the clock of each host is ahead of that, by role."""
_APART_NS: Final = 120 * 10**9
_APART_PPB: Final = 1_000
RECORDING: Final = "v53.0-twohosts"


class Received(Protocol):
    """Something that has log records."""

    @property
    def received(self) -> Sequence[ResourceLogs]:
        """What came so far."""


def migration_steps(
    stack: BackendStack, recording: str = RECORDING, speed: float = SPEED, number: int = 0
) -> list[Step]:
    """A migration between two hosts whose clocks differ, with pauses in the middle of records.

    Those with another ``number`` are of another VM, at another time, and both hosts' oscillators run a little faster
    than then: no two processes print the same times since they began.
    """
    drift_ppb = number * _APART_PPB
    playback = Playback(
        begin_ns=BEGIN_NS + number * _APART_NS,
        speed=speed,
        clocks={role: HostClock(ahead_ns=ahead_ns, drift_ppb=drift_ppb) for role, ahead_ns in AHEAD_NS.items()},
        names=dict.fromkeys(HOSTS, f"vm{number or ''}"),
        torn_every=7,
        torn_ns=40_000_000,
    )
    folders = {role: stack.folder(f"/var/log/{host}") for role, host in HOSTS.items()}
    return steps_of(CORPUS / recording, folders, playback)


def files_of(stack: BackendStack) -> dict[tuple[str, str], bytes]:
    """What the hosts have, by host and path."""
    return {
        (host, str(path)): path.read_bytes()
        for host in HOSTS.values()
        for path in stack.folder(f"/var/log/{host}").iterdir()
    }


def await_all(receiver: Received, files: Mapping[tuple[str, str], bytes]) -> None:
    """Wait for every line of ``files``; check that each stands where it did, and nothing but line ends is missing."""
    count = sum(len(lines_of(content)) for content in files.values())
    eventually(
        lambda: len({(line.host, line.path, line.offset) for line in sent_lines(receiver.received)}), count.__le__
    )
    lines = list(sent_lines(receiver.received))
    assert {(line.host, line.path) for line in lines} == set(files)
    for (host, path), content in files.items():
        rest, _ = rests(content, [line for line in lines if (line.host, line.path) == (host, path)])
        assert not rest.strip(b"\r\n"), path


def copies(receiver: Received) -> int:
    """How many records came more than once."""
    lines = list(sent_lines(receiver.received))
    return len(lines) - len({(line.host, line.path, line.offset) for line in lines})
