"""Which announcement asked for which migration: by when a source's first line came, and by what others asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from live_run import LiveRun
from sent_files import recording_requests
from trace_invariants import CORPUS

from otelmig import announcement as names
from otelmig.announcement import ClientResult, RecordName
from otelmig.hypervisors.cloud_hypervisor.releases import send_blocks as send_blocks_in
from otelmig.hypervisors.cloud_hypervisor.releases import since, until
from otelmig.live.announced import announcements
from otelmig.live.options import LiveOptions
from otelmig.otlp.intake.announcement import Announcement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sent_files import Request

_HOUR_S = 3600.0
_TRACE_ID = "a" * 32
_ENDPOINT: Final[dict[str, str | int]] = {names.ADDRESS: "127.0.0.1", names.PORT: 4444}
"""Where the recordings' sources send their VMs."""
_VM = "2f1c9c3a-5b0e-4a5e-9d4c-0f7f3a1b2c3d"
"""The VM of the recording whose configuration names one."""


def _requests(recording: str = "v53.0-basicv", host: str = "") -> list[Request]:
    """The requests of the two hosts of a migration to one endpoint."""
    hosts = {role: f"{role}{host}" for role in ("source", "destination")}
    requests = recording_requests(CORPUS / recording, hosts, 7)
    return [request for request in requests if request[0].file.path.endswith(".log")]


def _in_two(requests: list[Request]) -> tuple[list[Request], list[Request]]:
    """The requests up to the one with the source's first line about its migration, and the others."""
    first = next(
        at
        for at, request in enumerate(requests, start=1)
        if any(record.file.path.endswith("source.log") and "migration" in record.text for record in request)
    )
    return requests[:first], requests[first:]


def _record(
    span: str, told: Mapping[str, str | int] = _ENDPOINT, name: RecordName = RecordName.ANNOUNCED, flags: int = 1
) -> Announcement:
    """A record of the span that is called by a digit."""
    return Announcement(name, _TRACE_ID, span * 16, flags, 5, 5, told, {}, None)


def _announce(run: LiveRun, span: str = "1", result: str | None = None, *, flags: int = 1) -> None:
    """Announce a migration; with a ``result``, tell at once that the caller has it."""
    run.take([], [_record(span, flags=flags)])
    if result is not None:
        _return(run, span, result)


def _return(run: LiveRun, span: str = "1", result: str = ClientResult.RETURNED) -> None:
    run.take([], [_record(span, {names.RESULT: result}, RecordName.RETURNED)])


def _parents(run: LiveRun) -> list[str | None]:
    """The parent of each trace, as one digit."""
    return [parent and parent[0] for parent in (each.trace.root.parent_id for each in run.finished)]


def test_how_the_call_is_answered() -> None:
    """Up to v52 at the migration's end, from v53 on as soon as it has begun; a log that may be of either tells none."""
    assert send_blocks_in(until("v52.0")) is True
    assert send_blocks_in(since("v53.0")) is False
    assert send_blocks_in(since("v52.0")) is None


@pytest.mark.parametrize(
    ("recording", "result", "after_s", "is_parent"),
    [
        ("v52.0-basic", ClientResult.RETURNED, 1.9, True),
        ("v52.0-basic", ClientResult.RETURNED, 2.1, False),
        ("v53.0-basicv", ClientResult.RETURNED, 1.9, True),
        ("v53.0-basicv", ClientResult.RETURNED, 3590.0, True),
        ("v53.0-basicv", ClientResult.FAILED, 1.9, True),
        ("v53.0-basicv", ClientResult.FAILED, 2.1, False),
        ("v53.0-basicv", ClientResult.CANCELLED, 2.1, False),
        ("v52.0-basic", None, 3590.0, True),
        ("v53.0-basicv", None, 3590.0, True),
    ],
)
def test_after_the_answer(
    recording: str,
    result: str | None,
    after_s: float,
    tmp_path: Path,
    *,
    is_parent: bool,
) -> None:
    """Two seconds where the answer is the end or an error; else, and without an answer, as long as it is kept."""
    with LiveRun(directory=tmp_path / "state") as run:
        _announce(run, result=result)
        run.wait(after_s)
        run.feed(_requests(recording))
        run.wait(100)
        assert _parents(run) == ["1" if is_parent else None]


@pytest.mark.parametrize(("before_s", "is_parent"), [(1.9, True), (2.1, False)])
def test_before_the_announcement(before_s: float, tmp_path: Path, is_parent: bool) -> None:  # noqa: FBT001 - a column
    """An announcement may come two seconds after the source's first line, and not later."""
    begin, rest = _in_two(_requests())
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(begin)
        run.wait(before_s)
        _announce(run)
        run.feed(rest)
        run.wait(100)
        assert _parents(run) == ["1" if is_parent else None]


@pytest.mark.parametrize("result", [None, ClientResult.RETURNED])
def test_a_migration_that_lasts_longer_than_announcements_are_kept(result: str | None, tmp_path: Path) -> None:
    """What may have asked for a source that is under way is kept; what did not is forgotten."""
    begin, rest = _in_two(_requests())
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(silent_timeout_s=10 * _HOUR_S)) as run:
        _announce(run, "2", ClientResult.FAILED)
        run.wait(10)
        _announce(run, result=result)
        run.feed(begin)
        for _ in range(3):
            run.wait(_HOUR_S)
            run.restart()
        run.feed(rest)
        run.wait(100)
        assert _parents(run) == ["1"]
        assert run.assembly.announcements.unmatched == 0, "it was counted before the service started again"
        assert len(run.state.announced()) == 1


