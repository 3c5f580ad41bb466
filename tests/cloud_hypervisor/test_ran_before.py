"""Whether the guest ran before its migration: where a migration fails before it stops it, it is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from accidents import damages
from command_run import run_command
from feeding import feed, growing, inputs_of, new_reader, unfiltered
from msgspec.structs import replace
from short_logs import DESTINATION, SOURCE, event, line, one_trace, told, written
from sweep import tried
from trace_invariants import traced

from otelmig.migration.side import Role

if TYPE_CHECKING:
    from pathlib import Path

_WORKER: Final = "migration-worker"
_FAILED: Final = (
    event(7.0, "migration-failed", thread=_WORKER),
    line(7.001, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR"),
)
_PAUSE: Final = (
    line(3.0, "API request event: VmPause"),
    event(3.001, "pausing"),
    line(3.002, "Pausing virtio-rng"),
    event(3.003, "paused"),
)
_RESUME: Final = (
    line(4.0, "API request event: VmResume"),
    event(4.001, "resuming"),
    line(4.002, "Resuming virtio-rng"),
    event(4.003, "resumed"),
)
_SECOND: Final = tuple((at + 10, text.replace(f"{at:>10.6f}s", f"{at + 10:>10.6f}s")) for at, text in SOURCE[1:6])
_SECOND_FAILED: Final = line(16.0, "Migration failed: Socket error: Connection reset by peer (os error 104)")
_OLD_PAUSE: Final = (line(3.0, "API request event: VmPause"), line(3.002, "Pausing virtio-rng"))
_OLD_BOOT: Final = (
    line(0.1, "API request event: VmCreate VmConfig { .. }"),
    line(0.2, "API request event: VmBoot"),
    line(0.3, "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 1 } } }"),
    line(0.4, "Starting vCPUs: desired = 1, allocated = 1, present = 0, paused = false"),
)
_OLD_RESTORE: Final = (
    line(0.1, "API request event: VmRestore RestoreConfig { .. }"),
    line(0.3, "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 1 } } }"),
    line(0.4, "Starting vCPUs: desired = 1, allocated = 1, present = 0, paused = true"),
)
_OLD: Final = (
    line(
        5.4,
        'API request event: VmSendMigration VmSendMigrationData { destination_url: "tcp:192.0.2.20:4444", '
        "local: false }",
    ),
    line(5.5, "Sending migration: destination_url = tcp:192.0.2.20:4444, local = false"),
    line(5.6, "Generating guest CPUID for with physical address size: 46"),
    line(6.0, "Dirty memory migration 0 of 5"),
)
_OLD_FAILED: Final = line(7.0, "Migration failed: MigrateSend(Error transferring memory to socket)", level="ERROR")


def _running(folder: Path, lines: list[tuple[float, str]]) -> list[object]:
    """What is said of the guest after each attempt of a source that wrote these lines."""
    paths = written(folder, source=told(lines))
    traces = traced(paths)
    assert {trace.root.attributes["vm.migration.guest.location"] for trace in traces} <= {"source", "unknown"}
    return [trace.root.attributes.get("vm.migration.guest.running") for trace in traces]


@pytest.mark.parametrize("missing", [None, *range(len(_PAUSE))])
def test_no_lost_line_makes_a_paused_guest_run(missing: int | None, tmp_path: Path) -> None:
    """What is left of the pause does not say that it was over, and lets nobody claim that the guest runs."""
    pause = [each for at, each in enumerate(_PAUSE) if at != missing]
    said = _running(tmp_path, [*SOURCE[:7], *pause, *_FAILED])
    assert said == [None if missing == len(_PAUSE) - 1 else False]


@pytest.mark.parametrize("missing", [None, *range(len(_PAUSE + _RESUME))])
def test_no_lost_line_makes_a_resumed_guest_stand_still(missing: int | None, tmp_path: Path) -> None:
    """The other lines of a resume leave open whether it came to its end."""
    lines = [each for at, each in enumerate(_PAUSE + _RESUME) if at != missing]
    (running,) = _running(tmp_path, [*SOURCE[:7], *lines, *_FAILED])
    assert running is (None if missing == len(_PAUSE + _RESUME) - 1 else True)


def test_a_log_that_begins_after_the_pause_leaves_it_open(tmp_path: Path) -> None:
    """Of each beginning that is gone: nothing is said that the whole log does not say."""
    lines = sorted([SOURCE[0], *_PAUSE, *SOURCE[1:7], *_FAILED])
    said = []
    for begin in range(len(lines) - 1):
        folder = tmp_path / str(begin)
        folder.mkdir()
        said += _running(folder, lines[begin:])
    whole, *others = said
    assert whole is False
    assert set(others) == {False, None}
    assert others[len(_PAUSE) - 1 :] == [False, *[None] * (len(others) - len(_PAUSE))]


def test_what_is_left_open_is_said(tmp_path: Path) -> None:
    """A guest that the migration did not stop is on the source; that its log begins late is what keeps more back."""
    trace, said, text = one_trace(tmp_path, source=told(SOURCE[1:7], *_FAILED))
    root = trace.root.attributes
    assert root["vm.migration.guest.undisturbed"] is True
    assert (said["guest"]["location"], said["guest"]["running"]) == ("source", None)
    assert "vm.migration.vm_was_paused" not in root
    assert "guest is on the source (source.log:6); no line says whether it runs" in text
    assert "blackout   none by the migration; whether the guest ran before it, the log does not say" in text
    doctor = run_command(["doctor", str(tmp_path / "source.log")]).stdout
    assert "whether the guest ran before its migration" in doctor


@pytest.mark.parametrize("begins", [(), _OLD_BOOT[:1], _OLD_BOOT[1:2], _OLD_BOOT[2:3], _OLD_BOOT[3:], _OLD_BOOT])
def test_until_v49_a_boot_says_that_the_guest_ran(begins: tuple[tuple[float, str], ...], tmp_path: Path) -> None:
    """Any of its lines does; a log without them may begin after a pause."""
    assert _running(tmp_path, [*begins, *_OLD, _OLD_FAILED]) == [True if begins else None]


@pytest.mark.parametrize("missing", [None, *range(len(_OLD_PAUSE))])
def test_until_v49_a_pause_leaves_it_open(missing: int | None, tmp_path: Path) -> None:
    """No line says that a pause is over, and each of its two says that there was one."""
    pause = [each for at, each in enumerate(_OLD_PAUSE) if at != missing]
    assert _running(tmp_path, [*_OLD_BOOT, *pause, *_OLD, _OLD_FAILED]) == [None]


@pytest.mark.parametrize("missing", [None, *range(len(_OLD_RESTORE))])
def test_a_restored_guest_waits_to_be_resumed(missing: int | None, tmp_path: Path) -> None:
    """A boot prints the configuration, too: whatever is lost, it is not taken for one."""
    restore = [each for at, each in enumerate(_OLD_RESTORE) if at != missing]
    assert _running(tmp_path, [*restore, *_OLD, _OLD_FAILED]) == [None]


def test_a_lost_resume_of_one_migration_makes_no_pause_before_the_next(tmp_path: Path) -> None:
    """The first one paused the guest, failed, and resumed it; only the last line of that is lost."""
    first = [*SOURCE[:9], line(8.13, "Migration failed: Socket error: Connection reset by peer (os error 104)")]
    resume = [event(8.14, "resuming"), line(8.15, "Resuming virtio-rng")]
    assert _running(tmp_path, [*first, *resume, event(8.16, "resumed"), *_SECOND, _SECOND_FAILED]) == [True, True]
    assert _running(tmp_path, [*first, *resume, *_SECOND, _SECOND_FAILED]) == [None, None]


def test_until_v49_a_lost_pause_leaves_open_whether_the_guest_was_stopped(tmp_path: Path) -> None:
    """A VM with one device prints one line as it is paused; that it is resumed says that there was one."""
    failed = [_OLD_FAILED, line(7.001, "Resuming virtio-rng")]
    for pause, undisturbed in (([line(6.5, "Pausing virtio-rng")], None), ([], None)):
        (path,) = written(tmp_path, source=told([*_OLD_BOOT, *_OLD, *pause, *failed]))
        (trace,) = traced([path])
        assert trace.root.attributes.get("vm.migration.guest.undisturbed") is undisturbed
        assert trace.root.attributes.get("vm.migration.guest.running") is (True if pause else None)


_ALREADY: Final = "Migration failed: Pause(Invalid transition: InvalidStateTransition(Paused, Paused))"


@pytest.mark.parametrize("missing", [None, 0])
def test_a_lost_resume_of_a_paused_guest_leaves_it_open(missing: int | None, tmp_path: Path) -> None:
    """Until v51 a failure resumes a guest that had been paused before: no line of that is no word of the contrary."""
    resume = [line(7.002, "Resuming virtio-rng")]
    lines = [*_OLD_BOOT, *_OLD_PAUSE, *_OLD, line(7.0, _ALREADY, level="ERROR"), *resume[:missing]]
    assert _running(tmp_path, lines) == [True if missing is None else None]


def test_a_paused_guest_stays_paused_if_its_state_is_refused(tmp_path: Path) -> None:
    """From v52.0 on a migration does not pause what is paused, and takes its state all the same."""
    state = [event(6.0, "snapshotting", thread=_WORKER), event(6.1, "snapshotted", thread=_WORKER)]
    refused = line(
        7.001, "Migration failed: Failed to send migratable component snapshot: Error during state migration"
    )
    lines = [*SOURCE[:7], *_PAUSE, *state, event(7.0, "migration-failed", thread=_WORKER), refused]
    assert _running(tmp_path, lines) == [False]
    assert _running(tmp_path, [*lines, event(7.1, "resuming"), line(7.2, "Resuming virtio-rng")]) == [None]


def test_warnings_tell_of_no_pause(tmp_path: Path) -> None:
    """A log of warnings would not tell that an operator had paused the guest."""
    error = "MigrateSend(Error connecting to TCP socket: Connection refused (os error 111))"
    (path,) = written(tmp_path, source=told([line(9.0, f"Migration failed: {error}", level="ERROR")]))
    (trace,) = traced([path])
    assert trace.root.attributes["vm.migration.guest.undisturbed"] is True
    assert "vm.migration.guest.running" not in trace.root.attributes


def test_a_destination_alone_does_not_say_that_it_resumed_what_it_did_not(tmp_path: Path) -> None:
    """At `-v` it prints nothing of a guest that stays paused: receiving is over, and nothing was resumed."""
    silent = [each for each in DESTINATION if "resum" not in each[1]]
    trace, said, text = one_trace(tmp_path, destination=told(silent))
    assert (said["result"], said["guest"]["location"], said["guest"]["running"]) == ("success", "destination", None)
    assert "no line says whether it runs" in text
    assert "vm.migration.vm_was_paused" not in trace.root.attributes
    for resumed in [each for each in DESTINATION if "resum" in each[1]]:
        _, said, _ = one_trace(tmp_path, destination=told([*silent, resumed]))
        assert said["guest"]["running"] is True


def test_lines_that_are_known_to_be_missing_may_have_been_a_pause() -> None:
    """After a hole nothing is known of the guest until a line says it again."""
    (log,) = (log for log in inputs_of("v53.0-refused") if log.name == "source.log")
    lines = unfiltered(log, growing(log))
    begin = next(at for at, each in enumerate(lines) if "API request event: VmSendMigration" in each.text)
    for hole, ran in ((None, True), (3, True), (begin - 1, False), (begin, False)):
        holed = [replace(each, lost_before=int(at == hole)) for at, each in enumerate(lines)]
        (side,) = feed(new_reader(), holed).values()
        assert side.role is Role.SOURCE
        assert side.sent.ran_before is ran


_FAILING: Final = ("scenario:v53.0-paused-fails", "scenario:v45.0-pause-fails", "scenario:v51.0-pause-fails")


@pytest.mark.parametrize("mode", ["drop", "half", "rotated"])
@pytest.mark.parametrize("recording", [*_FAILING, "scenario:v53.0-paused", "v52.0-paused", "v53.0-paused"])
def test_every_cut_and_every_lost_line(recording: str, mode: str) -> None:
    """What is said of a guest that had been paused is never that it runs, or was not."""
    found = {str(each): tried(each).faults for each in damages(recording, mode) if each.file == "source.log"}
    assert found
    assert {each: faults for each, faults in found.items() if faults} == {}
