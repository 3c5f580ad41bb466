"""What a live service waits for, what it does when that does not come, and what it says of what comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live_run import BEGIN_NS, LiveRun
from sent_files import SentFile, recording_requests
from trace_invariants import CORPUS

from otelmig.announcement import RecordName
from otelmig.live import drawing
from otelmig.live.logs import log_store
from otelmig.live.options import LiveOptions
from otelmig.migration.side import Role
from otelmig.otlp.intake.announcement import Announcement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sent_files import Request

_HOSTS = {"source": "host-a", "destination": "host-b"}
_S = 10**9


def _of(role: str, recording: str = "v53.0-basicv") -> list[Request]:
    """The requests of one host."""
    requests = recording_requests(CORPUS / recording, {role: _HOSTS[role]}, 7)
    return [request for request in requests if request[0].file.path.endswith((".log", ".events.json"))]


def _announcement(
    name: str = RecordName.ANNOUNCED,
    span: str = "1" * 16,
    flags: int = 1,
    attributes: Mapping[str, str | int] | None = None,
) -> Announcement:
    given = {"server.address": "127.0.0.1", "server.port": 4444, **(attributes or {})}
    return Announcement(name, "a" * 32, span, flags, 5, 5, given, {}, None)


def _texts(requests: list[Request]) -> list[str]:
    return [record.text for request in requests for record in request]


def test_a_side_is_traced_alone_after_the_partners_time(tmp_path: Path) -> None:
    """Neither before nor twice; it says that it waits."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("destination"))
        run.wait(59)
        assert not run.finished
        assert [side.role for side, _, _ in run.assembly.waiting.reasons(run.now_s)] == [Role.DESTINATION]
        run.wait(10)
        assert [len(each.migration.sides) for each in run.finished] == [1]
        run.wait(2000)
        assert len(run.finished) == 1


def test_a_failed_source_that_nobody_answered_does_not_wait(tmp_path: Path) -> None:
    """It has no partner that could come."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("source", "v53.0-refused"))
        run.wait(1)
        assert len(run.finished) == 1


def test_a_silent_migration_is_traced_as_it_stands(tmp_path: Path) -> None:
    """Once, when nothing was heard of it for long."""
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(silent_timeout_s=100)) as run:
        run.feed(_of("source", "v53.0-killsrc"))
        run.wait(99)
        assert not run.finished
        run.wait(5)
        assert (len(run.finished), run.assembly.tally.as_they_stood) == (1, 1)


def test_a_full_state_hurries_the_oldest(tmp_path: Path) -> None:
    """What waits longest is traced as it stands, and what is kept for later is forgotten."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("destination"))
        run.wait(1)
        run.assembly.retention.make_room(run.now_s)
        run.wait(1)
        assert (len(run.finished), run.assembly.waiting.hurried) == (1, 1)
        run.wait(200)
        assert run.state.logs_with_lines()
        run.assembly.retention.make_room(run.now_s)
        run.flush()
        assert not run.state.logs_with_lines()
        assert run.assembly.store.forgotten > 0


def test_a_log_in_a_form_of_its_own_is_told_of_once(tmp_path: Path) -> None:
    """Its lines speak of migrations, and nobody could read them: that is not to look like an idle host."""
    lines = b"2026-07-01 | WARN | Migration failed: x\n" * 40
    with LiveRun(directory=tmp_path / "state") as run:
        run.take(SentFile(data=b"hello\n" + lines).records)
        (refusal,) = run.assembly.logs.refusals
        assert refusal.startswith("ch.log: speaks of migrations in lines of no known form")
        assert run.assembly.logs.counts.unreadable == 1


def test_a_migration_that_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are, and what comes late of it is not linked to a trace that there is none of."""

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    with LiveRun(directory=tmp_path / "state") as run:
        with monkeypatch.context() as patched:
            patched.setattr(drawing, "build_trace", fails)
            run.feed(_of("destination"))
            run.now_s += 100
            run.assembly.tick(run.now_s)
            assert list(run.assembly.finished(run.now_s, run.at_ns)) == []
        assert [type(error.__cause__) for error in run.assembly.errors] == [ZeroDivisionError]
        run.assembly.errors.clear()
        run.feed(_of("source"))
        run.wait(100)
        (finished,) = run.finished
        assert finished.trace.root.links == ()


def test_logs_that_are_put_aside_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a line of them comes, or their migration is due."""
    requests = recording_requests(CORPUS / "v53.0-basicv", _HOSTS, 7)
    requests = [request for request in requests if request[0].file.path.endswith((".log", ".events.json"))]
    with LiveRun(directory=tmp_path / "never") as run:
        run.feed(requests)
        run.wait(100)
        expected = list(run.lines)
    monkeypatch.setattr(log_store, "_MOST_LOADED", 0)
    with LiveRun(directory=tmp_path / "always") as run:
        run.feed(requests)
        assert len(run.assembly.logs) == 0
        run.wait(100)
        assert run.lines == expected