def test_a_trace_that_is_made_again_is_the_same(tmp_path: Path) -> None:
    """Killed before the trace was safe, after hours: the announcement that it used is still there."""
    with LiveRun(
        directory=tmp_path / "state", keeps_safe=False, options=LiveOptions(silent_timeout_s=10 * _HOUR_S)
    ) as run:
        requests = _requests()
        _announce(run)
        run.feed(requests[:-1])
        run.wait(2 * _HOUR_S)
        run.feed(requests[-1:])
        run.wait(5)
        run.restart()
        run.wait(5)
        assert _parents(run) == ["1", "1"]
        assert run.lines[0] == run.lines[1]


def test_one_that_comes_late_is_not_that_of_the_next(tmp_path: Path) -> None:
    """It is counted at once; who announces in time is found, and who does not announce is nobody's."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_requests())
        run.wait(10)
        _announce(run, "1", ClientResult.RETURNED)
        assert run.assembly.announcements.late == 1
        run.wait(10)
        run.feed(_requests("v53.0-conn4", "2"))
        run.wait(10)
        _announce(run, "2", ClientResult.RETURNED)
        run.feed(_requests("v53.0-linux", "3"))
        run.wait(10)
        assert _parents(run) == [None, None, "2"]
        run.wait(_HOUR_S)
        assert (run.assembly.announcements.late, run.assembly.announcements.unmatched) == (2, 1)


def test_the_nearest_of_several(tmp_path: Path) -> None:
    """One whose migration never showed itself, long ago, does not make another one doubtful."""
    with LiveRun(directory=tmp_path / "state") as run:
        _announce(run, "1", ClientResult.RETURNED)
        run.wait(600)
        _announce(run, "2", ClientResult.RETURNED)
        run.wait(1)
        run.feed(_requests())
        run.wait(10)
        assert _parents(run) == ["2"]


def test_a_span_that_nobody_exports_is_used_up(tmp_path: Path) -> None:
    """The attempt that it asked for is not below it, and neither is the next."""
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(parent_unsampled=False)) as run:
        _announce(run, "1", ClientResult.RETURNED, flags=0)
        run.feed(_requests())
        run.wait(10)
        _announce(run, "2", ClientResult.RETURNED)
        run.feed(_requests("v53.0-conn4", "2"))
        run.wait(10)
        assert _parents(run) == [None, "2"]
        assert [link for each in run.finished for link in each.trace.root.links] == []
        assert run.assembly.announcements.unmatched == 0


def test_two_that_fit_are_not_links_of_later_migrations(tmp_path: Path) -> None:
    """Either could be meant; a migration ten minutes later was asked for by none of them."""
    with LiveRun(directory=tmp_path / "state") as run:
        for span in "12":
            _announce(run, span)
        run.feed(_requests())
        for span in "12":
            _return(run, span)
        run.wait(600)
        run.feed(_requests("v53.0-conn4", "2"))
        run.wait(10)
        assert _parents(run) == [None, None]
        assert [len(each.trace.root.links) for each in run.finished] == [2, 0]


def test_without_an_endpoint_the_vm_tells(tmp_path: Path) -> None:
    """Who names the VM alone is found by its uuid, in whichever case it is written."""
    with LiveRun(directory=tmp_path / "state") as run:
        for span, uuid in (("1", _VM.upper()), ("2", _VM.replace("2f", "3f"))):
            run.take([], [_record(span, {names.VM_ID: uuid})])
        run.feed(_requests("v53.0-linux"))
        run.wait(10)
        assert _parents(run) == ["1"]


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The earliest are forgotten, counted, and deleted; a copy of one of them is a new one."""
    monkeypatch.setattr(announcements, "_MOST", 3)
    with LiveRun(directory=tmp_path / "state") as run:
        for span in "12345":
            _announce(run, span)
        assert (len(run.assembly.announcements), run.assembly.announcements.evicted) == (3, 2)
        assert sorted(each.span_id[0] for each in run.assembly.announcements) == ["3", "4", "5"]
        assert len(run.state.announced()) == 3
        run.restart()
        assert sorted(each.span_id[0] for each in run.assembly.announcements) == ["3", "4", "5"]
        run.take([], [_record(span) for span in "6126"])  # in one request: 3 to 5 go before anything is written
        assert len(run.state.announced()) == 3
        assert sorted(each.span_id[0] for each in run.assembly.announcements) == ["1", "2", "6"]


def test_a_used_one_that_is_evicted_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its migration has its trace."""
    monkeypatch.setattr(announcements, "_MOST", 1)
    with LiveRun(directory=tmp_path / "state") as run:
        _announce(run, "1", ClientResult.RETURNED)
        run.feed(_requests())
        run.wait(10)
        assert _parents(run) == ["1"]
        _announce(run, "2")
        assert run.assembly.announcements.evicted == 0
