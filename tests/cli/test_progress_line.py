"""The line of progress: on a terminal, for work over a second, and gone when the work is done."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_receiver import Reply, http_receiver
from trace_invariants import inputs

from otelmig.cli.progress import progress_text

if TYPE_CHECKING:
    from pathlib import Path

_LOGS = [str(path) for path in inputs("v53.0-basicv")]


@pytest.mark.parametrize(
    ("read", "to_read", "items", "elapsed_s", "text"),
    [
        (0, 0, "", 2, ""),
        (0, 0, "7 exported", 2, "7 exported"),
        (5 * 10**6, 0, "", 2, "5.0 MB"),
        (10**9, 4 * 10**9, "", 10, "[#####---------------]  25 %  1.0 of 4.0 GB  30 s left"),
        (
            10**9,
            4 * 10**9,
            "12 migrations",
            100,
            "[#####---------------]  25 %  1.0 of 4.0 GB  12 migrations  5 min left",
        ),
        (5 * 10**6, 4 * 10**6, "1 migration", 2, "[####################] 100 %  4.0 of 4.0 MB  1 migration"),
    ],
)
def test_text(read: int, to_read: int, items: str, elapsed_s: float, text: str) -> None:
    """Bytes of all bytes, what was found, how long it will take; nothing is said that is not known."""
    assert progress_text(read, to_read, items, elapsed_s) == text


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.floats(0, 1e9))
def test_text_is_never_out_of_bounds(read: int, to_read: int, elapsed_s: float) -> None:
    """Whatever the numbers, the bar is never longer than itself, and nobody waits for less than nothing."""
    text = progress_text(read, to_read, "", elapsed_s)
    assert "-1" not in text
    assert not to_read or text[21] == "]"


def _on_terminal(arguments: list[str], folder: Path, **environ: str) -> tuple[int, str]:
    """Run the command with stderr on a terminal of 60 columns; return its exit code and what the terminal got."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    command = [sys.executable, "-m", "otelmig", *arguments]
    settings = os.environ | {"OTELMIG_SPOOL": str(folder / "spool"), "TERM": "xterm"} | environ
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=settings) as process:
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


def test_shown_while_the_receiver_lets_us_wait(tmp_path: Path) -> None:
    """After a second the line is there, and in the end only the account is."""
    with http_receiver() as receiver:
        receiver.reply = Reply(pause_s=1.5)
        code, written = _on_terminal(["trace", "-q", *_LOGS, "--otlp", receiver.url], tmp_path)
    assert code == 0
    assert "\r\x1b[K1 migration" in written
    assert _screen(written) == ["1 migration found, 1 exported; 0 lines not understood", ""]


@pytest.mark.parametrize("terminal", [True, False])
def test_not_shown(terminal: bool, tmp_path: Path) -> None:  # noqa: FBT001 - one of two cases
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
