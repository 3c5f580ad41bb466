"""Time and failure stand on the part that took them: a pause that fails or hangs is the pause, not what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from command_run import run_command
from short_logs import DESTINATION, SOURCE, event, line, one_trace, told, written

if TYPE_CHECKING:
    from pathlib import Path

_WORKER: Final = "migration-worker"
_BEFORE: Final = told(SOURCE, until=8.111)
_WAITS: Final = tuple(
    line(
        8.12 + number * 0.1,
        f"vCPU thread did not respond in {100 + number * 100}ms to signal - retrying",
        thread=_WORKER,
        level="WARN",
    )
    for number in range(10)
)
_PAUSE_FAILED: Final = (
    event(9.2, "migration-failed", thread=_WORKER),
    line(9.201, "Migration failed: Failed to pause migratable component: Timeout", level="ERROR"),
)


def _log(*more: tuple[float, str]) -> str:
    return told([each for each in SOURCE if each[0] < 8.111], *more)


def test_a_pause_that_fails_is_the_pause(tmp_path: Path) -> None:
    """All of the time and the ERROR are the pause's: no line says that any memory was sent after it."""
    back = (event(9.21, "resuming"), event(9.22, "resumed"))
    trace, said, text = one_trace(tmp_path, source=_log(*_WAITS, *_PAUSE_FAILED, *back))
    assert said["error"]["type"] == "pause_failed"
    assert {span.name for span in trace.spans if span.error is not None} == {"migration", "downtime", "pause"}
    assert trace.first("final delta") is None
    pause = trace.first("pause")
    assert pause is not None
    assert pause.duration_ns == pytest.approx(1.09e9, abs=1e6)
    assert pause.attributes["vm.vcpu.wait.duration"] == 1.0
    assert pause.attributes["vm.vcpu.wait.count"] == len(_WAITS)
    assert [each.name for each in pause.events] == ["vm.vcpu.waited_for"]
    assert "the pause waited for a vCPU that did not respond: 1 s (said 10 times)" in text
    assert "when the vCPUs stopped" in text  # the logs do not say it
    assert (said["guest"]["location"], said["guest"]["running"]) == ("source", True)


def test_a_pause_in_which_the_log_stops_is_the_pause(tmp_path: Path) -> None:
    """Nothing says that it was over, and nothing says what became of the guest."""
    trace, said, _ = one_trace(tmp_path, source=_log(*_WAITS))
    assert (said["result"], said["guest"]["location"]) == ("unknown", "unknown")
    downtime = trace.first("downtime")
    assert downtime is not None
    (pause,) = trace.children(downtime)
    assert pause.name == "pause"
    assert pause.attributes["otelmig.evidence.completeness"] == "partial"


