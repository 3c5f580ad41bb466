"""Ctrl-C, or another signal that ends a process: the last line says what was found and sent; the exit code is 130."""

from __future__ import annotations

import array
import fcntl
import re
import signal
import subprocess
import sys
import termios
import time
from typing import IO, TYPE_CHECKING

import pytest
from otlp_receiver import Reply, free_port, http_receiver
from restamp import repeated
from trace_invariants import CORPUS

from otelmig.otlp.delivery import PER_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOG = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()


def _start(folder: Path, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    """A process that Ctrl-C and a hangup reach, also where this one was started without that."""
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    start += "signal.signal(signal.SIGHUP, signal.SIG_DFL);"
    start += "from otelmig.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _interrupted(process: subprocess.Popen[str], number: int = signal.SIGINT) -> list[str]:
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    return said.splitlines()


def _until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it never comes"
        time.sleep(0.01)


def _unread(pipe: IO[str] | None) -> int:
    """How many bytes in a pipe nobody has read."""
    assert pipe is not None
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["trace", "-", "-o", "out.jsonl"], "interrupted: no trace was made, out.jsonl is not written"),
        (["trace", "-", "--json"], "interrupted: no trace was made"),
        (["explain", "-"], "interrupted: 0 migrations explained"),
        (["doctor", "-"], "interrupted: no input was examined to its end"),
        (["send", "-", "--no-spool", "--otlp"], "interrupted: 0 lines found, 0 exported"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_reading(command: list[str], says: str, number: int, tmp_path: Path) -> None:
    """Nothing is made of half an input, and nothing is left behind."""
    url = [f"http://127.0.0.1:{free_port()}"] if command[-1] == "--otlp" else []
    with _start(tmp_path, *command, *url, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(_LOG.decode())
        process.stdin.flush()
        _until(lambda: not _unread(process.stdin))
        time.sleep(0.2)
        *_, last = _interrupted(process, number)
    assert last == says
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_sending(number: int, tmp_path: Path) -> None:
    """The request under way arrives, and is said to be waited for; found, exported and not sent yet add up."""
    (tmp_path / "source.log").write_bytes(repeated(_LOG, 4 * PER_BATCH))
    with http_receiver() as receiver:
        receiver.replies = [Reply(), Reply(hangs=True)]
        command = ["trace", "-q", "source.log", "-o", "out.jsonl", "--spool", "spool", "--otlp", receiver.url]
        with _start(tmp_path, *command, "--timeout", "60") as process:
            _until(lambda: len(receiver.requests) == 2)
            time.sleep(0.5)
            process.send_signal(number)
            assert process.stderr is not None
            waiting = process.stderr.readline().rstrip()
            receiver.go_on.set()
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        *_, last = said.splitlines()
        assert (
            waiting
            == f"otelmig: {receiver.url}/v1/traces has not answered the last request yet: its answer is waited for"
        )
        form = r"interrupted: (\d+) migrations found, out.jsonl is not written, (\d+) exported, (\d+) not sent yet; .*"
        match = re.fullmatch(form, last)
        assert match is not None, last
        found, exported, unsent = map(int, match.groups())
        assert exported == 2 * PER_BATCH == len({span.trace_id for span in receiver.spans})
        assert found == exported + unsent
        assert not (tmp_path / "out.jsonl").exists()
        assert not list(tmp_path.glob("*.partial"))


def test_a_second_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    """Of a receiver that never answers, the second Ctrl-C does not wait; what was in flight is kept, and said to be."""
    (tmp_path / "source.log").write_bytes(repeated(_LOG, 4 * PER_BATCH))
    with http_receiver() as receiver:
        receiver.replies = [Reply(), Reply(hangs=True)]
        command = ["trace", "-q", "source.log", "--spool", "spool", "--otlp", receiver.url, "--timeout", "60"]
        with _start(tmp_path, *command) as process:
            assert process.stderr is not None
            _until(lambda: len(receiver.requests) == 2)
            process.send_signal(signal.SIGINT)
            waiting = process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        receiver.go_on.set()
    assert "has not answered the last request yet" in waiting
    assert process.returncode == 130
    *_, kept, last = said.splitlines()
    assert kept == f"otelmig: {PER_BATCH} traces are in the spool spool; `otelmig send` delivers them"
    assert last.startswith("interrupted: ")
    assert f"{PER_BATCH} exported" in last


def test_what_is_kept_is_said(tmp_path: Path) -> None:
    """What the receiver did not take waits in the spool, and the run says so before its last line."""
    (tmp_path / "source.log").write_bytes(repeated(_LOG, 4 * PER_BATCH))
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=500, takes=False), Reply(hangs=True)]
        command = ["trace", "-q", "source.log", "--spool", "spool", "--otlp", receiver.url, "--timeout", "60"]
        with _start(tmp_path, *command) as process:
            _until(lambda: len(receiver.requests) == 2)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            receiver.go_on.set()
            _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, waiting, last = said.splitlines()
    assert waiting == f"otelmig: {PER_BATCH} traces are in the spool spool; `otelmig send` delivers them"
    assert f"{PER_BATCH} spooled ({PER_BATCH} receiver error)" in last
