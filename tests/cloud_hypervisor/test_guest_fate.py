"""What becomes of a guest after it was resumed, or while it migrates, is said first, with its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from feeding import growing, new_reader, unfiltered
from short_logs import DESTINATION, SOURCE, event, line, one_trace, told, written
from trace_invariants import traced

from otelmig.inputs.opening import open_inputs
from otelmig.migration.facts import Fate
from otelmig.migration.side import SideState

if TYPE_CHECKING:
    from pathlib import Path

_FAULT: Final = line(4.685, "Guest likely triple-faulted", thread="vcpu0", level="ERROR")
_RESET: Final = (line(4.687, "VM reset event"), event(4.688, "rebooting"), event(4.9, "rebooted"))
_REBOOT: Final = (
    line(4.7, "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 1, max_vcpus: 1 } } }"),
    line(4.71, "Generating guest CPUID with physical address size: 46"),
    line(4.72, "Resuming virtio-block"),
)


def _guest(folder: Path, *more: tuple[float, str]) -> tuple[dict[str, Any], str]:
    _, said, text = one_trace(folder, source=told(SOURCE), destination=told(DESTINATION, *more))
    assert said["result"] == "success"
    guest: dict[str, Any] = said["guest"]
    return guest, text


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ((_FAULT,), ("reset", "destination", True, "Guest likely triple-faulted")),
        ((_FAULT, *_RESET, *_REBOOT), ("reset", "destination", True, "Guest likely triple-faulted")),
        (_RESET, ("reset", "destination", True, "VM reset event")),
        ((event(4.688, "rebooting"),), ("reset", "destination", True, "event rebooting")),
        (
            (line(34.9, "Watchdog triggered: 30 seconds since last ping", thread="__watchdog", level="ERROR"),),
            ("reset", "destination", True, "Watchdog triggered"),
        ),
        (
            (event(5.0, "panic", source="guest", thread="vcpu0"),),
            ("panicked", "destination", False, "the guest panicked"),
        ),
        (
            (event(5.0, "panic", source="guest", thread="vcpu0"), line(6.0, "VM reset event")),
            ("reset", "destination", True, "the guest panicked; VM reset event"),
        ),
        (
            (line(5.0, "VmExit::Shutdown", thread="vcpu0"), line(5.001, "VM guest exit event")),
            ("shut_down", "destination", False, "VmExit::Shutdown"),
        ),
        (
            (_FAULT, *_RESET[:1], line(4.7, "Fatal error: VmReboot(CreatingVm)", thread="main", level="ERROR")),
            ("killed", "none", False, "Guest likely triple-faulted; Fatal error: VmReboot(CreatingVm)"),
        ),
        (
            (line(5.0, "Fatal error: EpollWait(Bad)", thread="main", level="ERROR"),),
            ("killed", "none", False, "Fatal error: EpollWait(Bad)"),
        ),
    ],
)
def test_what_became_of_the_guest_is_said_first(
    more: tuple[tuple[float, str], ...], expected: tuple[str, str, bool, str], tmp_path: Path
) -> None:
    """The migration succeeded, and the guest did not stay as it was: its fate comes before anything else."""
    guest, text = _guest(tmp_path, *more)
    assert (guest["fate"], guest["location"], guest["running"], guest["cause"]) == expected
    assert guest["fate_evidence"].startswith("destination.log:13")
    first = text.splitlines()[0]
    assert first.startswith("guest ")
    assert expected[-1] in first
    assert "paused" not in text


_STREAM: Final = (
    (1.0, "vm", "migration-receive-started"),
    (2.0, "vm", "restoring"),
    (2.1, "vm", "restored"),
    (2.2, "vm", "resuming"),
    (2.3, "vm", "resumed"),
    (2.31, "vm", "migration-receive-finished"),
    (9.3, "vm", "rebooting"),
    (9.4, "vm", "rebooted"),
)


def test_an_event_stream_alone_tells_it(tmp_path: Path) -> None:
    """The event monitor fires the same events, whatever the log holds."""
    path = tmp_path / "destination.events.json"
    with path.open("w") as stream:
        for at, source, name in _STREAM:
            stamp = {"secs": int(at), "nanos": round(at % 1 * 10**9)}
            json.dump({"timestamp": stamp, "source": source, "event": name, "properties": None}, stream)
            stream.write("\n\n")
    (trace,) = traced([path])
    root = trace.root.attributes
    assert (root["vm.migration.guest.fate"], root["vm.migration.guest.uptime.duration"]) == ("reset", 7.0)
    assert root["otelmig.evidence.fate"] == f"destination.events.json:{2 * len(_STREAM) - 3}"


def test_how_long_it_had_run(tmp_path: Path) -> None:
    """Both lines are of one clock."""
    guest, text = _guest(tmp_path, _FAULT, *_RESET)
    assert guest["uptime_s"] == pytest.approx(0.035)
    assert "was RESET 35 ms after it ran on the destination" in text.splitlines()[0]


def test_a_fault_that_is_logged_before_the_resume_is_over(tmp_path: Path) -> None:
    """Threads write as they come: the vCPU's line may stand before `resumed`."""
    guest, _ = _guest(tmp_path, line(4.648, "Guest likely triple-faulted", thread="vcpu0", level="ERROR"))
    assert (guest["fate"], guest["uptime_s"], guest["evidence"]) == ("reset", 0, "destination.log:12")


