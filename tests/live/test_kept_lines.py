"""Which lines a live service keeps: those of processes that live on, and of sides whose partner may come late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live_run import LiveRun
from sent_files import SentFile, recording_requests
from trace_invariants import CORPUS

from otelmig.live import sides

if TYPE_CHECKING:
    from pathlib import Path

    from sent_files import Request

    from otelmig.trace.span import Trace

_HOSTS = {"source": "host-a", "destination": "host-b"}
_RECORDING = CORPUS / "v53.0-basicv"
_DAY_S = 86_400
_ENDS = ("VmmShutdown", "VM exit event", "exited successfully")


def _of(role: str) -> list[Request]:
    """The requests of one host."""
    requests = recording_requests(_RECORDING, {role: _HOSTS[role]}, 7)
    return [request for request in requests if request[0].file.path.endswith((".log", ".events.json"))]


def _is_linked(late: Trace, first: Trace) -> bool:
    (link,) = late.root.links
    assert link.attributes == {"otelmig.link.kind": "other side"}
    return (link.trace_id, link.span_id) == (first.trace_id, first.root.span_id)


@pytest.mark.parametrize(("first", "late"), [("destination", "source"), ("source", "destination")])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("pause_s", [100, 1_000], ids=["in memory", "put aside"])
def test_a_partner_that_comes_late_is_linked(
    first: str, late: str, *, restarts: bool, pause_s: int, tmp_path: Path
) -> None:
    """Nothing that was exported changes: the late side is a trace of its own that points to the first."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of(first))
        run.wait(pause_s)
        if restarts:
            run.restart()
            run.wait(pause_s)
        run.feed(_of(late))
        run.wait(100)
        one, other = (finished.trace for finished in run.finished)
        assert _is_linked(other, one)
        assert run.assembly.waiting.late == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_the_lines_of_a_source_without_a_partner_are_deleted_after_a_day(tmp_path: Path, *, restarts: bool) -> None:
    """Until then its partner may come; the process is gone, so nothing else needs them."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("source"))
        run.wait(_DAY_S - 1_000)
        assert run.state.logs_with_lines()
        if restarts:
            run.restart()
            run.wait(_DAY_S - 1_000)
            assert run.state.logs_with_lines()
        run.wait(2_000)
        assert not run.state.logs_with_lines()
        run.wait(500)
        assert not run.state.logs()


def test_of_many_without_a_partner_the_oldest_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much is kept for partners that come late, and no more."""
    monkeypatch.setattr(sides, "_MOST_ALONE", 0)
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("source"))
        run.wait(1_000)
        assert not run.state.logs()
        run.feed(_of("destination"))
        run.wait(100)
        assert [finished.trace.root.links for finished in run.finished] == [(), ()]


@pytest.mark.parametrize("idle_s", [1, 1_000], ids=["in memory", "put aside"])
@pytest.mark.parametrize("is_paired", [False, True])
def test_a_process_that_begins_where_another_one_left(tmp_path: Path, *, is_paired: bool, idle_s: int) -> None:
    """Its first lines, which say what it is, outlast the lines of the process that is gone."""
    source, destination = ((_RECORDING / f"{role}.log").read_bytes() for role in _HOSTS)
    records = SentFile(data=source + destination).records
    began = len(SentFile(data=source).records)
    with LiveRun(directory=tmp_path / "state") as run:
        run.take(records[:began])
        if is_paired:
            run.take(SentFile(data=destination, host="host-b").records)
        run.wait(100)
        run.take(records[began : began + 2])
        run.wait(idle_s)
        run.take(records[began + 2 :])
        run.wait(_DAY_S + 1_000)
        received = run.finished[-1]
        assert received.migration.destination is not None
        assert received.migration.destination.vmm.version == "v53.0-dirty"
        kept = [line.text for log in run.state.logs_with_lines() for line in run.state.lines(log) if "host-a" in log]
        assert any("0.008834s" in text for text in kept)
        assert not (is_paired and any("0.006179s" in text for text in kept))


@pytest.mark.parametrize("idle_s", [1, 150], ids=["in memory", "put aside"])
@pytest.mark.parametrize("says_so", ["its log", "its event stream"])
def test_nothing_is_kept_of_a_guest_that_was_shut_down_on_its_destination(
    tmp_path: Path, *, says_so: str, idle_s: int
) -> None:
    """The process is gone by the last words of its log, or of the event stream beside it where the log says less."""
    silent = _ENDS if says_so == "its event stream" else ()
    requests = [
        [record for record in request if not any(word in record.text for word in silent)]
        for request in recording_requests(_RECORDING, _HOSTS, 7)
    ]
    with LiveRun(directory=tmp_path / "state") as run:
        for number, request in enumerate(requests):
            run.take(request)
            if number % 20 == 0:
                run.wait(idle_s)
        run.wait(1_000)
        assert [len(finished.migration.sides) for finished in run.finished] == [2]
        assert not run.state.logs_with_lines()
        assert not run.state.logs()


def test_what_is_kept_of_a_guest_that_lives_on_is_its_log(tmp_path: Path) -> None:
    """Without a word of its end its lines stay: it may migrate again, and they say what it is."""
    requests = [
        [record for record in request if not any(word in record.text for word in _ENDS)]
        for request in recording_requests(_RECORDING, _HOSTS, 7)
        if request[0].file.path.endswith(".log")
    ]
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(requests)
        run.wait(1_000)
        (kept,) = run.state.logs_with_lines()
        assert "host-b" in kept
