"""The connection is lost after the destination resumed the guest, and the source takes it back: it runs twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from short_logs import DESTINATION, SOURCE, event, line, one_trace, told, written
from trace_invariants import traced

from otelmig.errors import UsageError
from otelmig.pipeline import trace_migrations
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from pathlib import Path

_WORKER: Final = "migration-worker"
_LOST: Final = (
    event(8.36, "migration-failed", thread=_WORKER),
    line(8.361, "VM check migration event"),
    line(8.362, "Migration failed: Socket error: Connection timed out (os error 110)", level="ERROR"),
    event(8.363, "resuming"),
    event(8.364, "resumed"),
    line(8.365, "Resumed VM successfully after failed migration"),
)
_TOOK_BACK: Final = told(SOURCE, *_LOST, until=8.2)


def test_one_trace_says_it_first_with_both_lines(tmp_path: Path) -> None:
    """The location is `both`, in the first line, in red, with the line of each side."""
    trace, said, text = one_trace(tmp_path, source=_TOOK_BACK, destination=told(DESTINATION))
    assert said["result"] == "failure"
    assert said["guest"]["location"] == "both"
    assert said["guest"]["running"] is True
    assert said["guest"]["evidence"] == "source.log:16, destination.log:11"
    first = text.splitlines()[0]
    assert first.startswith("guest      RUNS ON BOTH HOSTS")
    assert "(source.log:16 and destination.log:11)" in first
    red = render_waterfall(trace, width=300, color=True).splitlines()[0]
    assert red.startswith("\x1b[1;31m") or "\x1b[31m" in red
    assert len(trace.resources) == 2


def test_a_destination_that_lost_the_connection_says_so_too(tmp_path: Path) -> None:
    """It may report that it could not answer: its guest runs all the same."""
    lost = event(4.7, "migration-receive-failed")
    _, said, _ = one_trace(tmp_path, source=_TOOK_BACK, destination=told(DESTINATION, lost, until=4.651))
    assert said["guest"]["location"] == "both"


def test_a_guest_that_was_paused_is_on_both_and_runs_on_neither(tmp_path: Path) -> None:
    """The operator's pause holds on both hosts."""
    paused = [event(1.0, "pausing"), event(1.1, "paused")]
    lost = [each for each in _LOST if "resum" not in each[1] and "Resumed" not in each[1]]
    source = [each for each in SOURCE if "paus" not in each[1]]
    kept = [each for each in DESTINATION if "resum" not in each[1]]
    left = line(4.65, "Migration (incoming): Receiving final state of a paused VM", level="DEBUG")
    _, said, text = one_trace(tmp_path, source=told(source, *paused, *lost, until=8.2), destination=told(kept, left))
    assert (said["guest"]["location"], said["guest"]["running"]) == ("both", False)
    assert text.startswith("guest      IS ON BOTH HOSTS")


def test_a_destination_that_died_leaves_the_guest_on_the_source(tmp_path: Path) -> None:
    """What the destination had is gone, so the guest runs once."""
    fatal = line(5.0, "Fatal error: EpollWait(Bad)", thread="main", level="ERROR")
    _, said, _ = one_trace(tmp_path, source=_TOOK_BACK, destination=told(DESTINATION, fatal))
    assert (said["guest"]["location"], said["guest"]["running"], said["guest"]["fate"]) == ("source", True, None)


def test_who_has_another_partner_takes_that_one(tmp_path: Path) -> None:
    """A source that fails and then succeeds belongs to the destination with its success alone."""
    again = [(at + 10, text.replace(f"{at:>10.6f}", f"{at + 10:>10.6f}")) for at, text in SOURCE[1:]]
    source = told([*SOURCE, *_LOST], until=8.2) + told(_LOST) + told(again)
    traces = traced(written(tmp_path, source=source, destination=told(DESTINATION)))
    locations = [summary(trace)["guest"]["location"] for trace in traces]  # type: ignore[index] # an object
    assert locations == ["source", "destination"]


def test_a_failure_before_the_guest_stopped_excludes_the_pair(tmp_path: Path) -> None:
    """A source that gave up while it copied memory never asked for the last request."""
    copying = told(SOURCE, *_LOST[:3], until=8.11)
    paths = written(tmp_path, source=copying, destination=told(DESTINATION))
    assert len(traced(paths)) == 2
    with pytest.raises(UsageError, match="the source failed, the destination completed"):
        list(trace_migrations(paths, pairs=[("source.log", "destination.log")]))


def test_the_caller_may_name_a_pair_that_no_endpoint_names(tmp_path: Path) -> None:
    """Without a common port nothing names the pair, and it is not made; the caller can."""
    source = "".join(text for text in _TOOK_BACK.splitlines(keepends=True) if "tcp:" not in text)
    paths = written(tmp_path, source=source, destination=told(DESTINATION))
    assert len(traced(paths)) == 2
    (trace,) = trace_migrations(paths, pairs=[("source.log", "destination.log")])
    assert trace.root.attributes["vm.migration.guest.location"] == "both"
