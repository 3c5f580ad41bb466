"""Finished traces end in the file once, are delivered or kept, and are tried again where neither is possible."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from live_run import LiveRun
from otlp_receiver import http_receiver
from sent_files import recording_requests
from trace_invariants import CORPUS

from otelmig.live import outlet as outlet_module
from otelmig.live.outlet import Outlet, TraceFile
from otelmig.otlp.delivery import Delivery
from otelmig.otlp.receiver.sender import Sender
from otelmig.otlp.receiver.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otelmig.live.drawing import Finished


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A trace that was made of lines that came in."""
    hosts = {"source": "host-a", "destination": "host-b"}
    with LiveRun(directory=tmp_path_factory.mktemp("made") / "state") as run:
        run.feed(recording_requests(CORPUS / "v53.0-basicv", hosts, 50))
        run.wait(100)
        made: Finished = run.finished[0]
        return made


@contextmanager
def _outlet(
    tmp_path: Path,
    said: list[str],
    *,
    deliver: Callable[[], Delivery] | None = None,
    on_trace: Callable[[Finished], None] = lambda _: None,
) -> Iterator[Outlet]:
    """An outlet that was started, with a file."""
    file = TraceFile(tmp_path / "traces.jsonl")
    outlet = Outlet(open_delivery=deliver, file=file, on_trace=on_trace, wake=lambda: None, say=said.append)
    outlet.start()
    yield outlet
    file.close()


def _deliveries(url: str, directory: Path | None, said: list[str]) -> Callable[[], Delivery]:
    settings = Settings.of({}, url=url, timeout_s=0.3)
    return lambda: Delivery(settings, Sender(settings), directory=directory, say=said.append)


def _eventually(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def test_what_can_be_kept_nowhere_is_tried_again_and_written_once(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the receiver nor a spool takes the trace: it waits, and is in the file a single time."""
    monkeypatch.setattr(outlet_module, "_PAUSE_S", 0.05)
    said: list[str] = []
    with http_receiver() as receiver:
        url = receiver.url
    with _outlet(tmp_path, said, deliver=_deliveries(url, None, said)) as outlet:
        outlet.put(finished)
        _eventually(lambda: outlet.account.not_exported.traces >= 3)
        assert (outlet.backlog, outlet.counts.unsafe, outlet.counts.written) == (1, 1, 1)
        assert not outlet.safe()
        assert not outlet.stop(2.0)
    assert len((tmp_path / "traces.jsonl").read_bytes().splitlines()) == 1


def test_the_account_is_that_of_now(finished: Finished, tmp_path: Path) -> None:
    """What was delivered counts while the delivery goes on."""
    said: list[str] = []
    with (
        http_receiver() as receiver,
        _outlet(tmp_path, said, deliver=_deliveries(receiver.url, tmp_path / "spool", said)) as outlet,
    ):
        outlet.put(finished)
        _eventually(lambda: outlet.account.exported.traces == 1)
        assert outlet.stop(5.0)
        assert outlet.account.exported.traces == 1
        assert outlet.safe() == [finished]


def test_a_view_that_fails_costs_no_trace(finished: Finished, tmp_path: Path) -> None:
    """The trace is safe all the same, the next one is delivered, and the fault is said."""
    said: list[str] = []

    def fails(_: Finished) -> None:
        raise RuntimeError("no such column")

    with _outlet(tmp_path, said, on_trace=fails) as outlet:
        for count in (1, 2):
            outlet.put(finished)
            _eventually(lambda count=count: outlet.counts.failures == count)  # type: ignore[misc] # bound at once
        assert outlet.stop(5.0)
        assert len(outlet.safe()) == 2
    assert all("internal error: RuntimeError: no such column" in line for line in said)


def test_a_trace_of_an_earlier_run_is_not_written_again(finished: Finished, tmp_path: Path) -> None:
    """The service was killed after it had written it; a line that was cut then stays a line of its own."""
    path = tmp_path / "traces.jsonl"
    for _ in range(2):
        with _outlet(tmp_path, []) as outlet:
            outlet.put(finished)
            assert outlet.stop(5.0)
        assert len(path.read_bytes().splitlines()) == 1
    path.write_bytes(path.read_bytes()[:-100])
    with _outlet(tmp_path, []) as outlet:
        outlet.put(finished)
        assert outlet.stop(5.0)
    cut, whole = path.read_bytes().splitlines()
    assert whole.startswith(cut)
