"""What explains time or failure besides is an event on the span in which it was, and where it matters a doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from short_logs import DESTINATION, SOURCE, event, line, one_trace, told

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace


def _spans_with(trace: Trace, name: str) -> list[str]:
    return [span.name for span in trace.spans for each in span.events if each.name == name]


def test_a_device_that_changes_its_state(tmp_path: Path) -> None:
    """The work of passed-through devices stands where it took its time, with the state."""
    moves = (
        line(8.112, "VFIO migration transition -> PreCopy", thread="migration-worker", level="DEBUG"),
        line(8.152, "VFIO migration transition -> StopCopy", thread="migration-worker", level="DEBUG"),
    )
    back = line(4.61, "VFIO migration transition -> Resuming", level="DEBUG")
    trace, said, _ = one_trace(tmp_path, source=told(SOURCE, *moves), destination=told(DESTINATION, back))
    states = {
        span.name: each.attributes["vm.device.state"]
        for span in trace.spans
        for each in span.events
        if each.name == "vm.device.state_changed"
    }
    assert states == {"pause": "PreCopy", "snapshot": "StopCopy", "restore devices": "Resuming"}
    assert said["doubts"] == []


_AT_RESUME: Final = 4.645


@pytest.mark.parametrize(
    ("at", "message", "expected"),
    [
        (
            _AT_RESUME,
            "Skipping resume for disconnected device _vhost_user_net0",
            ("vm.device.not_resumed", "resume", "a device was not resumed: Skipping resume for disconnected device "),
        ),
        (
            4.62,
            "Can't get Write lock for /srv/images/secret.raw as there is already a Write lock",
            ("vm.disk.locked", "restore devices", "a disk was still locked: Can't get a lock for <path> as there is"),
        ),
        (
            4.62,
            "VFIO device 0000:3b:00.0 in indeterminate migration state, resetting",
            ("vm.device.reset", "restore devices", "a passed-through device was reset"),
        ),
        (
            4.652,
            "Host RARP write to TAP failed: Input/output error (os error 5)",
            ("vm.network.not_told", "receive", "the network may not know yet where the guest is: Host RARP write to "),
        ),
        (
            4.61,
            "Could not read vCPU TSC offset: Invalid argument (os error 22)",
            ("vm.clock.not_set", "restore devices", "the guest's clock may be wrong: Could not read vCPU TSC offset: "),
        ),
    ],
)
def test_what_matters_is_a_doubt_too(at: float, message: str, expected: tuple[str, str, str], tmp_path: Path) -> None:
    """It is said in a sentence with its line; no path leaves the machine."""
    name, span, doubt = expected
    happened = line(at, message, level="WARN")
    trace, said, text = one_trace(tmp_path, source=told(SOURCE), destination=told(DESTINATION, happened))
    assert _spans_with(trace, name) == [span]
    (found,) = [each for each in said["doubts"] if each.startswith(doubt)]
    assert "(destination.log:" in found
    assert f"doubtful: {found}" in text
    assert "secret" not in text + found


@pytest.mark.parametrize(
    "message",
    [
        "UFFD handler terminated with error: Socket error",
        "UFFD handler terminated unexpectedly (possible panic)",
        "uffd-handler thread panicked",
    ],
)
def test_a_pager_that_ends_is_a_failed_prefault(message: str, tmp_path: Path) -> None:
    """A guest that lacks pages cannot go on, although it was resumed."""
    lines = (
        line(4.605, "UFFD: spawning handler for 1 region(s)"),
        line(4.7, message, thread="uffd-handler", level="ERROR"),
    )
    asked = [(at, text.replace("memory_mode: Precopy", "memory_mode: Postcopy")) for at, text in DESTINATION]
    trace, said, _ = one_trace(tmp_path, destination=told(asked, *lines))
    prefault = trace.first("prefault")
    assert prefault is not None
    assert prefault.error is not None
    (doubt,) = said["doubts"]
    assert doubt.startswith(f"pages that the guest still lacks may never come: {message}")


def test_equal_ones_are_one_doubt(tmp_path: Path) -> None:
    """A thousand equal lines say no more than one."""
    lines = [
        line(4.66 + n / 1000, f"UFFDIO_WAKE failed at 0x7f47{n:08x}: Invalid argument (os error 22)", level="WARN")
        for n in range(9)
    ]
    _, said, _ = one_trace(tmp_path, destination=told(DESTINATION, *lines))
    (doubt,) = said["doubts"]
    assert doubt.endswith("(destination.log:13, 9 times)")


def test_what_comes_later_than_a_minute_is_another_story(tmp_path: Path) -> None:
    """So is what comes after the process was asked for something else."""
    late = line(70.0, "Host RARP write to TAP failed: Input/output error (os error 5)", level="ERROR")
    asked = (
        line(4.7, "API request event: VmPause"),
        line(4.8, "Skipping resume for disconnected device _net0", level="WARN"),
    )
    for more in ((late,), asked):
        _, said, _ = one_trace(tmp_path, destination=told(DESTINATION, *more))
        assert said["doubts"] == []


def test_what_goes_on_besides_makes_no_attempt(tmp_path: Path) -> None:
    """It begins none, and tears none in two: a listener that nobody connects to stays none."""
    locked = line(1.005, "Can't get Write lock for /srv/disk.raw as there is already a Write lock", level="ERROR")
    _, said, _ = one_trace(tmp_path, destination=told(DESTINATION, locked, event(1.006, "activated", source="vdpa")))
    assert said["attempt"] == 1
