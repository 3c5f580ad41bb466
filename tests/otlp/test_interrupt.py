"""An interrupt of `otelmig send`, or of leftovers: the request under way arrives, and is the last one."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import fork_server
import pytest
from delivery_cases import delivered, payloads
from otlp_receiver import Reply, free_port, receiver_of
from trace_invariants import inputs

from otelmig.otlp.delivery import PER_BATCH

if TYPE_CHECKING:
    from pathlib import Path

    from otlp_receiver import Receiver

_COUNT = 3 * PER_BATCH
_INTERRUPTED = 130


def _otelmig(folder: Path, *arguments: str) -> fork_server.Process:
    """Start the command; only its standard error is read."""
    waiting = ["--spool", str(folder / "spool"), "--timeout", "60"]
    return fork_server.start(*arguments, *waiting, cwd=folder, environ={}, stdout=None)


def _interrupt(process: fork_server.Process, receiver: Receiver, requests: int) -> None:
    """Once so many requests are there, the last of them unanswered."""
    until = time.monotonic() + 30
    while len(receiver.requests) < requests:
        assert time.monotonic() < until, "it never comes"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    receiver.go_on.set()
    _, said = process.communicate()
    assert process.returncode == _INTERRUPTED
    assert "Traceback" not in said
    assert len(receiver.requests) == requests


@pytest.mark.parametrize(
    ("protocol", "answered", "arrived"), [("http/protobuf", 0, PER_BATCH), ("grpc", 0, PER_BATCH), ("http/json", 1, 2)]
)
@pytest.mark.parametrize("place", ["archive", "spool"])
def test_send(place: str, protocol: str, answered: int, arrived: int, tmp_path: Path) -> None:
    """The next run sends the others, and nothing twice."""
    with receiver_of(protocol)() as receiver:
        command = ["send", "--otlp", receiver.url, "--protocol", protocol]
        if place == "spool":
            delivered(payloads(_COUNT), f"http://127.0.0.1:{free_port()}", tmp_path / "spool", timeout_s=0.1)
        else:
            archive = tmp_path / "archive.jsonl"
            archive.write_bytes(b"".join(payload.line + b"\n" for payload in payloads(_COUNT)))
            command.append(str(archive))
        receiver.replies = [*[Reply()] * answered, Reply(hangs=True)]
        with _otelmig(tmp_path, *command) as process:
            _interrupt(process, receiver, answered + 1)
        assert len({span.trace_id for span in receiver.spans}) == arrived
        with _otelmig(tmp_path, *command) as process:
            _, said = process.communicate()
        assert f"{_COUNT - arrived} exported" in said
        assert len({span.trace_id for span in receiver.spans}) == _COUNT
        assert not receiver.copies()


def test_leftovers_of_a_trace(tmp_path: Path) -> None:
    """What waits from an earlier run follows the traces of this one, and is interrupted in the same way."""
    with receiver_of("http/protobuf")() as receiver:
        receiver.reply = Reply(status=503, takes=False)
        delivered(payloads(_COUNT), receiver.url, tmp_path / "spool", timeout_s=0.1)
        receiver.requests.clear()
        receiver.reply, receiver.replies = Reply(), [Reply(), Reply(hangs=True)]
        logs = map(str, inputs("v53.0-basicv"))
        with _otelmig(tmp_path, "trace", "-q", *logs, "--otlp", receiver.url) as process:
            _interrupt(process, receiver, 2)
        with _otelmig(tmp_path, "send", "--otlp", receiver.url) as process:
            _, said = process.communicate()
        assert said == f"{_COUNT - PER_BATCH} traces found, {_COUNT - PER_BATCH} exported\n"
        assert not receiver.copies()