@pytest.mark.parametrize(
    "more",
    [
        (line(64.66, "VM reset event"),),
        (line(5.0, "API request event: VmReboot"), line(5.1, "VM reset event")),
        (line(5.0, "API request event: VmmShutdown"), event(5.1, "shutdown")),
        (line(5.0, "VM exit event"), event(5.1, "shutdown"), event(5.2, "deleted")),
        (line(5.0, "API request event: VmPowerButton"), line(5.1, "VM guest exit event")),
    ],
    ids=["later", "asked to reboot", "asked to end", "told by a signal", "power button"],
)
def test_what_was_asked_for_or_comes_late_is_no_fate(more: tuple[tuple[float, str], ...], tmp_path: Path) -> None:
    """The window ends when the process is asked for something else, or a minute after the guest ran."""
    guest, text = _guest(tmp_path, *more)
    assert guest == {
        "location": "destination",
        "running": True,
        "evidence": "destination.log:11",
        "fate": None,
        "cause": None,
        "uptime_s": None,
        "fate_evidence": None,
    }
    assert not text.startswith("guest")


def test_within_a_minute(tmp_path: Path) -> None:
    """The window is sixty seconds wide, from when the guest ran."""
    guest, _ = _guest(tmp_path, line(64.64, "VM reset event"))
    assert guest["fate"] == "reset"


def test_the_cause_is_redacted(tmp_path: Path) -> None:
    """What the hypervisor prints may name files."""
    fatal = line(5.0, "Fatal error: Open(/srv/images/secret.qcow2)", thread="main", level="ERROR")
    guest, text = _guest(tmp_path, fatal)
    assert "secret" not in guest["cause"] + text


def test_a_side_that_is_over_is_emitted_again_with_its_fate(tmp_path: Path) -> None:
    """Fed line by line, the last word makes a side that is over; its guest's fate comes with the very line."""
    (log,), _, _ = open_inputs(written(tmp_path, destination=told(DESTINATION, _FAULT, *_RESET)))
    reader = new_reader()
    emitted = [reader.take(each) for each in unfiltered(log, growing(log))]
    (over,) = emitted[len(DESTINATION) - 1]
    (fated,) = emitted[len(DESTINATION)]
    assert (over.state, over.received.fate) == (SideState.OVER, None)
    assert fated.state is SideState.OVER
    assert fated.received.fate is not None
    assert fated.received.fate.fate is Fate.RESET
    assert fated.observations[:-1] == over.observations


# --- on the source

_WHILE_COPYING: Final = (line(7.0, "Guest likely triple-faulted", thread="vcpu0", level="ERROR"),)
_NO_RESET: Final = "Fatal error: VmReboot(VmMigrating)"
_EXITS: Final = line(7.003, _NO_RESET, thread="main", level="ERROR")
_PEER_GONE: Final = line(3.41, "Failed to read migration request: sender likely failed, aborting", level="ERROR")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ((*_WHILE_COPYING, line(7.002, "VM reset event"), _EXITS), ("guest_reset", "killed", "none")),
        ((line(7.002, "VM reset event"), _EXITS), ("guest_reset", "killed", "none")),
        ((line(7.002, "VM reset event"),), ("guest_reset", "killed", "none")),
        ((line(7.002, "VM guest exit event"),), ("guest_shut_down", "shut_down", "source")),
        ((line(7.002, "VM guest exit event"), _EXITS), ("guest_shut_down", "shut_down", "none")),
        ((_EXITS,), ("_OTHER", "killed", "none")),
    ],
)
@pytest.mark.parametrize("sides", [1, 2])
def test_a_guest_that_ends_while_it_migrates_is_the_cause(
    more: tuple[tuple[float, str], ...], expected: tuple[str, str, str], sides: int, tmp_path: Path
) -> None:
    """From v53.0 on the VMM does not survive it: that is why the evidence stops, on both sides."""
    logs = {"source": told(SOURCE, *more, until=7)}
    if sides == 2:
        logs["destination"] = told(DESTINATION, _PEER_GONE, until=3)
    _, said, text = one_trace(tmp_path, **logs)
    guest = said["guest"]
    assert (said["error"]["type"], guest["fate"], guest["location"]) == expected
    assert (said["result"], guest["running"]) == ("failure", False)
    assert "evidence stops" not in text
    assert (_NO_RESET in said["error"]["description"]) == (_EXITS in more)