def test_a_lost_line_makes_no_pause_fail(tmp_path: Path) -> None:
    """Without `paused`, what follows still shows that the pause was over; another error is not the pause's."""
    kept = [each for each in SOURCE if "event = paused" not in each[1]]
    trace, _, _ = one_trace(tmp_path, source=told(kept))
    assert trace.first("final delta") is not None
    lost = (
        event(8.14, "migration-failed", thread=_WORKER),
        line(8.141, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR"),
    )
    trace, _, _ = one_trace(tmp_path, source=told(kept, *lost, until=8.13))
    assert trace.first("pause") is None
    assert {span.name for span in trace.spans if span.error is not None} == {"migration", "downtime", "final delta"}


def test_waits_outside_of_the_pause_are_not_its_story(tmp_path: Path) -> None:
    """A vCPU that is throttled while memory is copied may be slow, too."""
    early = line(7.0, "vCPU thread did not respond in 10ms to signal - retrying", thread="throttle-vcpu", level="WARN")
    trace, _, text = one_trace(tmp_path, source=told(SOURCE, early))
    pause = trace.first("pause")
    assert pause is not None
    assert "vm.vcpu.wait.duration" not in pause.attributes
    assert "waited for a vCPU" not in text


def test_doctor_claims_no_instant_that_no_line_bounds(tmp_path: Path) -> None:
    """A pause that was never over says nothing of when the vCPUs stopped."""
    (path,) = written(tmp_path, source=_log(*_WAITS, *_PAUSE_FAILED))
    assert "when the vCPUs stopped" not in run_command(["doctor", str(path)]).stdout
    (path,) = written(tmp_path, source=told(SOURCE))
    assert "when the vCPUs stopped" in run_command(["doctor", str(path)]).stdout


def test_a_failure_that_resumes_a_paused_guest_is_said(tmp_path: Path) -> None:
    """The operator had paused it, and did not ask for that."""
    operators = (event(1.0, "pausing"), event(1.1, "paused"))
    copying = [each for each in SOURCE if each[0] < 8.11]
    failed = (
        line(8.2, "Migration failed: Pause(Invalid transition: InvalidStateTransition(Paused, Paused))", level="ERROR"),
        event(8.21, "resuming"),
        event(8.22, "resumed"),
    )
    _, said, text = one_trace(tmp_path, source=told(copying, *operators, *failed))
    doubt = "the failure resumed a guest that had been paused before the migration (source.log:12)"
    assert said["doubts"] == [doubt]
    assert f"doubtful: {doubt}" in text
    assert (said["guest"]["location"], said["guest"]["running"]) == ("source", True)


# --- claims end where the evidence ends


def test_no_blackout_is_claimed_where_the_pause_would_be_told(tmp_path: Path) -> None:
    """A failure before any pause, in a log that tells of pauses, stopped nothing."""
    failed = (
        event(7.0, "migration-failed", thread=_WORKER),
        line(7.001, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR"),
    )
    trace, said, text = one_trace(tmp_path, source=told(SOURCE, *failed, until=7))
    assert trace.root.attributes["vm.migration.guest.undisturbed"] is True
    assert said["guest"]["running"] is True
    assert "none: the guest was not stopped" in text


def test_an_error_of_a_pause_whose_lines_are_lost_claims_nothing(tmp_path: Path) -> None:
    """The migration came as far as pausing the guest, whatever other lines say."""
    trace, said, text = one_trace(tmp_path, source=told([each for each in SOURCE if each[0] < 8.11], *_PAUSE_FAILED))
    assert "vm.migration.guest.undisturbed" not in trace.root.attributes
    assert said["guest"]["running"] is None
    assert "not stopped" not in text


@pytest.mark.parametrize("until", [5.512, 8.105])
def test_a_log_that_stops_claims_nothing(until: float, tmp_path: Path) -> None:
    """Whether the guest was stopped later, or died with the source, no line says."""
    trace, said, text = one_trace(tmp_path, source=told(SOURCE, until=until))
    assert "vm.migration.guest.undisturbed" not in trace.root.attributes
    assert (said["guest"]["location"], said["guest"]["running"]) == ("unknown", None)
    assert "not stopped" not in text


def test_a_failure_alone_claims_nothing(tmp_path: Path) -> None:
    """A log that holds warnings only cannot say that no pause came before the failure."""
    failed = line(8.4, "Migration failed: Socket error: Connection reset by peer (os error 104)", level="ERROR")
    trace, said, text = one_trace(tmp_path, source=told([failed]))
    assert "vm.migration.guest.undisturbed" not in trace.root.attributes
    assert (said["guest"]["location"], said["guest"]["running"]) == ("source", None)
    assert "not stopped" not in text


def test_a_source_that_goes_may_have_taken_its_guest_along(tmp_path: Path) -> None:
    """The destination saw the connection end, and nothing else says what became of the source."""
    lost = line(4.52, "Failed to read migration request: sender likely failed, aborting", level="ERROR")
    _, said, text = one_trace(tmp_path, source=told(SOURCE, until=8.105), destination=told(DESTINATION, lost, until=3))
    assert said["guest"]["location"] == "unknown"
    assert "if the source died, its guest died with it" in text


def test_a_guest_that_is_gone_stood_still_without_end(tmp_path: Path) -> None:
    """The VMM ends in the downtime, and the guest with it."""
    fatal = line(8.155, "Fatal error: EpollWait(Bad)", thread="main", level="ERROR")
    _, said, text = one_trace(tmp_path, source=told(SOURCE, fatal, until=8.151))
    assert said["guest"]["location"] == "none"
    assert "without end: the guest is gone" in text


def test_an_error_may_say_that_the_guest_was_paused_before(tmp_path: Path) -> None:
    """Until v49 no event says so; the error of a pause of a paused guest does, and the resume is not asked for."""
    old = (
        line(1.0, "Sending migration: destination_url = tcp:192.0.2.20:4444, local = false"),
        line(1.1, "Generating guest CPUID for with physical address size: 46"),
        line(2.0, "Dirty memory migration 0 of 5"),
        line(3.0, "Migration failed: Pause(Invalid transition: InvalidStateTransition(Paused, Paused))", level="ERROR"),
        line(3.1, "Resuming virtio-block"),
    )
    _, said, text = one_trace(tmp_path, source=told(old))
    assert (said["guest"]["location"], said["guest"]["running"]) == ("source", True)
    assert said["guest"]["evidence"] == "source.log:5"
    assert said["doubts"] == ["the failure resumed a guest that had been paused before the migration (source.log:5)"]
    assert "none: the guest was paused before" in text
