"""The line of progress: on a terminal, for work over a second, and gone when the work is done."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from hypothesis import given
from hypothesis import strategies as st
from otlp_receiver import Reply, http_receiver
from restamp import repeated
from trace_invariants import inputs

from otelmig.cli.console import clear_status, show_status
from otelmig.cli.progress import Progress, progress_fields

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = inputs("v53.0-basicv")[0].read_bytes()
_LOGS = [str(path) for path in inputs("v53.0-basicv")]


@pytest.mark.parametrize(
    ("read", "to_read", "items", "left_s", "text"),
    [
        (0, 0, "", None, ""),
        (0, 0, "7 exported", None, "7 exported"),
        (5 * 10**6, 0, "", None, "5.0 MB"),
        (10**9, 4 * 10**9, "", 30.2, "[#####---------------]  25 %  1.0 of 4.0 GB  30 s left"),
        (10**9, 4 * 10**9, "12 of 20 migrations", 300, "1.0 of 4.0 GB  12 of 20 migrations  5 min left"),
        (5 * 10**6, 4 * 10**6, "1 migration", None, "[####################] 100 %  4.0 of 4.0 MB  1 migration"),
    ],
)
def test_text(read: int, to_read: int, items: str, left_s: float | None, text: str) -> None:
    """Bytes of all bytes, what was found, how long it will take; nothing is said that is not known."""
    assert "  ".join(progress_fields(read, to_read, items, left_s)).endswith(text)


def test_files_that_are_read_twice_have_a_share_and_no_bytes() -> None:
    """What was read is then not what of the files was read; how far the work is is true all the same."""
    assert progress_fields(10**9, 4 * 10**9, "", 30.2, once=False) == ["[#####---------------]  25 %", "30 s left"]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (0, "[#####---------------]  25 %  11.0 of 44.0 MB  30 s left"),
        (9, ""),
        (10, "30 s left"),
        (20, "11.0 of 44.0 MB"),
        (30, "[#####---------------]  25 %"),
        (40, "[#####---------------]  25 %  30 s left"),
        (60, "[#####---------------]  25 %  11.0 of 44.0 MB  30 s left"),
    ],
)
def test_a_narrow_terminal_shows_whole_fields(columns: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No number is cut: a field that does not fit is left out; a terminal that tells no width has the usual one."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        show_status(progress_fields(11 * 10**6, 44 * 10**6, "", 30.2))
        assert screen.read(1 << 10).decode() == f"\r\x1b[K{shown}"
        clear_status()


@given(st.integers(0, 2**62), st.integers(1, 2**62))
def test_bar_is_never_out_of_bounds(read: int, to_read: int) -> None:
    """Whatever the numbers, the bar has its length and at most 100 per cent."""
    bar, _, rest = progress_fields(read, to_read, "", None)[0].partition("] ")
    assert len(bar) == 21
    assert 0 <= int(rest.partition(" %")[0]) <= 100


def _on_terminal(arguments: list[str], folder: Path, *, stdin: int | None = None, **environ: str) -> tuple[int, str]:
    """Run the command with stderr on a terminal of 100 columns; return its exit code and what the terminal got."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "otelmig", *arguments]
    settings = os.environ | {"OTELMIG_SPOOL": str(folder / "spool"), "TERM": "xterm"} | environ
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=theirs, env=settings) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while data := os.read(ours, 1 << 16):
                written += data
        os.close(ours)
    return process.returncode, written.decode()


def _screen(written: str) -> list[str]:
    """What is left on the terminal: a line is overwritten from its beginning once it is erased."""
    return [line.rpartition("\r\x1b[K")[2].rstrip("\r") for line in written.split("\n")]


def _feed(command: list[str], folder: Path) -> str:
    """Run a command with stderr on a terminal, and give it a log on standard input that takes longer than a second."""
    fed, ours = os.pipe()
    process = threading.Thread(target=_pour, args=(ours,))
    process.start()
    try:
        _, written = _on_terminal(command, folder, stdin=fed)
    finally:
        os.close(fed)
        process.join()
    return written


def _pour(pipe: int) -> None:
    with os.fdopen(pipe, "wb") as file:
        for _ in range(8):
            file.write(_SOURCE)
            file.flush()
            time.sleep(0.2)


def test_bytes_of_an_input_without_a_size(tmp_path: Path) -> None:
    """What comes through a pipe is counted while it comes; how much will come is not known."""
    written = _feed(["trace", "-q", "-"], tmp_path)
    assert re.search(r"\r\x1b\[K\d+\.\d MB", written)
    assert _screen(written)[-1] == ""


@pytest.mark.parametrize("command", ["trace", "explain", "doctor", "send"])
def test_every_byte_is_counted(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain or compressed, what a command says it has read is what lies on the disk, as often as it reads it."""
    (tmp_path / "source.log").write_bytes(repeated(_SOURCE, 20))
    (tmp_path / "source.log.gz").write_bytes(gzip.compress(repeated(_SOURCE, 21)))
    sizes: list[int] = []
    monkeypatch.setattr(Progress, "on_read", property(lambda _: sizes.append))
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    options = ["--no-spool", "--dry-run"] if command == "send" else []
    run_command([command, *files, *options])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    times = 2 if command == "doctor" else 1
    assert size * times <= sum(sizes) <= size * times * 1.05 + 2**16


def test_shown_while_the_receiver_lets_us_wait(tmp_path: Path) -> None:
    """After a second the line is there, and in the end only the account is."""
    with http_receiver() as receiver:
        receiver.reply = Reply(pause_s=1.5)
        code, written = _on_terminal(["trace", "-q", *_LOGS, "--otlp", receiver.url], tmp_path)
    assert code == 0
    assert "1 of 1 migration" in written
    assert _screen(written) == ["1 migration found, 1 exported; 0 lines not understood", ""]


@pytest.mark.parametrize("terminal", [True, False])
def test_not_shown(*, terminal: bool, tmp_path: Path) -> None:
    """A dumb terminal, and what is no terminal, get the account and nothing else, however long it takes."""
    with http_receiver() as receiver:
        receiver.reply = Reply(pause_s=1.5)
        arguments = ["trace", "-q", *_LOGS, "--otlp", receiver.url]
        if terminal:
            _, written = _on_terminal(arguments, tmp_path, TERM="dumb")
        else:
            done = subprocess.run(
                [sys.executable, "-m", "otelmig", *arguments, "--no-spool"], capture_output=True, text=True, check=True
            )
            written = done.stderr
    assert written.replace("\r\n", "\n") == "1 migration found, 1 exported; 0 lines not understood\n"