def test_a_guest_that_is_reset_after_the_migration_failed(tmp_path: Path) -> None:
    """The guest runs on the source again, and then its fate is told there."""
    failed = (
        event(8.36, "migration-failed", thread="migration-worker"),
        event(8.362, "resuming"),
        event(8.363, "resumed"),
        line(8.364, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR"),
        line(8.5, "Guest likely triple-faulted", thread="vcpu0", level="ERROR"),
    )
    _, said, _ = one_trace(tmp_path, source=told(SOURCE, *failed, until=8.2))
    assert (said["guest"]["fate"], said["guest"]["location"], said["guest"]["running"]) == ("reset", "source", True)
    assert said["guest"]["uptime_s"] == pytest.approx(0.137, abs=1e-5)


def test_what_is_put_off_ends_nothing(tmp_path: Path) -> None:
    """A build that puts the guest's reboot off goes on migrating: then the log merely stops."""
    more = (
        line(7.0, "ACPI Reboot signalled", thread="vcpu0"),
        line(7.1, "Stop sending memory: there is a pending lifecycle action", thread="migration-worker", level="DEBUG"),
    )
    _, said, _ = one_trace(tmp_path, source=told(SOURCE, *more, until=7))
    assert said["result"] == "unknown"
    assert said["guest"]["fate"] is None


def test_a_destination_whose_process_fails_before_it_has_the_guest(tmp_path: Path) -> None:
    """It is why the migration failed, and no fate of a guest: the source's guest runs on."""
    fatal = line(4.61, "Fatal error: CreateVm(NoMemory)", thread="main", level="ERROR")
    failed = (
        event(8.36, "migration-failed", thread="migration-worker"),
        event(8.362, "resuming"),
        event(8.363, "resumed"),
        line(8.364, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR"),
    )
    trace, said, _ = one_trace(
        tmp_path, source=told(SOURCE, *failed, until=8.2), destination=told(DESTINATION, fatal, until=4.61)
    )
    assert said["error"]["type"] == "restore_failed"
    assert "Fatal error: CreateVm(NoMemory)" in said["error"]["description"]
    assert (said["guest"]["location"], said["guest"]["fate"]) == ("source", None)
    receive = trace.first("receive")
    assert receive is not None
    assert receive.error == "Fatal error: CreateVm(NoMemory)"


def test_a_destination_that_dies_while_it_resumes_has_no_fate_of_a_guest(tmp_path: Path) -> None:
    """Whether the guest ran there is not known; the source takes it back."""
    panic = "thread 'vmm' panicked at vmm/src/vm.rs:14:5:\nno such device\n"
    _, said, _ = one_trace(tmp_path, destination=told(DESTINATION, until=4.645) + panic)
    assert said["result"] == "unknown"
    assert (said["guest"]["location"], said["guest"]["fate"]) == ("unknown", None)


def test_a_panic_after_the_guest_ran_killed_it(tmp_path: Path) -> None:
    """A panic prints no time: the guest ran for a while, and nothing says how long."""
    panic = "thread 'vcpu0' panicked at vmm/src/cpu.rs:14:5:\nno such register\nnote: run with `RUST_BACKTRACE=1`\n"
    _, said, text = one_trace(tmp_path, source=told(SOURCE), destination=told(DESTINATION) + panic)
    assert said["result"] == "success"
    guest = said["guest"]
    assert (guest["location"], guest["running"], guest["fate"]) == ("none", False, "killed")
    assert (guest["uptime_s"], guest["fate_evidence"]) == (None, "destination.log:13")
    assert "no such register" in guest["cause"]
    assert text.startswith("guest      was KILLED (destination.log:13: killed by a panic: thread 'vcpu0' panicked at ")