def test_the_lines_of_a_source_that_is_gone_are_deleted(tmp_path: Path) -> None:
    """Once its trace is safe, nothing of its log is on the disk."""
    with LiveRun(directory=tmp_path / "state", keeps_safe=False) as run:
        run.feed(_of("source"))
        run.feed(_of("destination"))
        run.wait(5)
        (finished,) = run.finished
        assert any("source" in key for key in run.state.logs_with_lines())
        run.assembly.safe(finished)
        run.flush()
        assert not any("source" in key for key in run.state.logs_with_lines())


def test_an_announcement_is_the_parent(tmp_path: Path) -> None:
    """Whether it came before the lines or after them, once or twice, and over a restart."""
    for name, before in (("before", True), ("after", False)):
        with LiveRun(directory=tmp_path / name) as run:
            if before:
                run.take([], [_announcement()])
                run.restart()
                run.take([], [_announcement()])
            run.feed(_of("source"))
            if not before:
                run.take([], [_announcement()])
            run.feed(_of("destination"))
            run.wait(5)
            (finished,) = run.finished
            assert (finished.trace.trace_id, finished.trace.root.parent_id) == ("a" * 32, "1" * 16)


@pytest.mark.parametrize(
    ("attributes", "flags"),
    [({"server.port": 4445}, 1), ({"server.address": "192.0.2.9"}, 1), ({}, 0)],
    ids=["another port", "another address", "nobody exports the span"],
)
def test_what_does_not_fit_is_no_parent(attributes: dict[str, str | int], flags: int, tmp_path: Path) -> None:
    """Another endpoint, or a span that is not sampled."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.take([], [_announcement(flags=flags, attributes=attributes)])
        run.feed(_of("source"))
        run.feed(_of("destination"))
        run.wait(5)
        (finished,) = run.finished
        assert finished.trace.root.parent_id is None
        assert not finished.trace.root.links


def test_an_unsampled_parent_may_be_wanted(tmp_path: Path) -> None:
    """The caller says so."""
    with LiveRun(directory=tmp_path / "state", options=LiveOptions(parent_unsampled=True)) as run:
        run.take([], [_announcement(flags=0)])
        run.feed(_of("source"))
        run.feed(_of("destination"))
        run.wait(5)
        assert run.finished[0].trace.root.parent_id == "1" * 16


def test_two_announcements_are_links(tmp_path: Path) -> None:
    """Nothing says which of them asked for it."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.take([], [_announcement(), _announcement(span="2" * 16)])
        run.feed(_of("source"))
        run.feed(_of("destination"))
        run.wait(5)
        (finished,) = run.finished
        assert finished.trace.root.parent_id is None
        assert {link.span_id for link in finished.trace.root.links} == {"1" * 16, "2" * 16}
        assert {link.attributes["otelmig.link.kind"] for link in finished.trace.root.links} == {"requested by"}


def test_each_attempt_has_the_announcement_of_its_own_time(tmp_path: Path) -> None:
    """One that was answered with a failure long before asked for something else."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.take([], [_announcement(span="2" * 16)])
        run.take(
            [], [_announcement(RecordName.RETURNED, "2" * 16, attributes={"vm.migration.client.result": "failed"})]
        )
        run.wait(10)
        run.take([], [_announcement()])
        run.feed(_of("source"))
        run.feed(_of("destination"))
        run.wait(5)
        assert run.finished[0].trace.root.parent_id == "1" * 16


def test_announcements_expire(tmp_path: Path) -> None:
    """One that nothing came of is forgotten, and counted."""
    with LiveRun(directory=tmp_path / "state") as run:
        run.take([], [_announcement()])
        run.assembly.flush([], BEGIN_NS + 10_000 * _S)
        assert (len(run.assembly.announcements), run.assembly.announcements.unmatched) == (0, 1)
        assert not run.state.announced()


def test_a_fate_that_comes_later_is_told_beside_the_trace(tmp_path: Path) -> None:
    """The trace is out; what becomes of its guest is a record in its context, once."""
    requests = _of("destination", "v53.0-basicv")
    requests = [request for request in requests if request[0].file.path.endswith(".log")]
    requests = [[record for record in request if "deleted" not in record.text] for request in requests]
    cut = next(
        at for at, request in enumerate(requests) if any("migration-receive-finished" in each.text for each in request)
    )
    requests = requests[: cut + 1]
    last = requests[-1][-1]
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(_of("source", "v53.0-basicv"))
        run.feed(requests)
        run.wait(5)
        (finished,) = run.finished
        assert last.offset is not None
        assert last.number is not None
        resumed = next(text for text in _texts(requests) if "event = resumed" in text)
        text = resumed.replace("source = vm event = resumed", "source = guest event = panic")
        end = last.offset + last.size + 1
        fate = last._replace(text=text, offset=end, number=last.number + 1, size=len(text), is_sequel=False)
        run.take([fate])
        run.take([fate])
        run.wait(5)
        assert [each.trace_id for each in run.assembly.fates] == [finished.trace.trace_id]
        assert run.assembly.fates[0].fate == "panicked"
        assert len(run.finished) == 1
