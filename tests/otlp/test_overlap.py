"""What is on its way keeps nobody from reading on; an interrupt lets it arrive first."""

from __future__ import annotations

import fcntl
import signal
import time
from typing import TYPE_CHECKING

import fork_server
import pytest
from delivery_cases import delivered, payloads
from otlp_receiver import Reply, receiver_of
from restamp import repeated
from trace_invariants import CORPUS

from otelmig.otlp.delivery import PER_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otlp_receiver import Receiver

_MIGRATIONS = 3 * PER_BATCH
_INTERRUPTED = 130


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several batches of migrations."""
    path: Path = tmp_path_factory.mktemp("overlap") / "source.log"
    path.write_bytes(repeated((CORPUS / "v53.0-basicv" / "source.log").read_bytes(), _MIGRATIONS))
    return path


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_next_batch_is_read_while_one_waits_for_its_answer(protocol: str, log: Path, tmp_path: Path) -> None:
    """The archive grows beyond the batch that is not answered yet, and not by more than the one after it."""
    with receiver_of(protocol)() as receiver:
        receiver.replies = [Reply(hangs=True)]
        with _tracing(log, receiver, protocol, tmp_path) as process:
            _wait_for(lambda: len(receiver.requests) == 1)
            (archive,) = _partial(tmp_path)
            _wait_for(lambda: archive.read_bytes().count(b"\n") > PER_BATCH + PER_BATCH // 2)
            assert len(receiver.requests) == 1
            assert archive.read_bytes().count(b"\n") <= 2 * PER_BATCH
            receiver.go_on.set()
            assert process.wait(60) == 0
        assert len({span.trace_id for span in receiver.spans}) == _MIGRATIONS
        assert not receiver.copies()


@pytest.mark.parametrize(
    ("protocol", "answered", "arrived"), [("http/protobuf", 0, PER_BATCH), ("grpc", 0, PER_BATCH), ("http/json", 1, 2)]
)
def test_interrupted_while_a_request_is_under_way(
    protocol: str, answered: int, arrived: int, log: Path, tmp_path: Path
) -> None:
    """It may arrive, is recorded, and is the last one; the next run sends the others, and nothing twice."""
    with receiver_of(protocol)() as receiver:
        receiver.replies = [*[Reply()] * answered, Reply(hangs=True)]
        with _tracing(log, receiver, protocol, tmp_path) as process:
            _wait_for(lambda: len(receiver.requests) == answered + 1)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            receiver.go_on.set()
            assert process.wait(60) == _INTERRUPTED
        assert len(receiver.requests) == answered + 1
        assert len({span.trace_id for span in receiver.spans}) == arrived
        with _tracing(log, receiver, protocol, tmp_path) as process:
            assert process.wait(60) == 0
        assert len({span.trace_id for span in receiver.spans}) == _MIGRATIONS
        assert not receiver.copies()


def test_interrupted_while_another_process_has_the_spool(log: Path, tmp_path: Path) -> None:
    """It is not waited for any longer, and nothing is sent."""
    with receiver_of("http/protobuf")() as receiver:
        delivered(payloads(1), receiver.url, tmp_path / "spool")
        receiver.requests.clear()
        with (tmp_path / "spool" / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with _tracing(log, receiver, "http/protobuf", tmp_path) as process:
                _wait_for(lambda: bool(_partial(tmp_path)))
                time.sleep(1)
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == _INTERRUPTED
        assert not receiver.requests


def _tracing(log: Path, receiver: Receiver, protocol: str, folder: Path) -> fork_server.Process:
    command = ["trace", "-q", str(log), "-o", str(folder / "archive.jsonl"), "--otlp", receiver.url]
    command += ["--protocol", protocol, "--spool", str(folder / "spool"), "--timeout", "60"]
    return fork_server.start(*command, cwd=folder, environ={}, stdout=None, stderr=None)


def _partial(folder: Path) -> list[Path]:
    """The file of traces that is being written."""
    return list(folder.glob("*.partial"))


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it never comes"
        time.sleep(0.01)
